"""The sky level of a fit: far from sources, and beside the wings of the models where the pixels confirm them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unblend.core.types import Box
from unblend.fits.imfit import Pixels
from unblend.fits.imfit_config import Parameter
from unblend.fits.sky_level import measured_sky

SIDE = 120


def sky_of(*arguments) -> Parameter:
    return measured_sky(*arguments).functions[0]["I_sky"]


def pixels_of(image: np.ndarray, error: float = 1.0, smoothing: float = 0.0) -> Pixels:
    return Pixels(Box(0, 0, *image.shape), image, np.full(image.shape, error), ~np.isfinite(image), smoothing)


@pytest.mark.parametrize(("smoothing", "factor"), [(0.0, 1.0), (0.8, np.sqrt(4 * np.pi) * 0.8)])
def test_a_measured_sky_is_held_to_three_errors_of_its_median(smoothing, factor):
    image, segments = np.full((20, 20), 7.0), np.zeros((20, 20), dtype=int)
    segments[:, 0] = 1
    image[:, :10] = 9.0  # wings of the source, whose segment is the first column
    image[3, 15] = np.nan
    level = sky_of(segments, pixels_of(image, 2.0, smoothing))
    # the far half of 20 × 19 pixels: columns 10 to 19 without the pixel that has no data
    assert level.value == 7.0
    assert level.upper - 7.0 == pytest.approx(3.0 * 1.2533 * 2.0 * factor / np.sqrt(199), rel=1e-6)
    assert 7.0 - level.lower == pytest.approx(level.upper - 7.0)


@pytest.fixture
def wings() -> tuple[np.ndarray, np.ndarray]:
    """Return light that falls as the inverse square of the distance, 2.0 at 20 pixels, and a segment of 15 pixels."""
    y, x = np.mgrid[:SIDE, :SIDE] - 0.5 * (SIDE - 1)
    distance = np.hypot(y, x)
    return 800.0 / (distance**2 + 1.0), (distance < 15).astype(int)


def test_the_sky_beside_wings_is_that_without_them(wings):
    light, segments = wings
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(30):
        pixels = pixels_of(light + 3.0 + rng.normal(0.0, 1.0, light.shape))
        assert sky_of(segments, pixels).value > 3.15
        level = sky_of(segments, pixels, 0.9 * light)  # a model that is a tenth too faint
        pulls.append((level.value - 3.0) / ((level.upper - level.lower) / 6.0))
    # 30 pulls: their mean scatters by 0.18, their standard deviation by 0.13
    assert abs(np.mean(pulls)) < 0.55 and 0.6 < np.std(pulls) < 1.3


def test_wings_that_the_pixels_do_not_have_are_not_subtracted(wings):
    light, segments = wings
    pixels = pixels_of(0.3 * light + np.random.default_rng(5).normal(0.0, 1.0, light.shape))
    assert sky_of(segments, pixels, light) == sky_of(segments, pixels)


def test_undetected_sources_and_a_wrong_slope_widen_the_limits(wings):
    light, segments = wings
    noise = np.random.default_rng(6).normal(0.0, 1.0, light.shape)
    smooth = sky_of(segments, pixels_of(light + noise), light)
    uneven = noise + np.where(np.arange(SIDE) < 30, 1.0, 0.0)
    widened = sky_of(segments, pixels_of(light + uneven), light)
    assert widened.upper - widened.lower > 1.5 * (smooth.upper - smooth.lower)


def test_a_model_without_light_outside_the_segments_changes_nothing(wings):
    light, segments = wings
    pixels = pixels_of(light)
    assert sky_of(segments, pixels, np.zeros_like(light)) == sky_of(segments, pixels)


def test_few_pixels_without_source_leave_the_sky_free_within_the_noise_of_a_pixel(wings):
    light, _ = wings
    segments = np.ones(light.shape, dtype=int)
    segments[0, :40] = 0
    pixels = replace(pixels_of(np.full(light.shape, 5.0)), error=np.full(light.shape, 2.0))
    level = sky_of(segments, pixels, light)
    assert (level.value, level.lower, level.upper) == (5.0, -1.0, 11.0)
