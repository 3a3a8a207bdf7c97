"""Noise that changes over an image is noticed; that of the weights, gradients of the sky and sources are not."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.photometry.noise_variation import measure_noise_range, noise_range_warning

SHAPE = (100, 120)
NOISE = np.random.default_rng(1).normal(size=SHAPE)
EVERYWHERE = np.ones(SHAPE, dtype=bool)


def test_a_noisy_half_is_noticed():
    half = np.where(np.arange(SHAPE[1]) > 60, 4.0, 1.0)
    ratio = measure_noise_range(half * NOISE, EVERYWHERE)
    assert ratio == pytest.approx(4.0, rel=0.25)
    said = noise_range_warning(ratio, "k")
    assert said is not None and said.startswith(
        f"k: the noise of the pixels changes over the image by a factor of {ratio:.1f}"
    )


def test_even_noise_is_not_nor_a_gradient_nor_a_few_sources():
    for image in (NOISE, NOISE + np.linspace(0, 9, SHAPE[1])):
        ratio = measure_noise_range(image, EVERYWHERE)
        assert ratio is not None and noise_range_warning(ratio, "k") is None
    bright = NOISE.copy()
    bright[20:32, 30:42] *= 20.0
    assert noise_range_warning(measure_noise_range(bright, EVERYWHERE), "k") is None


def test_nothing_is_said_where_sources_are_everywhere():
    assert measure_noise_range(NOISE, ~EVERYWHERE) is None and noise_range_warning(None, "k") is None
    assert measure_noise_range(np.full(SHAPE, np.nan), EVERYWHERE) is None
    assert measure_noise_range(np.zeros(SHAPE), EVERYWHERE) is None
