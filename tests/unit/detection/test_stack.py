"""Noise levels and the stack of the detection images."""

from __future__ import annotations

import numpy as np
import pytest
from detection_field import SHAPE, make_images
from unblend.core.errors import UnblendError
from unblend.detection import stack as stacks


def test_noise_level_ignores_sources_and_is_rounded() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(10.0, 2.0, size=100_000)
    values[:5000] += rng.uniform(10, 100, 5000)
    background, rms = stacks.noise_level(values)
    # The error of the rms of 1e5 values is 0.3 %; clipping at 3 sigma costs 0.6 %.
    assert rms == pytest.approx(2.0, rel=0.015)
    assert background == pytest.approx(10.0, abs=0.03)
    assert rms == round(rms, 2)
    assert background / (1e-3 * rms) == pytest.approx(round(background / (1e-3 * rms)), abs=1e-6)


def test_noise_level_needs_noise() -> None:
    for values in (np.full(10, np.nan), np.ones(10), np.array([])):
        with pytest.raises(UnblendError, match="noise of an image cannot be measured"):
            stacks.noise_level(values)


def test_stack_is_the_inverse_variance_mean() -> None:
    images = make_images()
    images["a"][0, 0] = np.nan
    bad = np.zeros(SHAPE, dtype=bool)
    bad[0, :2] = True
    stack = stacks.stack_images(images, {"b": bad})
    wa, wb = stack.rms["a"] ** -2, stack.rms["b"] ** -2
    a, b = images["a"] - stack.background["a"], images["b"] - stack.background["b"]
    assert stack.data[9, 9] == pytest.approx((wa * a[9, 9] + wb * b[9, 9]) / (wa + wb), rel=1e-12)
    assert stack.error[9, 9] == pytest.approx((wa + wb) ** -0.5, rel=1e-12)
    assert np.isnan(stack.data[0, 0])
    assert stack.error[0, 0] == np.inf
    assert stack.data[0, 1] == pytest.approx(a[0, 1], rel=1e-12)
    assert (stack.rms["a"], stack.rms["b"]) == pytest.approx((1.0, 2.0), rel=0.03)  # 0.6 % noise, the sources' wings
    assert stack.warnings == []


def test_stack_accepts_big_endian_and_integer_images() -> None:
    images = {"a": np.rint(make_images()["a"] * 10).astype(">i2")}
    assert np.isfinite(stacks.stack_images(images, {}).data).all()


def test_images_with_few_usable_pixels_are_not_used() -> None:
    images = make_images()
    images["b"][:90] = np.nan
    stack = stacks.stack_images(images, {})
    assert list(stack.snr) == ["a"]
    assert stack.warnings == ["Detection image b is not used: 55% of its pixels are usable, 60% are required."]
    images["a"][:90] = np.nan
    with pytest.raises(UnblendError, match=r"No detection image is usable \(a, b\).*60%.*bad_regions"):
        stacks.stack_images(images, {})


def test_images_on_different_grids() -> None:
    with pytest.raises(UnblendError, match=r"different shapes \(a \(5, 5\), b \(5, 6\)\).*one pixel grid"):
        stacks.stack_images({"a": np.zeros((5, 5)), "b": np.zeros((5, 6))}, {})


def test_a_constant_image_is_not_used() -> None:
    images = make_images()
    images["b"][:] = 7.0
    stack = stacks.stack_images(images, {})
    assert list(stack.snr) == ["a"]
    assert stack.warnings == ["Detection image b is not used: most of its usable pixels have the value 7."]
    images["a"][:] = np.nan
    with pytest.raises(UnblendError, match=r"No detection image is usable \(a, b\): .* Detection image a is not"):
        stacks.stack_images(images, {})


@pytest.mark.parametrize(("weight", "in_image_units", "warned"), [(12.0, (), 0), (12.0, "a", 1), (0.8, "a", 0)])
def test_only_a_map_in_the_unit_of_the_image_can_be_wrong_by_a_factor(weight, in_image_units, warned) -> None:
    """A coverage of 12 frames is no noise of 0.29; a noise of 0.29 where the pixels scatter by 1.0 is wrong."""
    stack = stacks.stack_images(
        {"a": make_images()["a"]}, {}, {"a": np.full(SHAPE, weight)}, in_image_units=in_image_units
    )
    assert stack.rms["a"] == pytest.approx(1.0, rel=0.03)
    assert len(stack.warnings) == warned
    assert all("scatter by" in warning and "bands.a.weight" in warning for warning in stack.warnings)
