"""A band that is measured in tiles: where they lie, which sources each of them owns, and their products as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import sky_to_pixel
from ..core.flags import Flag
from ..core.tiles import FOLDER, Tile
from ..core.types import Box, Region, Template
from ..io.images import ROWS_AT_ONCE, read_header, read_label_window, read_shape, read_wcs, read_window, write_strips
from ..io.regions import read_regions
from ..io.tables import read_table
from .failed_band import MASK, PSF, failure_of

if TYPE_CHECKING:
    from astropy.wcs import WCS


class TiledBand:
    """The tiles of a band.

    Parameters
    ----------
    spec : mapping
        The job spec: `band`; `image`, whose `file` has the grid; `tiles`: `core` and `window` of each by name.
    results : Path
        Folder of the products.
    """

    def __init__(self, spec: Mapping[str, Any], results: Path) -> None:
        self.results, self.folder, self._image = results, results / "bands" / spec["band"], spec["image"]["file"]
        self.tiles = [
            Tile(int(row), int(column), Box(*boxes["core"]), Box(*boxes["window"]))
            for (row, column), boxes in ((name.split("_"), boxes) for name, boxes in spec["tiles"].items())
        ]

    @cached_property
    def wcs(self) -> WCS:
        """World coordinates of the whole image."""
        return read_wcs(self._image)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole image."""
        return read_shape(self._image)

    def folder_of(self, tile: Tile) -> Path:
        """Return the folder of the products of a tile."""
        return self.folder / FOLDER / tile.name

    def owner(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the index of the tile that owns each pixel position of the image; off the image, the nearest tile.

        Parameters
        ----------
        y, x : arrays (n,)
            0-based.

        Returns
        -------
        int array (n,)
            −1 where a position is not finite.
        """
        inside = [np.clip(at, 0, side - 1) for at, side in zip((y, x), self.shape, strict=True)]
        found = np.full(len(y), -1)
        for k, tile in enumerate(self.tiles):
            found[tile.owns(*inside)] = k
        return found

    def owners(self, sources: np.ndarray) -> dict[int, int]:
        """Return the index of the tile that owns each source, by ID, of a table with the columns id, ra and dec."""
        tiles = self.owner(*sky_to_pixel(self.wcs, sources["ra"], sources["dec"]))
        return dict(zip(sources["id"].tolist(), tiles.tolist(), strict=True))

    def tables(self, name: str) -> list[np.ndarray]:
        """Return a table of every tile."""
        return [read_table(self.folder_of(tile) / name) for tile in self.tiles]

    def failure(self) -> str | None:
        """Return why an input of the band cannot be used, as mask or PSF of one of its tiles says; None otherwise."""
        names = (f"{self.folder.name}/{FOLDER}/{tile.name}" for tile in self.tiles)
        found = (failure_of(name, self.results, (MASK, PSF)) for name in names)
        return next((sentence for sentence in found if sentence is not None), None)

    def write_mosaic(
        self,
        name: str,
        *,
        header: Mapping[str, object] | None = None,
        added: Sequence[float] | np.ndarray = (),
        of_labels: bool = False,
    ) -> None:
        """Write an image of the band from those of the tiles, some rows at a time.

        Parameters
        ----------
        name : str
            Of the file, in the folders of the tiles and of the band.
        header : mapping, optional
            Further cards.
        added : array (t,), optional
            Value to add to the pixels of each tile.
        of_labels : bool
            Whether the pixels are small whole numbers, as those of a mask.
        """
        read = _read_labels if of_labels else read_window
        add = added if len(added) else np.zeros(len(self.tiles))
        paths = [str(self.folder_of(tile) / name) for tile in self.tiles]
        # values beyond the range of float32 are stored as float64
        dtype = "u1" if of_labels else "f8" if any(read_header(path)["BITPIX"] == -64 for path in paths) else "f4"
        strips = self._strips(lambda tile, box, k: read(str(self.folder_of(tile) / name), box) + add[k])
        write_strips(self.folder / name, self.shape, dtype, strips, wcs=self.wcs, header=header)

    def _strips(self, pixels: Callable[[Tile, Box, int], np.ndarray]) -> Iterator[np.ndarray]:
        """Return the rows of the image from top to bottom; `pixels` reads a box of a tile's own image."""
        rows = sorted({(tile.core.y0, tile.core.y1) for tile in self.tiles})
        for first, last in rows:
            abreast = [(k, tile) for k, tile in enumerate(self.tiles) if tile.core.y0 == first]
            for y0 in range(first, last, ROWS_AT_ONCE):
                y1 = min(y0 + ROWS_AT_ONCE, last)
                boxes = [(k, tile, replace(tile.core, y0=y0, y1=y1)) for k, tile in abreast]
                yield np.hstack([pixels(t, box.shifted(-t.window.y0, -t.window.x0), k) for k, t, box in boxes])

    def regions(self, name: str) -> list[Region]:
        """Return the regions of a file of all tiles whose centre is in the tile, in the pixels of the whole image."""
        found = []
        for k, tile in enumerate(self.tiles):
            for region in read_regions(self.folder_of(tile) / name):
                moved = region.moved(tile.window.y0, tile.window.x0)
                points = np.mean(moved.points, axis=0)
                y, x = points if moved.frame == "image" else _one(sky_to_pixel(self.wcs, points[0], points[1]))
                if self.owner(np.array([y]), np.array([x]))[0] == k:
                    found.append(moved)
        return found


def _one(position: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    return float(position[0][0]), float(position[1][0])


def _read_labels(name: str, box: Box) -> np.ndarray:
    return read_label_window(name, box, 0).astype(np.uint8)


def joined_rows(tables: Sequence[np.ndarray], tile: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return one row for each source, from the table of the tile that owns it.

    Parameters
    ----------
    tables : sequence of structured arrays
        One of each tile, with the columns id and, possibly, flag.
    tile : int array (n,)
        Index of the tile that owns the source, −1 for none.
    ids : int array (n,)

    Returns
    -------
    structured array (n,)
        Without a row in its tile, a source has NaN, and the flag NO_PIXELS.
    """
    rows = np.zeros(len(ids), dtype=tables[0].dtype)
    for name in rows.dtype.names or ():
        if rows[name].dtype.kind == "f":
            rows[name] = np.nan
    if "flag" in (rows.dtype.names or ()):
        rows["flag"] = int(Flag.NO_PIXELS)
    rows["id"] = ids
    for k, table in enumerate(tables):
        own = np.flatnonzero(tile == k)
        place = {int(i): row for row, i in enumerate(table["id"])}
        known = [n for n in own.tolist() if int(ids[n]) in place]
        found = [place[int(ids[n])] for n in known]
        for name in rows.dtype.names or ():
            rows[name][known] = table[name][found]
    return rows


def moved_template(template: Template, tile: Tile) -> Template:
    """Return a template of a tile in the pixels of the whole image."""
    return replace(template, box=template.box.shifted(tile.window.y0, tile.window.x0))
