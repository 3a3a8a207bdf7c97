"""Padding is told from real pixels, whatever the sky is."""

from __future__ import annotations

import numpy as np
import pytest
import unblend.images.unobserved as module
from scipy.ndimage import gaussian_filter
from unblend.images.border_lines import border_lines
from unblend.images.unobserved import unobserved

SHAPE = (120, 150)
Y, X = np.indices(SHAPE)
ROTATED = np.abs((Y - 60) * np.cos(0.5) + (X - 75) * np.sin(0.5)) < 40
ROTATED &= np.abs((X - 75) * np.cos(0.5) - (Y - 60) * np.sin(0.5)) < 55
PADDINGS = {
    "frame": (Y < 6) | (Y >= 112) | (X < 3) | (X >= 140),
    "one side": X < 30,
    "corners": ~ROTATED,
    "one row": Y == 0,
    "a row inside": Y == 70,
    "two columns": (X == 40) | (X == 149),
    "a gap": (X >= 60) & (X < 70),
    "a block inside": (Y > 40) & (Y < 60) & (X > 40) & (X < 60),
}


def field(sky=0.0, noise=1.0, seed=1):
    """Return galaxies and noise on a sky."""
    rng = np.random.default_rng(seed)
    image = rng.normal(sky, noise, SHAPE)
    for y, x in rng.uniform((5, 5), (115, 145), (8, 2)):
        image += 40.0 * noise * np.exp(-np.hypot(Y - y, X - x) / 2.0)
    return image


@pytest.mark.parametrize("padding", PADDINGS.values(), ids=PADDINGS)
@pytest.mark.parametrize("sky", [-5.0, 0.0, 0.5, 3.0, 100.0])
@pytest.mark.parametrize("value", [0.0, -99.0, 1e30])
def test_padding_of_any_value_under_any_sky(padding, sky, value):
    image = field(sky).astype(np.float32).astype(float)
    found = unobserved(np.where(padding, value, image))
    np.testing.assert_array_equal(found, padding)


@pytest.mark.parametrize("name", ["frame", "one side", "corners", "a gap"])
@pytest.mark.parametrize("sky", [0.0, 3.0, 100.0])
def test_padding_with_traces_of_rounding(name, sky):
    padding, traces = PADDINGS[name], np.random.default_rng(4).normal(0.0, 1e-12, SHAPE)
    found = unobserved(np.where(padding, traces, field(sky)))
    np.testing.assert_array_equal(found, padding)


@pytest.mark.parametrize("name", ["frame", "one side", "corners", "a gap"])
@pytest.mark.parametrize("sky", [0.0, 0.5, 3.0, 100.0])
@pytest.mark.parametrize("noise", [0.4, 0.6, 1.0, 3.0, 20.0])
def test_padding_of_integers(name, sky, noise):
    padding = PADDINGS[name]
    found = unobserved(np.where(padding, 0.0, np.rint(field(sky, noise))))
    real = ~padding
    # At the edge of the padding, real pixels of its value cannot be told from it. Where most of the real pixels have
    # that value, a narrow gap (here 10 pixels wide) is not found.
    assert np.count_nonzero(found & real) <= (0.03 if name == "corners" else 0.01) * real.sum()
    if noise >= 0.6 or sky or name != "a gap":
        assert np.count_nonzero(found & padding) >= 0.95 * padding.sum()


