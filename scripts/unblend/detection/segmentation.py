"""Segmentation of a S/N image: connected areas above the threshold, and blends taken apart.

Areas are found strip by strip in an image of any size. Each is then deblended as a whole by sep. Areas that only noise
on the wings of a brighter one lifted above the threshold are left out as in SExtractor (Bertin & Arnouts 1996, A&AS
117, 393, section 6.2, "cleaning").
"""

from __future__ import annotations

import numpy as np

from ..core.areas import Areas, Extents, connected_areas, extents
from ..core.errors import UnblendError
from ..core.strips import Canvas, Derived, Strip, Workspace
from ..core.types import Box, WindowedImage
from ..images.pixel_stack import set_pixel_stack

_MAX_SUB_OBJECTS = 32000
"""Limit of sub-objects in sep, which counts them in 16 bits."""
CELL_PIXELS, CLEANING_PIXELS = 2500, 500
"""Side of the cells in which the areas of a large image are cleaned, and how far around them brighter ones are looked
for: ten times the length of a galaxy of 25 pixels. sep needs some 20 bytes for each pixel of a cell."""


def find_segments(
    snr: WindowedImage,
    mask: WindowedImage,
    *,
    noise: WindowedImage | None = None,
    threshold: float,
    min_area: int,
    deblend_levels: int,
    deblend_contrast: float,
    work: Workspace | None = None,
) -> Canvas:
    """Return the deblended segmentation of a S/N image (int32, 0 = sky), with IDs in no particular order.

    Parameters
    ----------
    snr : image (ny, nx)
    mask : bool image (ny, nx)
        True = ignored.
    noise : image (ny, nx), optional
        Local noise up to a factor. Blends are then separated in surface brightness, snr × noise: in S/N a galaxy on a
        step of the depth has two peaks. None: constant noise.
    threshold : float
        Detection threshold in units of the noise.
    min_area : int
        Smallest number of connected pixels above the threshold.
    deblend_levels : int
        Number of thresholds for deblending; below 2 there is none.
    deblend_contrast : float
        Smallest fraction of the flux of a blend that is separated as a source; 1 for none.
    work : Workspace, optional

    Raises
    ------
    UnblendError
        No source is detected.
    """
    work = work or Workspace()
    blobs, found = _blobs(snr, mask, threshold, min_area, work)
    if not found.ids.size:
        raise no_source(f"no {min_area} connected pixels are above {threshold:g} sigma")
    deblending = None if deblend_levels < 2 or deblend_contrast >= 1.0 else (deblend_levels, deblend_contrast)
    number = np.zeros(len(blobs) + 1, dtype=np.int32)
    count, divided = 0, []
    for label, box in found.boxes().items():
        number[label] = count + 1
        parts = 1
        if deblending is not None and found.area[label - 1] >= 2 * min_area:
            own = _deblended(snr, noise, blobs[box.slices] == label, box, threshold, min_area, *deblending)
            parts = int(own.max())
            # sep may leave out pixels of an area
            if parts != 1 or np.count_nonzero(own) != found.area[label - 1]:
                divided.append((box, own, count))
                number[label] = 0
        count += parts
    segments = work.new(snr.shape, np.int32)
    for strip in work.strips(snr.shape):
        segments[strip.slices] = number[blobs[strip.slices]]
    for box, own, before in divided:
        segments[box.slices] = np.where(own > 0, own + before, segments[box.slices])
    return segments


def no_source(reason: str) -> UnblendError:
    """Return the error of a detection without sources."""
    return UnblendError(
        f"No source is detected: {reason}. Check the detection images, or lower detection.threshold, min_area or "
        "min_snr."
    )


