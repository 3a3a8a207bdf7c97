"""Offsets of several pixels are found from the templates, in crowded fields and with masked pixels, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from unblend.photometry.linear_system import model_image
from unblend.registration.large_offsets import common_offset, offset_shares

SHAPE = (140, 150)
PLACES = [(31.3, 33.2), (35.0, 91.0), (70.4, 45.7), (95.0, 40.0), (80.0, 105.0), (62.0, 98.5)]
FLUX = np.array([600.0, 500.0, 400.0, 350.0, 300.0, 250.0])
FWHM = 2.3548 * 1.5


def templates(dy=0.0, dx=0.0):
    return [gaussian(k, y + dy, x + dx, SHAPE) for k, (y, x) in enumerate(PLACES, 1)]


def find_large_offset(image, weight, sources, reach):
    return common_offset(list(offset_shares(image, weight, sources, reach).values()))


def image(dy, dx, seed=1, flux=FLUX):
    clean = model_image(templates(dy, dx), flux, SHAPE)
    return clean + np.random.default_rng(seed).normal(size=SHAPE)


@pytest.mark.parametrize("offset", [(0.0, 3.0), (-8.3, 5.4), (0.0, -14.0), (1.6, 0.0)])
def test_an_offset_is_found_to_a_fraction_of_a_pixel(offset):
    found = find_large_offset(image(*offset), np.ones(SHAPE), templates(), 15)
    assert found is not None and found.compared == 6 and found.agreeing >= 5
    assert found.offset == pytest.approx(offset, abs=0.15) and found.is_large(FWHM)


def test_an_aligned_band_is_not_offset_nor_by_a_pixel():
    for seed in range(5):
        found = find_large_offset(image(0.0, 0.0, seed), np.ones(SHAPE), templates(), 15)
        assert found is not None and np.hypot(*found.offset) < 0.2 and not found.is_large(FWHM)
    found = find_large_offset(image(0.7, 0.3), np.ones(SHAPE), templates(), 15)
    assert found is not None and not found.is_large(FWHM)


def test_a_bright_star_of_its_own_motion_does_not_decide():
    drawn = model_image(templates()[1:], FLUX[1:], SHAPE)
    drawn += model_image([gaussian(1, PLACES[0][0] + 6.0, PLACES[0][1], SHAPE)], np.array([1e5]), SHAPE)
    found = find_large_offset(drawn, np.ones(SHAPE), templates(), 15)
    assert found is not None and found.offset == pytest.approx((0.0, 0.0), abs=0.1) and found.agreeing == 5


def test_faint_bands_masked_and_empty_images_give_nothing():
    assert find_large_offset(image(0.0, 5.0, flux=0.05 * FLUX), np.ones(SHAPE), templates(), 15) is None
    assert find_large_offset(image(0.0, 5.0), np.zeros(SHAPE), templates(), 15) is None
    assert find_large_offset(np.full(SHAPE, np.nan), np.ones(SHAPE), templates(), 15) is None
    assert find_large_offset(image(0.0, 5.0), np.ones(SHAPE), templates()[:2], 15) is None


def test_masked_pixels_are_left_out():
    weight = np.ones(SHAPE)
    weight[60:80, :] = 0.0
    data = image(0.0, 4.0)
    data[60:80, :] = 1e6
    found = find_large_offset(data, weight, templates(), 12)
    assert found is not None and found.compared < 6 and found.offset == pytest.approx((0.0, 4.0), abs=0.15)


def test_crowded_fields():
    rng = np.random.default_rng(3)
    crowd, flux = gaussian_field(120, 150, rng)
    shape = (150, 150)
    shifted = [t if t.box.is_empty else moved(t, shape, 4) for t in crowd]
    for drawn, expected in ((crowd, (0.0, 0.0)), (shifted, (0.0, 4.0))):
        data = model_image(drawn, flux, shape) + rng.normal(size=shape)
        found = find_large_offset(data, np.ones(shape), crowd, 15)
        assert found is not None and found.offset == pytest.approx(expected, abs=0.3)
        assert found.is_large(FWHM) == (expected != (0.0, 0.0))


def moved(template, shape, step):
    rows, columns = np.indices(template.data.shape)
    y = float((rows * template.data).sum() / template.data.sum()) + template.box.y0
    x = float((columns * template.data).sum() / template.data.sum()) + template.box.x0
    return gaussian(template.id, y, x + step, shape)
