"""The tiles of an image: cores that cover it once, windows with a margin."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.tiles import tile_grid


def test_cores_cover_the_image_once_and_windows_have_a_margin():
    tiles = tile_grid((100, 250), 100.0, 20)
    assert [tile.name for tile in tiles] == ["0_0", "0_1", "0_2"]
    covered = np.zeros((100, 250), dtype=int)
    for tile in tiles:
        covered[tile.core.slices] += 1
        assert tile.core in tile.window
    assert (covered == 1).all()
    sides = [tile.core.shape[1] for tile in tiles]
    assert max(sides) - min(sides) <= 1
    middle = tiles[1]
    assert (middle.window.x0, middle.window.x1) == (middle.core.x0 - 20, middle.core.x1 + 20)
    assert (middle.window.y0, middle.window.y1) == (0, 100)


@pytest.mark.parametrize(("side", "number"), [(300.0, 1), (250.0, 1), (249.9, 2), (50.0, 5)])
def test_an_image_has_as_few_tiles_as_fit(side, number):
    assert len(tile_grid((50, 250), side, 0)) == number


def test_every_position_on_the_image_has_one_owner():
    tiles = tile_grid((90, 110), 40.0, 5)
    rng = np.random.default_rng(1)
    edges = np.array([tile.core.y0 - 0.5 for tile in tiles if tile.core.y0])
    places = np.vstack([rng.uniform([-0.5, -0.5], [89.4, 109.4], (500, 2)), np.column_stack([edges, edges])])
    assert [sum(tile.owns(y, x) for tile in tiles) for y, x in places.tolist()] == [1] * len(places)
    assert not any(tile.owns(-0.6, 10.0) or tile.owns(90.0, 10.0) for tile in tiles)
