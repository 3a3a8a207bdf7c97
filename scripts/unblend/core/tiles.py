"""Tiles: the parts of a large image that are measured on their own, each in a window with a margin around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .types import Box

FOLDER = "tiles"
"""Folder of the tiles in that of the band: the tile 1_2 of the band hst is measured as the band hst/tiles/1_2."""


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Parameters
    ----------
    row, column : int
        Its place in the grid of tiles, from 0.
    core : Box
        The pixels of the tile. The cores of all tiles cover the image without overlap.
    window : Box
        The core with a margin, clipped to the image: the pixels that are read.
    """

    row: int
    column: int
    core: Box
    window: Box

    @property
    def name(self) -> str:
        """Row and column, the name of its folder."""
        return f"{self.row}_{self.column}"

    def owns(self, y: np.ndarray | float, x: np.ndarray | float) -> np.ndarray:
        """Return whether pixel positions of the whole image, 0-based, lie in the core.

        A position on the border of two tiles has one owner; one off the image has none.
        """
        row, column = np.floor(np.add(y, 0.5)), np.floor(np.add(x, 0.5))
        in_rows = (self.core.y0 <= row) & (row < self.core.y1)
        return np.asarray(in_rows & (self.core.x0 <= column) & (column < self.core.x1))


def tile_grid(shape: tuple[int, int], side: float, margin: int) -> list[Tile]:
    """Return the tiles of an image in the order of their rows and columns.

    Parameters
    ----------
    shape : (ny, nx)
        Of the image.
    side : float
        Largest side of a core, pixels. The tiles of an image are equal to a pixel.
    margin : int
        Width of the margin, pixels.
    """
    whole = Box.of_shape(shape)
    edges = [_edges(length, side) for length in shape]
    return [
        Tile(row, column, core := Box(y0, x0, y1, x1), core.grown(margin) & whole)
        for row, (y0, y1) in enumerate(edges[0])
        for column, (x0, x1) in enumerate(edges[1])
    ]


def _edges(length: int, side: float) -> list[tuple[int, int]]:
    """Return first and one past the last pixel of each part of an axis."""
    number = max(1, math.ceil(length / side))
    edges = [round(k * length / number) for k in range(number + 1)]
    return list(pairwise(edges))
