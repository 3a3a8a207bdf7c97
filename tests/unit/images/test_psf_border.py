"""A pedestal under a PSF is found by its share of the sum; wings that still fall at the border are none."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from unblend.images.psf import prepare_psf
from unblend.images.psf_border import LARGEST_BORDER_SHARE, LARGEST_SUM_ERROR, border_share, find_pedestal, sum_error


def power_law(side, slope, core=3.0, centre=None):
    """Return a PSF of unit sum whose wings fall as r^-slope."""
    middle = ((side - 1) / 2.0,) * 2 if centre is None else centre
    y, x = np.indices((side, side))
    data = (1.0 + ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / core**2) ** (-slope / 2.0)
    return data / data.sum()


def middle_of(data):
    return ((data.shape[0] - 1) / 2.0, (data.shape[1] - 1) / 2.0)


@pytest.mark.parametrize("slope", [2.0, 3.0, 11.0 / 3.0, 5.0])
@pytest.mark.parametrize("side", [41, 180, 301])
def test_wings_that_fall_to_the_border_are_no_pedestal(side, slope):
    data = power_law(side, slope)
    assert find_pedestal(data, middle_of(data)) is None


@pytest.mark.parametrize("slope", [3.0, 5.0])
def test_a_positive_pedestal_is_measured(slope):
    data = power_law(180, slope) + 1e-5
    found = find_pedestal(data, middle_of(data))
    # 0.324 of 1.324; steep wings leave all of the pedestal, slow ones a lower limit
    assert found.share == pytest.approx(0.324 / 1.324, rel=0.3) and found.share < 0.25
    assert found.level == pytest.approx(1e-5, rel=0.3)


def test_a_negative_pedestal_is_measured():
    data = power_law(180, 5.0) - 1e-5
    found = find_pedestal(data, middle_of(data))
    assert found.level == pytest.approx(-1e-5, rel=0.05)
    assert found.share == pytest.approx(-0.324 / 0.676, rel=0.05)


def test_a_pedestal_smaller_than_half_a_percent_is_not_mentioned():
    data = power_law(101, 5.0)
    assert find_pedestal(data + 0.003 / data.size, middle_of(data)) is None
    assert find_pedestal(data + 0.010 / data.size, middle_of(data)) is not None


def test_noise_alone_is_no_pedestal():
    # measured from stars: the noise of a pixel is 2e-5, the mean of a ring of 1000 pixels 6e-7, 0.6 % of the sum
    for seed in range(20):
        data = power_law(101, 5.0) + 2e-5 * np.random.default_rng(seed).standard_normal((101, 101))
        assert find_pedestal(data, (50.0, 50.0)) is None


@pytest.mark.parametrize("pedestal", [0.0, 1e-5])
def test_zeros_around_a_stamp_are_padding(pedestal):
    data = np.pad(power_law(180, 5.0) + pedestal, ((20, 60), (0, 35)))
    found = find_pedestal(data, (109.5, 89.5))
    assert (found is not None) == (pedestal > 0)


def test_a_stamp_off_centre_is_compared_at_equal_radii():
    assert find_pedestal(power_law(101, 3.0, centre=(60.0, 45.0)), (60.0, 45.0)) is None


def test_a_stamp_of_a_few_pixels_is_not_judged():
    assert find_pedestal(np.ones((3, 3)), (1.0, 1.0)) is None


def test_the_warning_names_file_share_and_what_to_do(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        prepare_psf(12.0 * (power_law(181, 5.0) + 1e-5), name="k-psf.fits")
    (text,) = [record.getMessage() for record in caplog.records]
    assert text.startswith("k-psf.fits: near the border of the stamp")
    # 1e-5 of a sum of 1, times 12; 0.328 of 1.328
    assert "a pedestal of about 0.00012 a pixel holds 24.7 % of its sum" in text
    assert text.endswith("subtract it from the file.")


def gaussian(side, sigma):
    y, x = np.indices((side, side)) - (side - 1) / 2
    return np.exp(-(y**2 + x**2) / 2 / sigma**2)


def test_the_share_of_the_outermost_pixels():
    assert border_share(np.ones((5, 5))) == pytest.approx(16 / 25)
    assert border_share(np.pad(np.ones((5, 5)), 3)) == pytest.approx(16 / 25)
    assert border_share(gaussian(41, 2.0)) < 1e-10
    assert border_share(power_law(41, 3.0, core=3.0)) < LARGEST_BORDER_SHARE


@pytest.mark.parametrize(("side", "total", "warned"), [(5, "unit", True), (5, "given", False), (21, "unit", False)])
def test_a_psf_whose_stamp_is_too_small_is_warned_of(side, total, warned, caplog):
    psf = gaussian(side, 1.33)
    # of 1 + 2 (0.754 + 0.323) along a row the inner three pixels hold 79.5 %: 1 - 0.795² = 37 %
    with caplog.at_level(logging.WARNING):
        prepare_psf(psf / gaussian(41, 1.33).sum(), name="k", total=total)
    assert ("the outermost pixels of the PSF hold 37 % of its light: the stamp is too small" in caplog.text) is warned


def test_the_error_of_the_sum_is_that_of_the_noise_of_all_pixels():
    """With noise of 2e-4 in each of 141 × 141 pixels a flux was 5 % too small, in silence."""
    middle = (70.0, 70.0)
    noise = np.random.default_rng(1).normal(0.0, 2e-4, (141, 141))
    psf = gaussian(141, 1.4)
    assert sum_error(psf / psf.sum() + noise, middle) == pytest.approx(141 * 2e-4, rel=0.05)
    assert sum_error(gaussian(141, 1.4), middle) < 1e-6
    assert sum_error(power_law(141, 3.0, core=3.0), middle) < LARGEST_SUM_ERROR
    assert sum_error(np.ones((5, 5)), (2.0, 2.0)) == 0.0
