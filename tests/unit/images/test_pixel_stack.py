from __future__ import annotations

import numpy as np
import pytest
import sep
from unblend.images.pixel_stack import FEWEST, set_pixel_stack


@pytest.mark.parametrize(
    ("shape", "above", "deblends", "entries"),
    [
        ((300, 200), 10_000, False, 20_000),
        ((300, 200), 50_000, False, 60_000),
        ((300, 200), 10_000, True, 60_000),
        ((20, 20), 400, True, FEWEST),
    ],
)
def test_the_stack_holds_what_is_needed(shape, above, deblends, entries):
    snr = np.zeros(shape[0] * shape[1])
    snr[:above] = 9.0
    set_pixel_stack(snr.reshape(shape), 3.0, deblends=deblends)
    assert sep.get_extract_pixstack() == entries
