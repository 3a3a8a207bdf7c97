"""Holes of the detection image: the cores of saturated stars, filled so that a star is detected as one source."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..core.areas import Areas, connected_areas, extents, known_ids, only_ids
from ..core.strips import BitMask, Derived, Strip, Workspace
from ..core.types import WindowedImage

BRIGHT_RIM = 0.9
"""Fraction of the pixels around a hole that must be above the threshold for the hole to lie inside a segment."""
WIDEST_TRAIL = 12
"""Width in pixels up to which a hole that reaches out of a segment is filled where it crosses the segment, as the
bleeding trail of a saturated star does."""


@dataclass
class _Rim:
    """The known pixels around a hole: how many, how many above the threshold, their maximum and their noise."""

    pixels: int = 0
    bright: int = 0
    highest: float = -np.inf
    noise: list[np.ndarray] = field(default_factory=list)


def fill_holes(
    snr: WindowedImage,
    holes: WindowedImage,
    threshold: float,
    noise: WindowedImage | None = None,
    work: Workspace | None = None,
) -> tuple[WindowedImage, WindowedImage | None, WindowedImage]:
    """Return a S/N image with the holes inside segments filled by the brightest pixel around each.

    Parameters
    ----------
    snr : image (ny, nx)
    holes : bool image (ny, nx)
        True where the image is not known and may be filled.
    threshold : float
        Detection threshold, in the units of `snr`.
    noise : image (ny, nx), optional
        Local noise, infinite where the image is not known; filled by the median around a hole.
    work : Workspace, optional

    Returns
    -------
    snr : image (ny, nx)
    noise : image (ny, nx) or None
    filled : bool image (ny, nx)
        True where a value was filled in.
    """
    work, shape = work or Workspace(), snr.shape
    filled = BitMask(shape)
    areas = connected_areas(shape, lambda strip: holes[strip.slices], work)
    rims: dict[int, _Rim] = {}
    for strip in work.strips(shape, 1):
        if areas[strip.wide.slices].any():
            _add_rims(rims, areas, snr, noise, threshold, strip)
    bright = {number: rim for number, rim in rims.items() if rim.bright}
    if not bright:
        return snr, noise, filled
    value, local = np.full(len(areas) + 1, np.nan), np.full(len(areas) + 1, np.nan)
    entire = np.zeros(len(areas) + 1, dtype=bool)
    for number, rim in bright.items():
        value[number], entire[number] = rim.highest, rim.bright >= BRIGHT_RIM * rim.pixels
        local[number] = np.median(np.concatenate(rim.noise)) if rim.noise else np.nan
    result, new_noise = work.new(shape, np.float64), None if noise is None else work.new(shape, np.float64)
    for strip in work.strips(shape, WIDEST_TRAIL + 1):
        numbers, wide = areas[strip.slices], strip.wide.slices
        inside = np.isfinite(value)[numbers]
        if (inside & ~entire[numbers]).any():
            crossed = _between_bright(snr[wide] > threshold, holes[wide])[strip.inside]
            inside &= entire[numbers] | crossed
        filled[strip.slices] = inside
        result[strip.slices] = np.where(inside, value[numbers], snr[strip.slices])
        if noise is not None and new_noise is not None:
            new_noise[strip.slices] = np.where(inside, local[numbers], noise[strip.slices])
    return result, new_noise, filled


def _add_rims(
    rims: dict[int, _Rim], areas: Areas, snr: WindowedImage, noise: WindowedImage | None, threshold: float, strip: Strip
) -> None:
    """Add the pixels of a strip around each hole to what is known of its rim."""
    from scipy.ndimage import binary_dilation, find_objects

    numbers = areas[strip.wide.slices]
    light, local = snr[strip.wide.slices], None if noise is None else noise[strip.wide.slices]
    own = np.zeros(numbers.shape, dtype=bool)
    own[strip.inside] = True
    known, counted = np.unique(numbers, return_inverse=True)
    # counted from 0, which is the sky where there is any
    counted = counted.reshape(numbers.shape) + (known[0] > 0)
    everywhere = np.ones((3, 3), dtype=bool)
    for number, window in zip(known[known > 0].tolist(), find_objects(counted), strict=True):
        window = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in window)
        hole = numbers[window] == number
        rim = binary_dilation(hole, everywhere) & (numbers[window] == 0) & own[window]
        bright = rim & (light[window] > threshold)
        found = rims.setdefault(number, _Rim())
        found.pixels += int(rim.sum())
        if bright.any():
            found.bright += int(bright.sum())
            found.highest = max(found.highest, float(light[window][bright].max()))
            if local is not None:
                found.noise.append(local[window][bright])


def holes_of_segments(segments: WindowedImage, holes: WindowedImage, work: Workspace | None = None) -> BitMask:
    """Return True on the holes that belong to segments which somebody has drawn across them.

    They are surrounded by pixels of the segment that are known, or are so narrow that known pixels lie on both sides
    along a row or a column. A hole that reaches into a segment from outside is none: nobody knows what it hides.

    Parameters
    ----------
    segments : int image (ny, nx)
        0 = sky. IDs may be large.
    holes : bool image (ny, nx)
        True where the image is not known and may be filled.
    work : Workspace, optional
    """
    from scipy.ndimage import binary_fill_holes

    work = work or Workspace()
    filled = BitMask(segments.shape)
    partly = known_ids(Derived(segments.shape, lambda at: np.where(holes[at], segments[at], 0)), work)
    if not partly.size:
        return filled
    for number, box in extents(only_ids(segments, partly), work).boxes().items():
        own = segments[box.slices] == number
        hole = own & holes[box.slices]
        known = own & ~hole
        filled[box.slices] = filled[box.slices] | (hole & (binary_fill_holes(known) | _between_bright(known, hole)))
    return filled


def _between_bright(bright: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return True on narrow runs of holes along a row or a column with a bright pixel at both ends."""
    along_rows = _runs(bright, holes)
    return along_rows | _runs(bright.T, holes.T).T


def _runs(bright: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return True on runs of holes along rows of at most `WIDEST_TRAIL` pixels with a bright pixel at both ends."""
    result = np.zeros(holes.shape, dtype=bool)
    edges = np.diff(np.pad(holes, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, stops = np.argwhere(edges == 1), np.argwhere(edges == -1)
    for (row, start), (_, stop) in zip(starts.tolist(), stops.tolist(), strict=True):
        ends_inside = start > 0 and stop < holes.shape[1]
        if ends_inside and stop - start <= WIDEST_TRAIL and bright[row, start - 1] and bright[row, stop]:
            result[row, start:stop] = True
    return result
