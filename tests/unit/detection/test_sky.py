"""The background of detection images: followed where it varies, left alone where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.detection.sky import detection_sky, subtract_sky

SHAPE = (200, 260)
Y, X = np.indices(SHAPE)
NONE = np.zeros(SHAPE, dtype=bool)
BOX = {"arcsec_per_pixel": 15.0 / 180.0}


def field(gradient=0.0, seed=1, noise=1.0):
    """Return galaxies of S/N 10 to 300 in noise, on a background that rises by `gradient` along x."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0.0, noise, SHAPE) + gradient * (X / SHAPE[1] - 0.5)
    for peak, y, x in zip(np.geomspace(3, 60, 25), rng.uniform(5, 195, 25), rng.uniform(5, 255, 25), strict=True):
        image += noise * peak * np.exp(-np.hypot(Y - y, X - x) / 3.0)
    return image


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("gradient", [1.0, 5.0, 30.0, -30.0])
def test_a_gradient_is_followed_beside_sources(gradient, seed):
    sky = detection_sky(field(gradient, seed), NONE, box_pixels=180)
    assert sky.varies and sky.noise == pytest.approx(1.0, rel=0.03)
    # from the second to the 98th percentile; wings of unmasked galaxies add 0.1
    assert sky.variation == pytest.approx(0.96 * abs(gradient), abs=0.15 + 0.01 * abs(gradient))
    difference = sky.background - gradient * (X / SHAPE[1] - 0.5)
    assert np.std(difference) < 0.08 and abs(np.median(sky.background)) < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_background_is_left_alone(seed):
    images = {"a": field(0.0, seed), "b": field(0.3, seed)}
    found = subtract_sky(images, {"a": NONE, "b": NONE}, "auto", **BOX)
    assert not found.backgrounds and not found.warnings and not found.messages
    assert all(found.images[name] is images[name] for name in images)


def test_what_is_subtracted_and_said():
    images = {"flat": field(), "tilted": field(4.0), "slightly": field(0.85)}
    masks = dict.fromkeys(images, NONE)
    found = subtract_sky(images, masks, "auto", **BOX)
    assert list(found.backgrounds) == ["tilted", "slightly"]
    np.testing.assert_array_equal(found.images["tilted"][:, :], images["tilted"] - found.backgrounds["tilted"])
    [warning], [message] = found.warnings, found.messages
    assert warning.startswith("The background of detection image tilted varies by 3.") and "slightly" in message
    assert "it is subtracted for the detection and the fits" in warning and "bands.tilted.background" in warning
    # never, and always
    found = subtract_sky(images, masks, None, **BOX)
    assert not found.backgrounds and "is not subtracted: set detection.background to auto" in found.warnings[0]
    assert list(subtract_sky(images, masks, {"box": 12.0, "statistic": "mean"}, **BOX).backgrounds) == list(images)


def test_correlated_noise_is_no_background():
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.random.default_rng(5).normal(size=SHAPE), 3.0)
    assert not detection_sky(smooth / smooth.std(), NONE, box_pixels=180).varies


def test_pixels_without_data_and_empty_images():
    image = np.where(X < 60, np.nan, field(10.0))
    sky = detection_sky(image, X > 240, box_pixels=180)
    known = (X >= 60) & (X <= 240)
    difference = (sky.background - 10.0 * (X / SHAPE[1] - 0.5))[known]
    assert np.isfinite(sky.background).all() and np.std(difference) < 0.1
    empty = detection_sky(np.full(SHAPE, np.nan), NONE, box_pixels=180)
    assert not empty.varies and not empty.background.any()
