from __future__ import annotations

import numpy as np
import pytest
from galaxy_stamps import fitting_psf
from scipy.ndimage import gaussian_filter
from unblend.core.types import Box
from unblend.fits.covariance import parameter_covariance
from unblend.fits.imfit import Pixels, sky_block
from unblend.fits.smoothed_noise import convolve_with_autocorrelation, smoothing_width
from unblend.photometry.correlated_noise import autocorrelation


@pytest.mark.parametrize("width", [0.55, 0.65, 1.0])
def test_the_width_of_simulated_noise_is_recovered(width):
    noise = gaussian_filter(np.random.default_rng(3).normal(size=(300, 300)), width, truncate=8.0)
    correlation, _ = autocorrelation(noise, np.ones(noise.shape), max_lag=1)
    # the tolerance is one step: on pixels a Gaussian of 0.55 pixel has the lag-1 correlation of one of 0.50
    assert smoothing_width(correlation) == pytest.approx(width, abs=0.051)


def test_white_noise_and_small_correlations_are_taken_as_white():
    noise = np.random.default_rng(4).normal(size=(200, 200))
    assert smoothing_width(autocorrelation(noise, np.ones(noise.shape), max_lag=1)[0]) == 0.0
    little = np.array([[0, 0.1, 0], [0.1, 1, 0.1], [0, 0.1, 0]])
    assert smoothing_width(little) == 0.0
    assert smoothing_width(-little) == 0.0


def test_the_image_of_one_pixel_becomes_the_autocorrelation():
    image = np.zeros((15, 15))
    image[7, 7] = 1.0
    found = convolve_with_autocorrelation(image, 0.8)
    assert found[7, 7] == 1.0
    assert found[7, 8] == pytest.approx(np.exp(-1.0 / (4 * 0.64)))
    assert found[8, 9] == pytest.approx(np.exp(-5.0 / (4 * 0.64)))
    assert convolve_with_autocorrelation(image, 0.0) is image


def test_the_variance_of_a_sky_level_includes_all_pairs_of_pixels():
    side, width, error = 20, 1.0, 0.5
    mask = np.zeros((side, side), dtype=bool)
    mask[:, :3] = True
    pixels = Pixels(Box(0, 0, side, side), np.zeros((side, side)), np.full((side, side), error), mask, width)
    y, x = (grid[~mask].astype(float) for grid in np.indices(mask.shape))
    pairs = np.exp(-((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2) / (4.0 * width**2)).sum()
    variance = parameter_covariance([sky_block(0.0, 3.0)], pixels, fitting_psf())[2, 2]
    assert variance == pytest.approx(error**2 * pairs / y.size**2, rel=1e-6)
