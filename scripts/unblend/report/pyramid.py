"""An image of any size as tiles: itself, and its averages over squares of 2, 4, 8 … pixels.

The image arrives in strips, from the first row, and no more than a row of tiles of each average is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .page_folder import PageFolder
from .pixels import png

TILE = 512
"""Side of a tile in pixels."""
Encoding = Callable[[np.ndarray], np.ndarray]
"""Turns the pixels of a layer into 8 bits."""


class Pyramid:
    """Tiles of an image of one or more layers, in files `name`/`level`/`row`-`column` of PNGs, one for each layer.

    A page pixel of a level is the mean of 2 × 2 of the level below, without those that are NaN.

    Parameters
    ----------
    files : PageFolder
    name : str
    shape : (ny, nx)
    encodings : sequence of functions
        One for each layer.
    kept_width : int
        The first level that is not wider is kept, to be looked at as a whole.
    level : int
        0 for the image itself.
    """

    def __init__(
        self, files: PageFolder, name: str, shape: tuple[int, int], encodings: Sequence[Encoding], kept_width: int,
        level: int = 0,
    ):  # fmt: skip
        self._files, self._name, self._encodings, self._level = files, name, encodings, level
        ny, nx = shape
        self._strip = np.empty((len(encodings), min(TILE, ny), nx), dtype=np.uint8)
        self._filled, self._tile_row = 0, 0
        self._odd = np.empty((len(encodings), 0, nx), dtype=np.float32)
        self._kept: list[np.ndarray] | None = [] if nx <= kept_width else None
        self._next = None
        if max(shape) > TILE:
            # once a level is kept, no other is
            width = kept_width if self._kept is None else -1
            self._next = Pyramid(files, name, (-(-ny // 2), -(-nx // 2)), encodings, width, level + 1)

    @property
    def number_of_levels(self) -> int:
        """Number of levels: the last has one tile."""
        return 1 if self._next is None else 1 + self._next.number_of_levels

    @property
    def kept(self) -> tuple[int, np.ndarray]:
        """The number of the kept level and its layers (layers, ny, nx); the last one if all are too wide."""
        if self._kept is None and self._next is not None:
            return self._next.kept
        return self._level, np.concatenate(self._kept or [self._odd], axis=1)

    def add(self, layers: np.ndarray) -> None:
        """Add the next rows, shape (layers, rows, nx), float32."""
        coded = np.stack([code(layer) for code, layer in zip(self._encodings, layers, strict=True)])
        if self._kept is not None:
            self._kept.append(layers)
        for first in range(0, coded.shape[1], self._strip.shape[1]):
            self._store(coded[:, first : first + self._strip.shape[1]])
        if self._next is not None:
            rows = np.concatenate([self._odd, layers], axis=1) if self._odd.shape[1] else layers
            even = rows.shape[1] // 2 * 2
            if even:
                self._next.add(halved(rows[:, :even]))
            self._odd = rows[:, even:].copy()

    def close(self) -> None:
        """Write what is left of the last rows."""
        self._write_tiles()
        if self._next is not None:
            if self._odd.shape[1]:
                self._next.add(halved(self._odd))
            self._next.close()

    def _store(self, rows: np.ndarray) -> None:
        """Store up to a strip of rows, and write the strip when it is full."""
        space = self._strip.shape[1] - self._filled
        taken = rows[:, :space]
        self._strip[:, self._filled : self._filled + taken.shape[1]] = taken
        self._filled += taken.shape[1]
        if self._filled == self._strip.shape[1]:
            self._write_tiles()
            if rows.shape[1] > space:
                self._store(rows[:, space:])

    def _write_tiles(self) -> None:
        if not self._filled:
            return
        for column in range(-(-self._strip.shape[2] // TILE)):
            part = self._strip[:, : self._filled, column * TILE : (column + 1) * TILE]
            name = f"{self._name}/{self._level}/{self._tile_row}-{column}"
            self._files.write_images(name, [png(layer) for layer in part])
        self._filled, self._tile_row = 0, self._tile_row + 1


def halved(layers: np.ndarray) -> np.ndarray:
    """Return the means of squares of 2 × 2 pixels, ignoring NaN; at an odd edge those of what is there.

    Parameters
    ----------
    layers : array (layers, ny, nx)
        float32.
    """
    odd = [(0, 0), *((0, side % 2) for side in layers.shape[1:])]
    if odd[1][1] or odd[2][1]:
        layers = np.pad(layers, odd, constant_values=np.nan)
    parts = [layers[:, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    mean = (parts[0] + parts[1] + parts[2] + parts[3]) * np.float32(0.25)
    unknown = np.isnan(mean)
    if unknown.any():
        squares = np.stack([part[unknown] for part in parts])
        known = np.isfinite(squares)
        total, count = np.where(known, squares, 0.0).sum(axis=0), known.sum(axis=0)
        mean[unknown] = np.divide(total, count, out=np.full(total.shape, np.nan, dtype=np.float32), where=count > 0)
    return mean
