"""Swapped bytes are found in both kinds of floats, and in no image of the sky."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.images.byte_order import has_swapped_bytes


def sky(kind):
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 0.01, (60, 70)) + 1e4 * np.exp(-0.5 * ((np.arange(70) - 30.0) / 2.0) ** 2)
    return image.astype(kind)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_swapped_floats_are_found(kind):
    assert not has_swapped_bytes(sky(kind))
    with np.errstate(invalid="ignore"):
        swapped = sky(kind).byteswap().astype(float)
    assert has_swapped_bytes(swapped)


@pytest.mark.parametrize("change", [lambda i: 1e-30 * i, lambda i: i * 0, lambda i: i * np.nan, lambda i: np.rint(i)])
def test_other_images_are_left_alone(change):
    assert not has_swapped_bytes(change(sky("f8")))


def test_padding_of_large_numbers_is_another_matter():
    image = sky("f8")
    image[:, :30] = 1e30
    assert not has_swapped_bytes(image)
    rows = np.random.default_rng(2).random(image.shape) < 0.5
    assert not has_swapped_bytes(np.where(rows, 0.0, image))


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_padding_with_traces_of_rounding_is_another_matter(kind):
    image = sky("f8") + 5.0
    image[:, :25] = 1e-12
    assert not has_swapped_bytes(image.astype(kind))
    image[:, :25] = np.random.default_rng(3).normal(0.0, 1e-12, (60, 25))
    assert not has_swapped_bytes(image.astype(kind).astype(float))