@pytest.mark.parametrize("width", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("sides", ["left", "top and right", "all"])
@pytest.mark.parametrize("noise", [0.4, 0.5, 0.7])
def test_narrow_padding_of_integers_at_the_edges(width, sides, noise):
    padding = np.zeros(SHAPE, dtype=bool)
    padding |= (width > X) & (sides != "top and right")
    padding |= ((SHAPE[0] - width <= Y) | (SHAPE[1] - width <= X)) & (sides != "left")
    padding |= (width > Y) & (sides == "all")
    for seed in range(3):
        image = np.rint(field(0.0, noise, seed))
        assert not unobserved(image).any()
        found = unobserved(np.where(padding, 0.0, image))
        assert found[padding].all()
        # the equal pixels of the field that touch the padding
        assert np.count_nonzero(found & ~padding) <= 0.01 * np.count_nonzero(~padding)


def test_narrow_padding_beside_missing_pixels():
    image = np.where(X < 3, 0.0, np.rint(field(0.0, 0.4)))
    image[:4] = np.nan
    image[-9:] = np.nan
    np.testing.assert_array_equal(unobserved(image), (X < 3) & np.isfinite(image))


@pytest.mark.parametrize("number", [0, 1, 3, 8, 20])
def test_the_edges_of_a_rounded_image_without_noise_are_kept(number):
    """Sources fade to zero, and the lines at the edges are zero between them: sky."""
    for seed in range(20):
        light = np.zeros(SHAPE)
        for y, x in np.random.default_rng(seed).uniform((2, 2), (118, 148), (number, 2)):
            light += 40.0 * np.exp(-np.hypot(Y - y, X - x) / 2.0)
        assert not border_lines(np.rint(light))[:, :].any()


@pytest.mark.parametrize("step", [1.0, 0.5, 1e-3])
@pytest.mark.parametrize("sky", [0.0, 0.5, 40.0])
@pytest.mark.parametrize("noise", [0.25, 0.3, 0.5, 1.0, 3.0, 10.0, 40.0])
def test_no_pixel_of_an_image_with_steps_is_taken_for_padding(noise, sky, step):
    for seed in range(3):
        assert not unobserved(step * np.rint(field(sky, noise, seed))).any()


def test_smoothed_integers_and_repeated_pixels_are_kept():
    smooth = gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 2.0)
    assert not unobserved(np.rint(4.0 * smooth / smooth.std())).any()
    for repeat in (2, 3, 4):
        assert not unobserved(field()[:40, :50].repeat(repeat, axis=0).repeat(repeat, axis=1)).any()


def test_the_sky_of_an_image_without_noise_is_kept():
    light = field(noise=1e-12)
    light = 40.0 * np.exp(-((Y - 40.0) ** 2 + (X - 60.0) ** 2) / 50.0) + 9.0 * np.exp(-np.hypot(Y - 90, X - 100) / 4.0)
    truncated = np.where(light > 0.01, light, 0.0)
    assert (truncated == 0).mean() > 0.3
    for image in (truncated, truncated + 7.0, -truncated):
        assert not unobserved(image).any()
    for image in (np.zeros(SHAPE), np.full(SHAPE, np.nan), np.zeros((2, 2)), np.zeros((0, 0))):
        assert not unobserved(image).any()


def test_counts_with_few_photons_are_kept():
    for mean in (0.01, 0.1, 1.0):
        assert not unobserved(np.random.default_rng(4).poisson(mean, SHAPE).astype(float)).any()


def test_the_plateau_of_a_saturated_star_is_kept():
    image = np.minimum(field() + 1e4 * np.exp(-np.hypot(Y - 60, X - 70) / 3.0), 200.0)
    assert np.count_nonzero(image == 200.0) > 200
    assert not unobserved(image).any()


def test_single_zeros_in_noise_around_zero():
    image = field()
    dead = np.random.default_rng(5).random(SHAPE) < 0.02
    np.testing.assert_array_equal(unobserved(np.where(dead, 0.0, image)), dead)
    far_below = unobserved(np.where(dead, 0.0, image + 100.0))
    # all but those at the edge
    assert not (far_below & ~dead).any() and far_below.sum() > 0.95 * dead.sum()
    # as deep as the noise goes: nothing is known of them
    assert not unobserved(np.where(dead, 0.0, image + 2.0)).any()


def test_padding_beside_missing_pixels():
    image = np.where(X < 20, np.nan, np.where(X < 40, 5.0, field(3.0)))
    np.testing.assert_array_equal(unobserved(image), (X >= 20) & (X < 40))


def test_several_paddings():
    image = np.where(X < 20, 0.0, np.where(X > 130, -1.0, field(3.0)))
    np.testing.assert_array_equal(unobserved(image), (X < 20) | (X > 130))


def test_the_mask_of_an_image_is_found_once(monkeypatch):
    calls = []
    padding = module._padding
    monkeypatch.setattr(module, "_padding", lambda *of: calls.append(1) or padding(*of))
    image = np.where(X < 20, 0.0, field(3.0, seed=99))
    first = unobserved(image)
    again = unobserved(image.copy())
    np.testing.assert_array_equal(first, again)
    assert len(calls) == 1 and again.dtype == bool and again is not first
    again[:] = True  # the mask belongs to the caller
    image[0, 100] = -1.0
    np.testing.assert_array_equal(unobserved(image), X < 20)
    assert len(calls) == 2
    np.testing.assert_array_equal(unobserved(image.T), (X < 20).T)  # the same bytes in another order
    for seed in range(20):
        unobserved(field(seed=seed)[:12, :13])
    assert len(module._KEPT) == module._MOST_KEPT
