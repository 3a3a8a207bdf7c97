"""The images of a large page: read in strips, in units of their noise, written as tiles of a pyramid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.shift_field import ShiftField
from ..core.types import Box
from ..field.fitted_background import fitted_background
from ..images.masks import circles
from ..io.files import read_json
from ..io.images import read_label_window, read_shape, read_wcs, read_window
from ..io.regions import read_regions
from .band_images import SAMPLE_PIXELS, PageImage, Placed, noise_and_black_level, used_window
from .page_folder import PageFolder
from .panels import MAX_WIDTH, PALETTE, panels
from .pixels import levels, png
from .plots import outline
from .pyramid import Pyramid

if TYPE_CHECKING:
    from astropy.wcs import WCS

STRIP_PIXELS = 2_000_000
"""Pixels that are read at once: 16 MB for each image, as float64."""


@dataclass(frozen=True)
class StripSource:
    """An image that is read in parts.

    Parameters
    ----------
    shape : (ny, nx)
    wcs : WCS
    read : function of a Box
        Returns the image without its background and its residual, NaN where masked, in image units.
    edges : function of a Box or None
        Returns 1 on the borders of segments and 0 elsewhere.
    shift_arcsec : (x, y)
        Shift of the band along image X, Y.
    """

    shape: tuple[int, int]
    wcs: WCS
    read: Callable[[Box], tuple[np.ndarray, np.ndarray]]
    edges: Callable[[Box], np.ndarray] | None = None
    shift_arcsec: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class SurveyImage:
    """An image whose pixels are in files.

    Parameters
    ----------
    page : PageImage
        With the record of the whole image, whose `image` and `residual` are those of a level of the pyramid.
    level : int
        Number of that level: its pixels are 2**level image pixels wide.
    """

    page: PageImage
    level: int

    def panels_png(self, results: Path, band: str) -> bytes:
        """Return image, model and residual side by side as a PNG, with the circles of the Monte Carlo."""
        drawn = circles(read_regions(results / "bands" / band / "monte_carlo.reg"), self.page.wcs)
        small = replace(self.page, factor=2**self.level)
        black = self.page.record["high"]
        return png(panels(small.image, small.residual, small.page_circles(drawn), black=black), PALETTE)


def strips(box: Box) -> Iterator[Box]:
    """Yield the parts of a box that are read at once, from its first row."""
    rows = max(2, STRIP_PIXELS // max(box.shape[1], 1) // 2 * 2)
    for y0 in range(box.y0, box.y1, rows):
        yield Box(y0, box.x0, min(y0 + rows, box.y1), box.x1)


def stack_source(results: Path) -> StripSource:
    """Return the stack of the detection images and its residual after subtraction of the fitted models."""
    stack, residual = str(results / "det_stack.fits"), str(results / "imfit/det_stack-sub.fits")
    segments, shape = str(results / "det_seg.fits"), read_shape(stack)

    def edges(box: Box) -> np.ndarray:
        around = Box(box.y0 - 1, box.x0 - 1, box.y1 + 1, box.x1 + 1) & Box.of_shape(shape)
        return outline(read_label_window(segments, around, 0))[box.within(around)]

    return StripSource(shape, read_wcs(stack), lambda box: (read_window(stack, box), read_window(residual, box)), edges)


def band_source(results: Path, band: str, image: str) -> tuple[StripSource, ShiftField | None]:
    """Return the image of a band without its background and its residual, and the band's field of shifts if it has one.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : str
    image : str
        The band's cutout.
    """
    folder = results / "bands" / band
    background, residual = str(folder / "background.fits"), str(folder / "residual.fits")
    shape = read_shape(residual)

    def read(box: Box) -> tuple[np.ndarray, np.ndarray]:
        data = read_window(image, box) - read_window(background, box)
        data -= np.nan_to_num(fitted_background(folder, shape, box))
        return data, read_window(residual, box)

    found = read_json(folder / "astrometry.json")
    dx, dy = found["shift_arcsec"]
    field = ShiftField.from_json(found["field"]) if found.get("field") else None
    # The header of the residual is short; that of the user's image may have thousands of cards.
    return StripSource(shape, read_wcs(residual), read, shift_arcsec=(dx, dy)), field


def write_survey_image(
    files: PageFolder, name: str, source: StripSource, shift_field: ShiftField | None = None
) -> SurveyImage:
    """Write the tiles of an image below the folder `name`, and return what the page needs to know of it.

    The image is read twice: for the level of its noise, and to be written.

    Parameters
    ----------
    files : PageFolder
    name : str
    source : StripSource
    shift_field : ShiftField or None
        Of the band, in addition to its shift.
    """
    known_rows, known_columns, data, residual = _measured(source)
    corner, window = used_window(known_rows, known_columns)
    sigma, black = noise_and_black_level(data, residual)
    box = Box(window[0].start, window[1].start, window[0].stop, window[1].stop)

    encodings = [levels, levels, *([_white] if source.edges else [])]
    pyramid = Pyramid(files, name, box.shape, encodings, kept_width=2 * MAX_WIDTH)
    for part in strips(box):
        layers = [values / sigma for values in source.read(part)]
        if source.edges:
            layers.append(source.edges(part))
        pyramid.add(np.asarray(layers, dtype=np.float32))
    pyramid.close()

    level, kept = pyramid.kept
    page = Placed(source.wcs, corner, box.shape, 1).page_image(
        kept[0], kept[1], sigma, black, source.shift_arcsec, pngs={}
    )
    page.record["levels"] = pyramid.number_of_levels
    return SurveyImage(replace(page, shift_field=shift_field), level)


def _measured(source: StripSource) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows and columns have unmasked pixels, and samples of the image and of its residual."""
    rows, columns = (np.zeros(side, dtype=bool) for side in source.shape)
    step = 1 + int(np.sqrt(source.shape[0] * source.shape[1] / SAMPLE_PIXELS))
    samples: list[np.ndarray] = []
    for box in strips(Box.of_shape(source.shape)):
        pair = np.stack(source.read(box))
        known = np.isfinite(pair[1])
        rows[box.slices[0]] = known.any(axis=1)
        columns |= known.any(axis=0)
        samples.append(pair[:, -box.y0 % step :: step, ::step].copy())
    data, residual = np.concatenate(samples, axis=1)
    return rows, columns, data, residual


def _white(edges: np.ndarray) -> np.ndarray:
    """Return 255 where an average holds any border of a segment."""
    return np.where(edges > 0, 255, 0).astype(np.uint8)
