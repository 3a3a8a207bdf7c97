from __future__ import annotations

import numpy as np
import pytest
from unblend.images.dark_cores import dark_cores
from unblend.images.unobserved import unobserved

Y, X = np.indices((60, 70))


def star(height: float, sigma: float = 2.5, at: tuple[float, float] = (30.0, 30.0), sky: float = 5.0) -> np.ndarray:
    light = height * np.exp(-((Y - at[0]) ** 2 + (X - at[1]) ** 2) / (2 * sigma**2))
    return sky + light + np.random.default_rng(2).normal(size=Y.shape)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e4, -32768.0])
def test_a_core_without_light_was_not_observed(value):
    image = star(1000.0)
    core = image > 500.0
    image[core] = value
    assert np.array_equal(dark_cores(image), core)
    assert np.array_equal(unobserved(image), core)


def test_a_core_of_noise_was_not_observed():
    image = star(1000.0)
    core = image > 500.0
    image[core] = 5.0 + 0.5 * np.sin(np.arange(core.sum()))
    assert np.array_equal(dark_cores(image), core)


def test_a_single_dead_pixel_in_a_core_was_not_observed():
    image = star(1000.0)
    image[31, 30] = 0.0
    assert np.argwhere(dark_cores(image)).tolist() == [[31, 30]]


@pytest.mark.parametrize("radius", [3.0, 6.0, 12.0])
def test_the_dark_middle_of_a_ring_is_sky(radius):
    """A ring of light through a PSF, whose FWHM is 2.5 pixels."""
    ring = 3000.0 * np.exp(-((np.hypot(Y - 30, X - 30) - radius) ** 2) / (2 * 1.06**2))
    image = ring + np.random.default_rng(3).normal(size=Y.shape)
    assert not dark_cores(image).any()


def test_sky_between_sources_and_holes_at_the_edge_stay():
    image = star(1000.0) + star(800.0, at=(30.0, 44.0)) + star(1e4, at=(0.0, 60.0))
    assert not dark_cores(image).any()
    image[0, 60] = 0.0
    assert not dark_cores(image).any()


def test_pixels_that_are_missing_for_another_reason_are_no_core():
    image = star(1000.0)
    core = image > 500.0
    image[core] = 0.0
    assert not dark_cores(image, core).any()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_images_of_one_value_have_none(value):
    assert not dark_cores(np.full((5, 5), value)).any()


def test_pixels_far_below_the_sky_were_not_observed_whatever_lies_beside_them():
    """Such as wrapped cores of sources that are just bright enough, and dead pixels."""
    image = star(30.0)
    wrapped = image > 5.0 + 15.0
    image[wrapped] -= 655.36
    image[10, 50:52] = -600.0
    wrapped[10, 50:52] = True
    assert np.array_equal(dark_cores(image), wrapped)


@pytest.mark.parametrize("value", [1e38, -1e38, 1e20])
def test_a_number_that_no_detector_gives_was_not_observed(value):
    image = star(1000.0)
    image[12, 13] = value
    assert np.argwhere(dark_cores(image)).tolist() == [[12, 13]]
    # without noise the sources are far above what is between them
    assert not dark_cores(np.exp(-((Y - 30.0) ** 2 + (X - 30.0) ** 2) / 8.0)).any()


def test_a_noisy_part_of_an_image_has_none():
    image = np.random.default_rng(6).normal(size=(300, 300))
    image[:, :60] *= 30.0
    assert not dark_cores(image).any()


def test_a_negative_source_is_none():
    """As nodding leaves it: through a PSF that the pixels hardly sample."""
    image = 10.0 - star(200.0, sigma=0.7)
    assert image.min() < 5.0 - 100.0 and not dark_cores(image).any()
