"""How the scatter of an image follows a map of its noise in any unit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from unblend.images.noise_slope import noise_slope

SHAPE = (160, 200)
NOISE = 0.02 * np.linspace(1.0, 3.0, SHAPE[1]) * np.ones((SHAPE[0], 1))
EVERYWHERE = np.ones(SHAPE, dtype=bool)


def image(seed=1):
    return NOISE * np.random.default_rng(seed).normal(size=SHAPE)


@pytest.mark.parametrize(
    ("power", "expected"),
    [(1.0, 1.0), (-0.5, -2.0), (-1.0, -1.0), (-2.0, -0.5)],  # the noise; rms and variance as weights; weights as rms
)
@pytest.mark.parametrize("unit", [1e-6, 1.0, 15625.0])
def test_the_slope_tells_the_kinds_apart_in_any_unit(power, expected, unit):
    slope = noise_slope(image(), unit * NOISE**power, EVERYWHERE)
    assert slope is not None and abs(slope.value - expected) < 4 * slope.error
    assert slope.falls == (expected < 0)


def test_correlated_noise_a_gradient_and_sources_leave_the_slope():
    smooth = gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 1.2)
    y, x = np.indices(SHAPE)
    sky = 0.01 * x + sum(5.0 * np.exp(-((y - j) ** 2 + (x - i) ** 2) / 18) for j, i in ((30, 40), (90, 150), (120, 60)))
    slope = noise_slope(3.0 * NOISE * smooth + sky, NOISE, EVERYWHERE)
    assert slope is not None and slope.value == pytest.approx(1.0, abs=0.15) and not slope.falls


def test_an_image_whose_noise_does_not_follow_the_map():
    slope = noise_slope(np.random.default_rng(3).normal(size=SHAPE), NOISE, EVERYWHERE)
    assert slope is not None and abs(slope.value) < 0.15 and not slope.falls


def test_pixels_without_data_are_left_out():
    usable = np.indices(SHAPE)[1] >= 40
    values = np.where(usable, image(), 0.0)
    slope = noise_slope(values, np.where(usable, NOISE, 1e9), usable)
    assert slope is not None and slope.value == pytest.approx(1.0, abs=0.2)


def test_a_constant_map_and_few_blocks_have_no_slope():
    assert noise_slope(image(), np.full(SHAPE, 3.0), EVERYWHERE) is None
    assert noise_slope(image()[:40, :60], NOISE[:40, :60], EVERYWHERE[:40, :60]) is None
    assert noise_slope(np.ones(SHAPE), NOISE, EVERYWHERE) is None
