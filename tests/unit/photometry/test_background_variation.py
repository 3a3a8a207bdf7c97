"""A background that varies between the sources is told from noise, from sources and from a level that fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from unblend.photometry.background_variation import measure_variation, variation_warning

SHAPE = (120, 150)
EVERYWHERE = np.ones(SHAPE, dtype=bool)
ROWS, COLUMNS = np.indices(SHAPE)


def noise(seed=1, rms=0.5):
    return rms * np.random.default_rng(seed).standard_normal(SHAPE)


def test_a_gradient_is_measured_in_units_of_the_noise():
    found = measure_variation(noise() + 0.02 * COLUMNS, EVERYWHERE)
    assert found is not None
    # medians of blocks from 7 to 142 columns, less 2 % on either side
    assert found.span == pytest.approx(0.02 * 135, rel=0.05)
    # the gradient within a block of 15 pixels adds 0.09 in quadrature
    assert found.noise == pytest.approx(0.5, rel=0.05)
    warning = variation_warning(found, "k")
    assert warning is not None and warning.startswith("k: the background varies over the image by 5.")
    assert "set bands.k.background" in warning


def test_a_bowl_is_found_and_pixels_that_cannot_be_used_are_not_looked_at():
    bowl = 1.5 * ((ROWS / 60.0 - 1.0) ** 2 + (COLUMNS / 75.0 - 1.0) ** 2)
    usable = np.hypot(ROWS - 40, COLUMNS - 60) > 12
    image = noise(2) + bowl
    image[~usable] += 1000.0
    image[:, 100:110] = np.nan
    found = measure_variation(image, usable)
    assert found is not None and found.is_notable and 1.5 < found.span < 3.0


@pytest.mark.parametrize("smoothing", [0.0, 1.5, 3.0])
def test_noise_is_no_variation_nor_if_it_is_correlated(smoothing):
    for seed in range(5):
        found = measure_variation(gaussian_filter(noise(seed), smoothing), EVERYWHERE)
        assert found is not None and not found.is_notable and variation_warning(found, "k") is None


def test_a_few_blocks_with_light_of_undetected_sources_are_no_variation():
    image = noise(3)
    for y, x in ((20, 20), (70, 100), (100, 30)):
        image += 20.0 * np.exp(-((ROWS - y) ** 2 + (COLUMNS - x) ** 2) / 50.0)
    found = measure_variation(image, EVERYWHERE)
    assert found is not None and not found.is_notable


def test_nothing_is_said_of_an_image_full_of_sources():
    usable = np.zeros(SHAPE, dtype=bool)
    usable[:30, :30] = True
    assert measure_variation(noise(), usable) is None
    assert variation_warning(None, "k") is None
