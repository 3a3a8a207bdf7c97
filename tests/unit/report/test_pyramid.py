from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread
from unblend.report import pyramid
from unblend.report.pixels import binned
from unblend.report.pyramid import Pyramid, halved

SHAPE = (37, 53)


class Folder:
    """Keeps the tiles as arrays with the first row at the bottom, by name."""

    def __init__(self):
        self.tiles = {}

    def write_images(self, name, pngs):
        self.tiles[name] = [np.rint(imread(io.BytesIO(png))[::-1] * 255) for png in pngs]


def whole(tiles, level, layer):
    """Return a level put together from its tiles."""
    places = {tuple(map(int, n.split("/")[2].split("-"))): t for n, t in tiles.items() if n.split("/")[1] == str(level)}
    rows, columns = (max(place[k] for place in places) + 1 for k in (0, 1))
    return np.vstack([np.hstack([places[row, column][layer] for column in range(columns)]) for row in range(rows)])


def made(layers, strip, monkeypatch, kept_width=14):
    monkeypatch.setattr(pyramid, "TILE", 8)
    folder = Folder()
    found = Pyramid(folder, "k", SHAPE, [np.rint, lambda layer: np.where(layer > 0, 255, 0)], kept_width)
    for first in range(0, SHAPE[0], strip):
        found.add(layers[:, first : first + strip])
    found.close()
    return found, folder.tiles


@pytest.fixture
def layers():
    rng = np.random.default_rng(5)
    return np.stack([rng.uniform(20, 200, SHAPE), rng.uniform(size=SHAPE) > 0.9]).astype(np.float32)


@pytest.mark.parametrize("strip", [1, 2, 6, 20, 37])
def test_tiles_are_the_image_and_its_averages_whatever_the_strips(layers, strip, monkeypatch):
    found, tiles = made(layers, strip, monkeypatch)
    # 53 → 27 → 14 → 7 pixels
    assert found.number_of_levels == 4 and {name.split("/")[1] for name in tiles} == {"0", "1", "2", "3"}
    mean = layers[0].astype(float)
    for level in range(4):
        # the rounding of float32, and of half integers
        assert np.abs(whole(tiles, level, 0) - mean).max() <= 0.5001
        mean = binned(mean, 2)
    assert all(tile.shape[0] <= 8 and tile.shape[1] <= 8 for pair in tiles.values() for tile in pair)
    assert len([name for name in tiles if name.startswith("k/0/")]) == 5 * 7
    # a border is seen in every average that holds it
    borders = whole(tiles, 1, 1)
    np.testing.assert_array_equal(borders, 255 * (binned(layers[1], 2) > 0))


def test_one_level_is_kept_as_a_whole(layers, monkeypatch):
    found, _ = made(layers, 5, monkeypatch)
    level, kept = found.kept
    assert level == 2 and kept.shape == (2, 10, 14)
    np.testing.assert_allclose(kept[0], binned(binned(layers[0], 2), 2), rtol=1e-6)


def test_an_image_smaller_than_a_tile_has_one(monkeypatch):
    folder = Folder()
    found = Pyramid(folder, "k", (3, 5), [np.rint], 100)
    found.add(np.full((1, 3, 5), 7.0, dtype=np.float32))
    found.close()
    assert found.number_of_levels == 1 and list(folder.tiles) == ["k/0/0-0"]
    np.testing.assert_array_equal(folder.tiles["k/0/0-0"][0], np.full((3, 5), 7.0))


def test_averages_ignore_masked_pixels_and_are_unknown_without_any():
    image = np.array([[[1.0, 3.0, np.nan], [5.0, np.nan, np.nan], [2.0, 4.0, 9.0]]], dtype=np.float32)
    np.testing.assert_array_equal(halved(image), [[[3.0, np.nan], [3.0, 9.0]]])
