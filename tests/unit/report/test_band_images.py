from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from field_products import COARSE, SCALE
from unblend.core.coordinates import pixel_to_sky
from unblend.core.shift_field import ShiftField
from unblend.report.band_images import page_image, read_band_image, same_page_pixels, used_part


def test_positions_include_the_shift_of_the_band(made):
    folder, field, _, _, _ = made
    green = read_band_image(folder / "results", "green", field.spec["bands"]["green"]["image"], 8)
    shifted = page_image(np.zeros(green.shape), np.zeros(green.shape), green.wcs, (0.12, -0.06), 8)
    ra, dec = pixel_to_sky(green.wcs, np.array([20.0]), np.array([30.0]))
    y, x = shifted.positions(ra, dec)
    assert (y[0], x[0]) == pytest.approx((20.0 - 1.0, 30.0 + 2.0), abs=1e-6)
    # a plane: 2 pixels times the coordinate, which is 0.5 at three quarters of 40 pixels
    plane = ShiftField(1, (0.0, 0.0, 40.0, 40.0), np.array([[0.0, 0.0, 2.0], [0.25, 0.0, 0.0]]), np.zeros((2, 3, 3)))
    y, x = replace(shifted, shift_field=plane).positions(ra, dec)
    assert (y[0], x[0]) == pytest.approx((20.0 - 1.0 + 1.0, 30.0 + 2.0 + 0.25), abs=1e-6)


def test_a_page_image_is_in_units_of_the_noise(made):
    folder, field, _, _, _ = made
    green = read_band_image(folder / "results", "green", field.spec["bands"]["green"]["image"], 8)
    residual = np.random.default_rng(1).normal(scale=3.0, size=green.shape)
    made_image = page_image(np.full(green.shape, 6.0), residual, green.wcs, (0.0, 0.0), 8)
    # the MAD of 10 000 pixels is known to 1.2 %
    assert made_image.sigma == pytest.approx(3.0, rel=0.05)
    np.testing.assert_allclose(made_image.image, 6.0 / made_image.sigma)
    assert made_image.record["sigma"] == made_image.sigma and made_image.record["binned"] == made_image.factor == 1
    # 2 sigma are fainter than the lower limit of the black level
    assert made_image.record["high"] == 30.0
    assert made_image.scale == pytest.approx(SCALE) and set(made_image.pngs) == {"image", "residual"}


def test_images_are_cropped_if_most_of_them_is_masked():
    residual = np.full((100, 200), np.nan)
    residual[40:61, 50:101] = 0.0
    # a margin of 4 % of the longer side of 50 pixels, and one pixel
    corner, window = used_part(residual)
    assert corner == (37, 47) and residual[window].shape == (27, 57)
    residual[:, :120] = 0.0
    assert used_part(residual) == ((0, 0), (slice(0, 100), slice(0, 200)))
    assert used_part(np.full((3, 4), np.nan)) == ((0, 0), (slice(0, 3), slice(0, 4)))


def test_bands_on_one_pixel_grid(made):
    folder, field, _, _, _ = made
    green, red, coarse = (
        read_band_image(folder / "results", b, field.spec["bands"][b]["image"], 8) for b in ("green", "red", COARSE)
    )
    assert same_page_pixels(green, red) and not same_page_pixels(green, coarse)


def test_positions_and_circles_in_a_cropped_and_binned_image(made):
    folder, field, _, _, _ = made
    green = read_band_image(folder / "results", "green", field.spec["bands"]["green"]["image"], 8)
    binned = replace(green, corner=(10, 20), factor=2)
    # pixels 10 and 11 are the first page pixel: the edge between them is its centre
    assert binned.to_page(10.5, 20.5) == (0.0, 0.0) and binned.to_page(12.5, 20.5) == (1.0, 0.0)
    assert binned.from_page(0.0, 1.0) == (10.5, 22.5)
    assert binned.page_circles([(10.5, 24.5, 3.0)]) == [(0.0, 2.0, 1.5)]
