"""Values on a lattice: the step is found, and spread values have the quantiles of what was rounded."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.quantised import lattice_step, spread, spread_image
from unblend.core.statistics import clipped_level, median, noise_rms, robust_sigma

RNG = np.random.default_rng(3)
GAUSSIAN = RNG.normal(size=100_000)


def rounded(sigma, level, step=1.0):
    """Return values of a Gaussian rounded to a lattice, sigma and level in steps."""
    return step * np.rint(level + sigma * GAUSSIAN)


@pytest.mark.parametrize("step", [1.0, 0.5, 0.1, 7e-4, 3000.0])
@pytest.mark.parametrize("level", [0.0, 10.25, -3.5])
@pytest.mark.parametrize("sigma", [0.8, 1.0, 1.3, 2.0, 5.0, 12.0])
def test_noise_and_level_of_rounded_values(sigma, level, step):
    values = rounded(sigma, level, step)
    centre, found = clipped_level(values, 4.0)
    # the noise of what is in the pixels: that of the sky and that of the rounding
    assert found == pytest.approx(step * np.hypot(sigma, 12**-0.5), rel=0.04 if sigma >= 1.0 else 0.1)
    assert centre == pytest.approx(step * level, abs=0.05 * sigma * step)
    assert robust_sigma(values) == pytest.approx(found, rel=0.05)
    assert median(values) == pytest.approx(centre, abs=0.02 * sigma * step)


@pytest.mark.parametrize("sigma", [0.4, 0.5, 0.6])
@pytest.mark.parametrize("level", [0.0, 0.25, 0.5])
def test_the_noise_of_coarse_steps_is_right_to_a_third(sigma, level):
    values = rounded(sigma, level)
    assert clipped_level(values, 4.0)[1] == pytest.approx(values.std(), rel=0.35)


def test_a_few_models_subtracted_and_sources_do_not_hide_the_steps():
    values = rounded(1.0, 10.3) + RNG.normal(0.0, 0.05, GAUSSIAN.size)
    values[::12] += RNG.exponential(20.0, values[::12].size)
    # sources in a twelfth of the values: 4 %
    assert clipped_level(values, 4.0)[1] == pytest.approx(np.hypot(1.0, 12**-0.5), rel=0.08)


def test_noise_that_differs_from_pixel_to_pixel():
    noise = np.where(np.arange(GAUSSIAN.size) % 2, 1.0, 2.0)
    values = np.rint(40.4 + noise * GAUSSIAN)
    centre, found = clipped_level(values, 3.0, noise)
    # the rounding adds 4 % and 1 % to the noise of the two halves; clipping at 3 sigma takes 0.4 %
    assert found == pytest.approx(1.025, rel=0.03)
    assert centre == pytest.approx(40.4, abs=0.02)


def test_the_noise_of_a_rounded_image_beside_sources():
    image = rounded(1.0, 100.4)[:90_000].reshape(300, 300)
    mask = np.zeros(image.shape, dtype=bool)
    mask[:100] = True
    image[:100] += 50.0
    assert noise_rms(image, mask) == pytest.approx(np.hypot(1.0, 12**-0.5), rel=0.05)


@pytest.mark.parametrize("size", [100, 1000, 100_000])
@pytest.mark.parametrize("shape", ["normal", "laplace", "exponential", "zeros", "float32"])
def test_other_values_are_not_taken_for_a_lattice(size, shape):
    rng = np.random.default_rng(size)
    for _ in range(100 if size < 10_000 else 5):
        values = rng.normal(size=size)
        if shape in ("laplace", "exponential"):
            values = getattr(rng, shape)(size=size)
        elif shape == "zeros":
            values[: size // 2] = 0.0
        elif shape == "float32":
            values = (1e4 + values).astype(np.float32).astype(float)
        assert lattice_step(np.sort(values)) == 0.0


@pytest.mark.parametrize("values", [np.ones(1000), np.r_[np.zeros(950), np.arange(50.0)], np.arange(5.0), []])
def test_values_without_a_noise_have_no_step(values):
    assert lattice_step(np.asarray(values, dtype=float)) == 0.0


def test_equal_values_are_spread_evenly_over_one_step():
    found = spread(np.full(1000, 3.0), 0.5)
    np.testing.assert_allclose(np.sort(found), np.linspace(2.75, 3.25, 1000), atol=1e-3)


def test_an_image_keeps_its_order_and_its_missing_pixels():
    image = rounded(1.0, 5.0)[:2500].reshape(50, 50)
    image[3, 4] = np.nan
    found = spread_image(image)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(image))
    assert np.nanmax(np.abs(found - image)) < 0.53 and np.nanmax(np.abs(found - image)) > 0.4
    smooth = RNG.normal(size=(50, 50))
    assert spread_image(smooth) is smooth


@pytest.mark.parametrize("number", [60, 1000, 30_000])
@pytest.mark.parametrize("fraction", [0.06, 0.1, 0.2])
def test_very_bright_sources_over_noise_are_no_steps(number, fraction):
    """Most values then lie within a small part of their range, as on the fullest level of a lattice."""
    for seed in range(10):
        random = np.random.default_rng(seed)
        values = random.normal(size=number)
        bright = round(fraction * number)
        values[:bright] += 200.0 * random.pareto(1.2, bright)
        assert lattice_step(np.sort(values)) == 0.0
        assert robust_sigma(values) == pytest.approx(1.4826 * np.median(np.abs(values - np.median(values))), rel=1e-4)
