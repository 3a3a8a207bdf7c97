"""Saturated pixels by a level, and flat tops without one."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.strips import Workspace
from unblend.images.saturation import find_plateau, is_saturated


def star(peak=5000.0, sigma=2.0, level=100.0, seed=1):
    y, x = np.indices((60, 60))
    image = level + peak * np.exp(-((y - 30.2) ** 2 + (x - 25.4) ** 2) / (2 * sigma**2))
    return image + np.random.default_rng(seed).normal(size=image.shape)


def test_pixels_at_or_above_the_level_are_saturated():
    image = np.array([[99.0, 100.0, 101.0, np.nan, np.inf]])
    assert is_saturated(image, 100.0).tolist() == [[False, True, True, False, True]]
    assert not is_saturated(image, None).any()


@pytest.mark.parametrize("scatter", [0.0, 0.5])
def test_a_flat_top_is_found(scatter):
    image = star()
    clipped = image > 2000.0
    image[clipped] = 2000.0 + scatter * np.random.default_rng(2).uniform(-1, 1, clipped.sum())
    found = find_plateau(image)
    assert abs(found.y - 30) <= 2 and abs(found.x - 25) <= 2
    assert found.level == pytest.approx(2000.0, abs=1.0) and found.pixels == clipped.sum()


def test_cores_of_several_sources_that_are_cut_at_one_level_are_found():
    rng = np.random.default_rng(4)
    y, x = np.indices((90, 90))
    image = rng.normal(size=y.shape)
    for k in range(5):
        image += (3000.0 - 300.0 * k) * np.exp(-((y - 15 * k - 10.3) ** 2 + (x - 16 * k - 9.2) ** 2) / (2 * 1.1**2))
    assert find_plateau(image) is None and find_plateau(np.rint(image / 20.0)) is None
    found = find_plateau(np.minimum(image, 1500.0))
    assert found.level == 1500.0 and found.pixels == np.count_nonzero(image >= 1500.0) < 30
    assert find_plateau(np.rint(np.minimum(image, 1500.0) / 20.0)).level == 75.0


def test_a_hot_pixel_does_not_hide_a_flat_top():
    image = np.minimum(star(), 2000.0)
    image[5, 5] = 9000.0
    assert find_plateau(image).level == 2000.0


@pytest.mark.parametrize("sigma", [0.9, 2.0, 12.0])
def test_stars_and_galaxies_have_no_flat_top(sigma):
    assert find_plateau(star(sigma=sigma)) is None
    assert find_plateau(star(sigma=sigma, peak=5e5)) is None


def test_sky_alone_a_constant_image_and_a_masked_plateau_have_none():
    image = np.minimum(star(), 2000.0)
    assert find_plateau(np.where(image >= 2000.0, np.nan, image)) is None
    assert find_plateau(np.random.default_rng(3).normal(size=(50, 50))) is None
    assert find_plateau(np.full((50, 50), 7.0)) is None
    assert find_plateau(np.full((50, 50), np.nan)) is None
    assert find_plateau(np.ones((2, 2))) is None
    assert find_plateau(np.rint(np.random.default_rng(3).normal(0.0, 0.3, size=(15, 15)))) is None


@pytest.mark.parametrize("rows", [1, 7, 60])
def test_an_image_of_any_size_is_searched_in_strips(rows):
    rng = np.random.default_rng(4)
    for image in (np.minimum(star(), 2000.0), star(), np.minimum(rng.normal(size=(60, 60)) ** 6, 900.0)):
        missing = np.zeros(image.shape, dtype=bool)
        missing[:4] = True
        image[1, 1] = 1e6
        found = find_plateau(image, missing, Workspace(rows=rows))
        assert found == find_plateau(np.where(missing, np.nan, image))
