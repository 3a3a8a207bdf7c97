"""Squares and lines of pixels of exactly one value that are larger than chance explains."""

from __future__ import annotations

import numpy as np

from ..core.areas import connected_areas
from ..core.strips import STRIP_PIXELS, BitMask, Workspace
from ..core.types import Box, WindowedImage
from .border_lines import CHANCE, SHORTEST_LINE

_SIDES = (3, 4, 5, 7, 9, 12, 16, 22, 31, 45, 63)
"""Sides in pixels of the squares of equal pixels that are looked for, the smallest first."""
_RARE_VALUE = 0.02
"""A value is rare if a smaller fraction of the other pixels has it."""


def large_areas(same: BitMask, persistence: float, work: Workspace) -> BitMask:
    """Return the squares and lines of pixels of one value that are larger than chance explains.

    A large one is found first; without its pixels the value is rarer in the image, and smaller ones are significant.

    Parameters
    ----------
    same : mask (ny, nx)
        True where a pixel has the value.
    persistence : float
        How much more often neighbours are equal than chance explains, 0 to 1.
    work : Workspace
    """
    found, size = BitMask(same.shape), same.shape[0] * same.shape[1]
    mine, inside, last = same.count(), 0, 0
    for _ in _SIDES:
        # what was found is part of `same`
        fraction = (mine - inside) / max(size - inside, 1)
        side = _least_side(persistence + (1.0 - persistence) * fraction, size)
        if side == last or side > min(same.shape):
            break
        found, last = _squares_and_lines(same, side, max(side**2, SHORTEST_LINE), work), side
        inside = found.count()
    if inside and mine - inside < _RARE_VALUE * size:
        # The edge of the padding of a rotated image is not made of squares.
        return _touching(same, found, work)
    return found


def _least_side(fraction: float, pixels: int) -> int:
    """Return the smallest side of squares that an image with this fraction of equal pixels does not have by chance."""
    for side in _SIDES:
        if pixels * fraction ** (side**2) < CHANCE:
            return side
    return 2 * _SIDES[-1]


def _squares_and_lines(same: BitMask, side: int, length: int, work: Workspace) -> BitMask:
    """Return the pixels of all squares of a side, and of all parts of rows and columns of a length."""
    found = work.mask(
        same.shape,
        lambda strip: (
            _opened(same[strip.wide.slices], side, side)[strip.inside] | _opened(same[strip.slices], 1, length)
        ),
        side - 1,
    )
    ny, nx = same.shape
    # whole columns, whose bits begin with a byte
    width = max(STRIP_PIXELS // max(ny, 1) // 8, 1) * 8
    for x in range(0, nx, width):
        window = Box(0, x, ny, min(x + width, nx)).slices
        columns = same[window]
        if columns.any():
            found[window] = found[window] | _opened(columns, length, 1)
    return found


def _touching(same: WindowedImage, found: BitMask, work: Workspace) -> BitMask:
    """Return the connected areas of a mask in which pixels of another one lie."""
    areas = connected_areas(same.shape, lambda strip: same[strip.slices], work)
    touched = np.zeros(len(areas) + 1, dtype=bool)
    for strip in work.strips(same.shape):
        touched[areas[strip.slices][found[strip.slices]]] = True
    touched[0] = False
    return work.mask(same.shape, lambda strip: touched[areas[strip.slices]])


def _opened(same: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the pixels of all boxes of this size inside `same`."""
    if height > same.shape[0] or width > same.shape[1]:
        return np.zeros_like(same)
    corners = same
    for axis, side in enumerate((height, width)):
        corners = np.moveaxis(corners, axis, 0)
        done = 1
        while done < side:
            step = min(done, side - done)
            corners = corners[: corners.shape[0] - step] & corners[step:]
            done += step
        corners = np.moveaxis(corners, 0, axis)
    result = np.zeros_like(same)
    result[: corners.shape[0], : corners.shape[1]] = corners
    return _reaching(_reaching(result, height, 0), width, 1) if corners.any() else result


def _reaching(first: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Return `first` with the `length` - 1 pixels after each along an axis."""
    result, other = np.moveaxis(first.copy(), axis, 0), np.moveaxis(np.empty_like(first), axis, 0)
    done = 1
    while done < length:
        step = min(done, length - done)
        other[:step] = result[:step]
        np.logical_or(result[step:], result[:-step], out=other[step:])
        result, other = other, result
        done += step
    return np.moveaxis(result, 0, axis)
