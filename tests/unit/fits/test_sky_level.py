"""The sky level of a fit: far from sources, and beside the wings of the models where the pixels confirm them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unblend.core.types import Box
from unblend.fits.imfit import Pixels
from unblend.fits.imfit_config import Parameter
from unblend.fits.sky_level import SkyLevel, _sky_of_blocks, measured_sky, surrounding_sky

SIDE = 120


def sky_of(*arguments) -> Parameter:
    return measured_sky(*arguments).functions[0]["I_sky"]


def pixels_of(image: np.ndarray, error: float = 1.0, smoothing: float = 0.0) -> Pixels:
    return Pixels(Box(0, 0, *image.shape), image, np.full(image.shape, error), ~np.isfinite(image), smoothing)


@pytest.mark.parametrize(("smoothing", "factor"), [(0.0, 1.0), (0.8, np.sqrt(4 * np.pi) * 0.8)])
def test_a_measured_sky_is_held_to_two_errors_of_its_median(smoothing, factor):
    image, segments = np.full((20, 20), 7.0), np.zeros((20, 20), dtype=int)
    segments[:, 0] = 1
    image[:, :10] = 9.0  # wings of the source, whose segment is the first column
    image[3, 15] = np.nan
    level = sky_of(segments, pixels_of(image, 2.0, smoothing))
    # the far half of 20 × 19 pixels: columns 10 to 19 without the pixel that has no data
    assert level.value == 7.0
    assert level.upper - 7.0 == pytest.approx(2.0 * 1.2533 * 2.0 * factor / np.sqrt(199), rel=1e-6)
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
        pulls.append((level.value - 3.0) / ((level.upper - level.lower) / 4.0))
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
    assert (level.value, level.lower, level.upper) == (5.0, 1.0, 9.0)


# The sky around a cutout ---------------------------------------------------------------------------------------------

FIELD = 400
CUTOUT = Box(180, 180, 220, 220)
BLOCK = 40  # pixels, of the window of 160


@pytest.fixture
def field() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image of sky 3.0 and noise 1.0, its error, and the segment of a bright galaxy in the middle."""
    y, x = np.mgrid[:FIELD, :FIELD] - 0.5 * (FIELD - 1)
    distance = np.hypot(y, x)
    image = 3.0 + np.random.default_rng(7).normal(0.0, 1.0, distance.shape)
    image += np.where(distance < 30, 500.0 / (distance + 1.0), 0.0)
    return image, np.ones(image.shape), (distance < 12).astype(int)


def test_the_sky_around_a_cutout_is_measured_far_from_sources(field):
    sky = surrounding_sky(*field, CUTOUT)
    # 160 × 160 pixels less a circle of 36: the error of their median is 0.009
    assert sky.error == pytest.approx(0.009, rel=0.7) and abs(sky.value - 3.0) < 4 * sky.error


def test_correlated_noise_has_a_larger_error(field):
    white, smoothed = (surrounding_sky(*field, CUTOUT, smoothing) for smoothing in (0.0, 1.5))
    assert smoothed.error > 3.0 * white.error


def test_an_uneven_sky_has_the_error_of_its_scatter(field):
    image, error, segments = field
    y, x = np.indices(image.shape) // BLOCK % 2
    sky = surrounding_sky(image + 0.9 * (y == x), error, segments, CUTOUT)
    # neighbouring blocks differ by 0.9, which is no slope
    assert sky.value == pytest.approx(3.45, abs=0.05) and sky.error == pytest.approx(0.45, rel=0.1)
    assert sky.slope == (0.0, 0.0)


