"""The view in which an image fits its sources is found, also if they have other colours, and none for other fields."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from unblend.photometry.linear_system import model_image
from unblend.photometry.mirrored_image import VIEWS, View, find_view, view_warning

SIDE = 140
SHAPE = (SIDE, SIDE)
FWHM = 2.3548 * 1.5
PLACES = np.random.default_rng(7).uniform(12, 98, (16, 2)).tolist()
FLUX = 800.0 * 0.8 ** np.arange(16)
BACK = {"rotated by 90 degrees": "rotated by -90 degrees", "rotated by -90 degrees": "rotated by 90 degrees"}


def templates(places=PLACES):
    return [gaussian(k, y, x, SHAPE) for k, (y, x) in enumerate(places, 1)]


def image(seed=1, places=PLACES):
    """Return an image whose sources have other colours than in the detection."""
    rng = np.random.default_rng(seed)
    flux = FLUX[: len(places)] * 10.0 ** rng.normal(0.0, 0.15, len(places))
    return model_image(templates(places), flux, SHAPE) + rng.normal(size=SHAPE)


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_mirrored_or_rotated_image_is_found(name):
    seen = VIEWS[name](image())
    found = find_view(seen, np.ones(SHAPE), templates(), FLUX, FWHM)
    if not name:
        assert found is None
    else:
        assert found is not None and found.name == BACK.get(name, name)
        assert f"when the image is {found.name}: its world" in view_warning(found, "k")


def test_an_image_far_off_is_found_with_its_shift():
    found = find_view(np.roll(image(), (9, -22), axis=(0, 1)), np.ones(SHAPE), templates(), FLUX, FWHM)
    assert found == View("", (-9, 22)) and str(found) == "moved by +22 pixels along X and -9 pixels along Y"


def test_another_field_noise_and_nothing_fit_in_no_view():
    for seed in range(4):
        places = np.random.default_rng(seed).uniform(10, 130, (16, 2)).tolist()
        assert find_view(image(seed, places), np.ones(SHAPE), templates(), FLUX, FWHM) is None
    assert find_view(image(places=[]), np.ones(SHAPE), templates(), FLUX, FWHM) is None
    assert find_view(image(), np.zeros(SHAPE), templates(), FLUX, FWHM) is None


def test_an_image_that_is_not_square():
    weight = np.ones((SIDE, SIDE))[:110]
    shown = [gaussian(k, y, x, weight.shape) for k, (y, x) in enumerate(PLACES, 1)]
    seen = (model_image(shown, FLUX, weight.shape) + np.random.default_rng(1).normal(size=weight.shape))[::-1]
    found = find_view(seen, weight, shown, FLUX, FWHM)
    assert found is not None and found.name == "mirrored along Y"


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_large_image_is_compared_in_squares_of_pixels(name, monkeypatch):
    monkeypatch.setattr("unblend.photometry.mirrored_image.LARGEST_SIDE", SIDE // 2 - 3)
    weight = np.ones((SIDE, SIDE))[:110]
    shown = [gaussian(k, y, x, weight.shape) for k, (y, x) in enumerate(PLACES, 1)]
    seen = VIEWS[name](model_image(shown, FLUX, weight.shape) + np.random.default_rng(1).normal(size=weight.shape))
    if seen.shape != weight.shape:
        seen = np.pad(seen, ((0, 0), (0, 30)))[:110]
    found = find_view(seen, weight, shown, FLUX, FWHM)
    assert (found.name if found else "") == BACK.get(name, name)


def test_a_large_image_far_off_is_found_to_within_the_squares(monkeypatch):
    monkeypatch.setattr("unblend.photometry.mirrored_image.LARGEST_SIDE", SIDE // 3)
    found = find_view(np.roll(image(), (9, -22), axis=(0, 1)), np.ones(SHAPE), templates(), FLUX, FWHM)
    assert found is not None and found.name == ""
    assert np.abs(np.subtract(found.shift, (-9, 22))).max() <= 4