def _deblended(
    snr: WindowedImage,
    noise: WindowedImage | None,
    blob: np.ndarray,
    box: Box,
    threshold: float,
    min_area: int,
    levels: int,
    contrast: float,
) -> np.ndarray:
    """Return the segments of one connected area, numbered from 1.

    sep distributes pixels between blended sources with one sequence of random numbers for each call: a change of one
    area changes no other.
    """
    cutout = np.array(snr[box.slices], dtype=np.float64, order="C")
    if noise is not None:
        # Relative to the lowest noise, so that no pixel falls below the threshold.
        local = noise[box.slices][blob]
        cutout[blob] *= local / local.min()
    _, segments = _extract(cutout, ~blob, threshold, min_area, deblend_nthresh=levels, deblend_cont=contrast)
    return segments


def _extract(
    snr: np.ndarray, mask: np.ndarray | None, threshold: float, min_area: int, **settings: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the catalogue and the segments of sep."""
    import sep

    set_pixel_stack(snr, threshold, deblends="deblend_nthresh" in settings)
    sep.set_sub_object_limit(int(np.clip(snr.size // 16, 1024, _MAX_SUB_OBJECTS)))
    return sep.extract(
        snr, threshold, mask=mask, minarea=min_area, filter_kernel=None, segmentation_map=True, **settings
    )


def _blobs(
    snr: WindowedImage, mask: WindowedImage, threshold: float, min_area: int, work: Workspace
) -> tuple[Areas, Extents]:
    """Return the connected areas above the threshold, numbered from 1, without those that cleaning leaves out."""
    light = Derived(snr.shape, lambda window: np.asarray(snr[window], dtype=np.float32))

    def above(strip: Strip) -> np.ndarray:
        # in single precision, as sep compares them
        return np.asarray((light[strip.slices] > np.float32(threshold)) & ~np.asarray(mask[strip.slices], dtype=bool))

    areas = connected_areas(snr.shape, above, work)
    found = extents(areas, work)
    areas = areas.renumbered(_numbers(found.ids[found.area >= min_area], len(areas)))
    found = extents(areas, work)
    whole = Box.of_shape(snr.shape)
    cells = whole.tiles(CELL_PIXELS) if work.step(snr.shape) > 1 else [whole]
    kept = [_cleaned(cell, areas, found, light, threshold, min_area) for cell in cells]
    areas = areas.renumbered(_numbers(np.concatenate(kept), len(areas)))
    return areas, extents(areas, work)


def _numbers(kept: np.ndarray, number: int) -> np.ndarray:
    """Return new numbers from 1 for the areas that are kept, in this order, and 0 for the others."""
    result = np.zeros(number + 1, dtype=np.int32)
    result[kept] = np.arange(1, kept.size + 1)
    return result


def _cleaned(
    cell: Box, areas: Areas, found: Extents, light: WindowedImage, threshold: float, min_area: int
) -> np.ndarray:
    """Return the numbers of the areas of a cell that no brighter one within `CLEANING_PIXELS` of the cell outshines.

    An area belongs to the cell in which its first row and column lie.
    """
    wide = cell.grown(CLEANING_PIXELS) & Box.of_shape(areas.shape)
    near = (found.y0 < wide.y1) & (found.y1 > wide.y0) & (found.x0 < wide.x1) & (found.x1 > wide.x0)
    if not near.any():
        return np.zeros(0, dtype=int)
    first, stop = ((sides[0][near], sides[1][near]) for sides in ((found.y0, found.x0), (found.y1, found.x1)))
    around = Box(int(first[0].min()), int(first[1].min()), int(stop[0].max()), int(stop[1].max()))
    window = (wide | around).slices
    whole = np.zeros(len(areas) + 1, dtype=bool)
    whole[found.ids[near]] = True
    numbers = areas[window]
    snr = np.where(whole[numbers], light[window], np.float32(0.0))
    objects, _ = _extract(snr, None, threshold, min_area, deblend_cont=1.0)
    kept = numbers[objects["ypeak"], objects["xpeak"]]
    at = np.searchsorted(found.ids, kept)
    own = (found.y0[at] >= cell.y0) & (found.y0[at] < cell.y1) & (found.x0[at] >= cell.x0) & (found.x0[at] < cell.x1)
    return np.asarray(kept[own])
