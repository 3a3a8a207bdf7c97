from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate
from unblend.core.correlation import sums_of_products


@pytest.mark.parametrize(("image", "core"), [((30, 41), (7, 4)), ((23, 23), (23, 23)), ((40, 17), (1, 17))])
def test_it_is_the_correlation_of_scipy(image, core):
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=image), rng.normal(size=core)
    found = sums_of_products(one, other)
    np.testing.assert_allclose(found, correlate(one, other, mode="valid", method="direct"), atol=1e-12)
