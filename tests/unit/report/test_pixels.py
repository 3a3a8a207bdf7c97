from __future__ import annotations

import io

import numpy as np
from matplotlib.image import imread
from page_pixels import from_levels
from unblend.core.types import Box, Template
from unblend.report import pixels
from unblend.report.pixels import SOFTENING, STEP, UNKNOWN, ZERO, bin_factor, binned, levels, png, tile


def test_levels_are_fine_in_the_noise_and_relative_for_bright_pixels():
    values = np.array([-60.0, -3.0, 0.0, 0.7, 5.0, 100.0, 20000.0])
    error = np.abs(from_levels(levels(values)) - values)
    # half a step is 0.1 sigma at zero, and increases as the slope of sinh
    assert np.all(error <= 0.5 * STEP * np.hypot(values, SOFTENING) * 1.05)
    assert levels(np.array([0.0]))[0] == ZERO


def test_levels_of_nan_and_of_values_beyond_the_range():
    coded = levels(np.array([np.nan, -1e6, 1e9, np.inf]))
    assert coded.tolist() == [UNKNOWN, 1, 255, UNKNOWN] and coded.dtype == np.uint8
    assert np.isnan(from_levels(coded[:1]))[0]


def test_a_png_file_has_the_last_row_first():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    read = imread(io.BytesIO(png(grey)))
    np.testing.assert_array_equal(np.rint(read * 255).astype(int), grey[::-1])


def test_noise_takes_less_than_five_bits_per_pixel():
    noise = np.random.default_rng(1).normal(size=(200, 200))
    assert len(png(levels(noise))) < 5 / 8 * noise.size


def test_binned_by_hand():
    image = np.array([[1.0, 3.0, 7.0], [np.nan, 2.0, np.nan], [5.0, 5.0, 9.0]])
    np.testing.assert_allclose(binned(image, 2), [[2.0, 7.0], [5.0, 9.0]])
    assert binned(image, 1) is image
    np.testing.assert_array_equal(binned(np.full((2, 2), np.nan), 2), [[np.nan]])


def test_images_are_binned_if_the_page_would_be_too_large(monkeypatch):
    monkeypatch.setattr(pixels, "PAGE_PIXELS", 800)
    assert bin_factor(100, 8) == 1
    assert bin_factor(101, 8) == 2
    assert bin_factor(900, 8) == 3


def template(data, y0, x0):
    data = np.asarray(data, dtype=float)
    return Template(7, Box(y0, x0, y0 + data.shape[0], x0 + data.shape[1]), data)


def test_a_tile_contains_the_pixels_that_are_visible_in_the_noise():
    data = np.zeros((5, 6))
    data[2, 3], data[3, 4] = 0.5, 0.25
    y0, x0, coded = tile(template(data, 10, 20), 100.0, 1, (12.0, 23.0), 10.0)
    assert (y0, x0) == (12, 23)
    np.testing.assert_array_equal(coded, levels(np.array([[50.0, 0.0], [0.0, 25.0]])))


def test_a_tile_is_not_larger_than_its_card():
    # pixels 12 … 14 around 13
    y0, x0, coded = tile(template(np.ones((20, 20)), 0, 0), 5.0, 1, (13.0, 13.0), 1.0)
    assert (y0, x0, coded.shape) == (12, 12, (3, 3))
    assert tile(template(np.ones((4, 4)), 0, 0), 5.0, 1, (30.0, 30.0), 2.0) is None


def test_a_source_below_the_noise_has_no_tile():
    assert tile(template(np.full((3, 3), 0.1), 0, 0), 0.9, 1, (1.0, 1.0), 5.0) is None


def test_a_binned_tile_lies_on_the_binned_grid():
    data = np.zeros((3, 3))
    data[0, 0] = 4.0  # pixel (11, 21) of the image is a quarter of the binned pixel (5, 10)
    y0, x0, coded = tile(template(data, 11, 21), 10.0, 2, (5.0, 10.0), 5.0)
    assert (y0, x0) == (5, 10)
    np.testing.assert_array_equal(coded, levels(np.array([[10.0]])))


def test_a_png_with_a_palette():
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[7] = (10, 200, 30)
    read = imread(io.BytesIO(png(np.array([[7, 0]], dtype=np.uint8), palette)))
    np.testing.assert_array_equal(np.rint(read[0, :, :3] * 255).astype(int), [[10, 200, 30], [0, 0, 0]])
