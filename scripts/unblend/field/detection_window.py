"""The detection image and its segments on the pixels of a band: only the part that the band covers is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import cut_wcs, to_grid
from ..core.types import Box
from ..images.masks import project_mask, sample_mask
from ..io.images import read_label_window, read_shape, read_wcs, read_window

if TYPE_CHECKING:
    from astropy.wcs import WCS

MARGIN_PIXELS = 2
"""Around the part that a band covers: a mask on coarser pixels depends on all that lie in them."""
Window = tuple[np.ndarray, "WCS"]
"""A mask of a part of the detection image, and the WCS of this part."""


def projected_segments(path: str, wcs: WCS, shape: tuple[int, ...]) -> np.ndarray:
    """Return True on the pixels of a band that a segment touches, see `project_mask`.

    Parameters
    ----------
    path : str
        The segmentation map.
    wcs : WCS
        Of the band.
    shape : (ny, nx)
        Of its image.

    Returns
    -------
    bool array (ny, nx)
    """
    segments, own = _window(path, wcs, shape, _is_segment)
    return project_mask(segments, own, wcs, (shape[0], shape[1]))


def sampled_segments(path: str, wcs: WCS, shape: tuple[int, ...]) -> np.ndarray:
    """Return True on the pixels of a band whose centre is in a segment; parameters as in `projected_segments`."""
    segments, own = _window(path, wcs, shape, _is_segment)
    return sample_mask(wcs, (shape[0], shape[1]), own, segments)


def sampled_detection(path: str, wcs: WCS, shape: tuple[int, ...]) -> np.ndarray:
    """Return True on the pixels of a band whose centre is on an observed pixel of the detection image `path`."""
    observed, own = _window(path, wcs, shape, lambda name, box: np.isfinite(read_window(name, box)))
    return sample_mask(wcs, (shape[0], shape[1]), own, observed)


def _is_segment(name: str, box: Box) -> np.ndarray:
    return read_label_window(name, box, 0) > 0


def _window(path: str, wcs: WCS, shape: tuple[int, ...], read: Callable[[str, Box], np.ndarray]) -> Window:
    """Return the mask that `read` makes of the part of a detection image that a band covers."""
    own, whole = read_wcs(path), Box.of_shape(read_shape(path))
    box = _covered(own, wcs, shape) & whole
    if box == whole:
        return read(path, box), own
    return read(path, box), cut_wcs(own, box)


def _covered(own: WCS, wcs: WCS, shape: tuple[int, ...]) -> Box:
    """Return the box around the pixels of the grid `own` on which a band's image lies."""
    ny, nx = shape[0], shape[1]
    rows, columns = np.linspace(-0.5, ny - 0.5, 20), np.linspace(-0.5, nx - 0.5, 20)
    top_bottom = [(y, x) for y in (-0.5, ny - 0.5) for x in columns]
    left_right = [(y, x) for x in (-0.5, nx - 0.5) for y in rows]
    y, x = to_grid(wcs, own, *np.array([*top_bottom, *left_right]).T)
    known = np.isfinite(y) & np.isfinite(x)
    if not known.all():
        return Box.of_shape((np.iinfo(np.int32).max,) * 2)
    low, high = np.floor([y.min(), x.min()]).astype(int), np.ceil([y.max(), x.max()]).astype(int)
    return Box(low[0], low[1], high[0] + 1, high[1] + 1).grown(MARGIN_PIXELS)
