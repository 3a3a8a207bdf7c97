"""Holes of the detection image: the cores of saturated stars, filled so that a star is detected as one source."""

from __future__ import annotations

import numpy as np

BRIGHT_RIM = 0.9
"""Fraction of the pixels around a hole that must be above the threshold for the hole to lie inside a segment."""
WIDEST_TRAIL = 12
"""Width in pixels up to which a hole that reaches out of a segment is filled where it crosses the segment, as the
bleeding trail of a saturated star does."""


def fill_holes(
    snr: np.ndarray, holes: np.ndarray, threshold: float, noise: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return a S/N image with the holes inside segments filled by the brightest pixel around each.

    Parameters
    ----------
    snr : array (ny, nx)
    holes : bool array (ny, nx)
        True where the image is not known and may be filled.
    threshold : float
        Detection threshold, in the units of `snr`.
    noise : array (ny, nx), optional
        Local noise, infinite where the image is not known; filled by the median around a hole.

    Returns
    -------
    snr : array (ny, nx)
    noise : array (ny, nx) or None
    filled : bool array (ny, nx)
        True where a value was filled in.
    """
    from scipy.ndimage import binary_dilation, find_objects, label

    filled = np.zeros(snr.shape, dtype=bool)
    if not holes.any():
        return snr, noise, filled
    result, noise = snr.copy(), None if noise is None else noise.copy()
    everywhere = np.ones((3, 3), dtype=bool)
    areas, _ = label(holes, everywhere)
    crossed = _between_bright(snr > threshold, holes)
    for number, window in enumerate(find_objects(areas), start=1):
        window = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in window)
        hole = areas[window] == number
        rim = binary_dilation(hole, everywhere) & ~holes[window]
        bright = rim & (snr[window] > threshold)
        if not bright.any():
            continue
        inside = hole if bright.sum() >= BRIGHT_RIM * rim.sum() else hole & crossed[window]
        result[window][inside] = snr[window][bright].max()
        filled[window] |= inside
        if noise is not None:
            noise[window][inside] = np.median(noise[window][bright])
    return result, noise, filled


def holes_of_segments(segments: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return True on the holes that belong to segments which somebody has drawn across them, bool array (ny, nx).

    They are surrounded by pixels of the segment that are known, or are so narrow that known pixels lie on both sides
    along a row or a column. A hole that reaches into a segment from outside is none: nobody knows what it hides.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky. IDs may be large.
    holes : bool array (ny, nx)
        True where the image is not known and may be filled.
    """
    from scipy.ndimage import binary_fill_holes, find_objects

    filled = np.zeros(segments.shape, dtype=bool)
    partly = np.unique(segments[holes & (segments > 0)])
    # counted from 1: IDs may be as large as 2e9, and find_objects makes an entry for each number
    counted = np.where(np.isin(segments, partly), np.searchsorted(partly, segments) + 1, 0)
    for number, window in zip(partly.tolist(), find_objects(counted), strict=True):
        own = segments[window] == number
        hole = own & holes[window]
        known = own & ~hole
        filled[window] |= hole & (binary_fill_holes(known) | _between_bright(known, hole))
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