@pytest.mark.parametrize("one_sided", [False, True])
def test_a_slope_is_measured_and_does_not_widen_the_error(field, one_sided):
    image, error, segments = field
    if one_sided:  # the level of what is left is not that of the cutout
        image[:, 230:] = np.nan
    y, x = np.indices(image.shape)
    sky = surrounding_sky(image + 0.01 * y - 0.02 * x, error, segments, CUTOUT)
    middle = 3.0 + 0.01 * 199.5 - 0.02 * 199.5
    assert sky.value == pytest.approx(middle, abs=4 * sky.error) and sky.error < 0.05
    np.testing.assert_allclose(sky.slope, (0.01, -0.02), atol=1e-3)
    tilt = sky.tilt(CUTOUT)
    assert tilt.shape == CUTOUT.shape and tilt.mean() == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(tilt, (0.01 * y - 0.02 * x)[CUTOUT.slices] - (0.01 - 0.02) * 199.5, atol=0.1)
    assert SkyLevel.from_list(sky.to_list()) == sky


@pytest.mark.parametrize(("one_sided", "tilted"), [(False, True), (True, False)])
def test_a_slope_that_would_be_extrapolated_must_be_certain(one_sided, tilted):
    rng = np.random.default_rng(3)
    places = np.array([(y, x) for y in (-60.0, -20.0, 20.0, 60.0) for x in (-60.0, -20.0, 20.0, 60.0)])
    places[:, 1] += 100.0 if one_sided else 0.0
    levels = 0.003 * places[:, 1] + rng.normal(0.0, 0.06, 16)
    sky = _sky_of_blocks(np.column_stack([levels, np.full(16, 0.06), places]))
    assert (sky.slope != (0.0, 0.0)) == tilted
    # without a slope the error is that of the scatter
    assert (sky.error < 0.1) == tilted


def test_noise_has_no_slope():
    rng, nothing = np.random.default_rng(8), np.zeros((FIELD, FIELD), dtype=int)
    skies = [surrounding_sky(rng.normal(size=nothing.shape), nothing + 1.0, nothing, CUTOUT) for _ in range(100)]
    # one in a thousand by each of the two criteria
    assert sum(sky.slope != (0.0, 0.0) for sky in skies) <= 1


def test_pixels_without_data_are_not_used(field):
    image, error, segments = field
    image[:, :190], error[:, 200:230] = np.nan, np.inf
    sky = surrounding_sky(np.where(np.isfinite(error), image, 1e9), error, segments, CUTOUT)
    assert sky.value == pytest.approx(3.0, abs=0.1)


def test_there_is_no_sky_where_sources_fill_the_window(field):
    image, error, _ = field
    y, x = np.mgrid[:FIELD, :FIELD]
    segments = np.where((y % 6 < 3) & (x % 6 < 3), 100 * (y // 6) + x // 6 + 1, 0)
    assert surrounding_sky(image, error, segments, CUTOUT) is None


def test_two_levels_that_agree_are_averaged_by_their_errors():
    combined = SkyLevel(1.0, 0.1).combined_with(SkyLevel(1.1, 0.2))
    assert combined.value == pytest.approx(1.02) and combined.error == pytest.approx(0.0894, rel=1e-3)


def test_two_levels_that_disagree_have_a_larger_error():
    combined = SkyLevel(1.0, 0.1).combined_with(SkyLevel(2.0, 0.1))
    assert combined.value == pytest.approx(1.5) and combined.error == pytest.approx(0.5)


def test_the_sky_around_is_used_where_the_cutout_has_few_pixels_without_source(wings):
    light, _ = wings
    level = sky_of(np.ones(light.shape, dtype=int), pixels_of(light), None, SkyLevel(2.0, 0.1))
    assert (level.value, level.lower, level.upper) == pytest.approx((2.0, 1.8, 2.2))


def test_the_sky_around_is_combined_with_that_of_the_cutout(wings):
    light, segments = wings
    pixels = pixels_of(light)
    alone, both = sky_of(segments, pixels), sky_of(segments, pixels, None, SkyLevel(0.0, 1e-4))
    assert alone.value > 0.1 and both.value == pytest.approx(0.0, abs=1e-3)
