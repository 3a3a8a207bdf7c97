from __future__ import annotations

import math

import numpy as np
import pytest
from unblend.core.statistics import clipped_level, robust_sigma, with_source_noise


def test_robust_sigma_by_hand():
    # median 3, deviations 2 1 0 1 97: their median is 1
    assert robust_sigma(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == pytest.approx(1.4826)


def test_robust_sigma_of_a_gaussian_ignores_nan():
    values = np.random.default_rng(1).normal(5.0, 2.0, 20000)
    values[::7] = np.nan
    # the MAD of 17 000 numbers has an error of 0.9 %
    assert robust_sigma(values) == pytest.approx(2.0, rel=0.03)
    assert math.isnan(robust_sigma(np.array([np.nan]))) and math.isnan(robust_sigma(np.array([])))


def test_clipped_level_by_hand():
    # 100 is clipped from 1 2 3 4 100 (3 ± 1.4826), and nothing from 1 2 3 4: median 2.5, distances 0.5 0.5 1.5 1.5
    assert clipped_level(np.array([100.0, np.nan, 3.0, 1.0, 4.0, 2.0]), 3.0) == pytest.approx((2.5, 1.4826))
    assert clipped_level(np.array([7.0, 7.0]), 3.0) == (7.0, 0.0)
    assert all(map(math.isnan, clipped_level(np.array([np.inf, np.nan]), 3.0)))


@pytest.mark.parametrize("clip", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 501, 2000])
def test_clipped_level_is_that_of_repeated_clipping(size, clip):
    values = np.round(np.random.default_rng(size).standard_t(2, size), 1)  # long wings, many equal ones
    kept = values
    for _ in range(20):
        centre, sigma = np.median(kept), robust_sigma(kept)
        kept = kept[np.abs(kept - centre) <= clip * sigma]
    # at 1 sigma the clipping need not end within the 20 rounds
    assert clipped_level(values, clip) == (centre, sigma)


def test_source_noise_is_added_in_quadrature():
    error = np.array([3.0, 2.0, 2.0])
    # 64 units at 4 electrons a unit: a variance of 16; negative and missing pixels add none
    np.testing.assert_allclose(with_source_noise(error, np.array([64.0, -5.0, np.nan]), 4.0), [5.0, 2.0, 2.0])
    assert with_source_noise(error, np.array([64.0, -5.0, np.nan]), None) is error
