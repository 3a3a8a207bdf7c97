"""Maps of flags that look like weights."""

from __future__ import annotations

import numpy as np
from unblend.images.flag_values import flag_values

OBSERVED = np.ones((20, 30), dtype=bool)


def test_a_map_of_flags_is_zero_in_most_pixels():
    flags = np.zeros(OBSERVED.shape)
    flags[:2], flags[5, 7], flags[9, 3:8] = 512, 4096, 516
    found = flag_values(flags, OBSERVED)
    assert found is not None and found.distinct == 4 and found.zero_fraction == 1 - 66 / 600


def test_coverages_and_masks_of_good_pixels_are_none():
    coverage = np.repeat(np.arange(1.0, 13.0), 50).reshape(OBSERVED.shape)
    assert flag_values(coverage, OBSERVED) is None
    assert flag_values(np.where(np.arange(30) < 3, 0.0, 1.0) * OBSERVED, OBSERVED) is None
    # 0 where nothing was observed, which is most of the image
    observed = np.indices(OBSERVED.shape)[1] < 8
    assert flag_values(np.where(observed, coverage, 0.0), observed) is None


def test_flags_of_pixels_without_data_alone():
    """The DQ of MUSE marks the border of the field, and every observed pixel has 0."""
    observed = np.indices(OBSERVED.shape)[1] < 25
    found = flag_values(np.where(observed, 0.0, 1.0), observed)
    assert found is not None and found.zero_fraction == 1.0


def test_weights_that_are_no_integers_and_empty_maps_are_none():
    weights = np.zeros(OBSERVED.shape)
    weights[:3] = 0.25
    assert flag_values(weights, OBSERVED) is None
    assert flag_values(np.zeros(OBSERVED.shape), OBSERVED) is None
    assert flag_values(np.full(OBSERVED.shape, np.nan), OBSERVED) is None


def test_the_name_tells_a_map_of_flags_in_which_few_are_zero():
    bits = np.where(np.arange(30) < 10, 255.0, 254.0) * OBSERVED
    assert flag_values(bits, OBSERVED, "CTX") is not None and flag_values(bits, OBSERVED, "WHT") is None
