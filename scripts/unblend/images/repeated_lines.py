"""Borders that repeat the pixels of the field: its last row again and again, its mirror image, or its other side.

Programs that convolve or warp an image fill its borders so. The pixels look like noise and sources, but were not
observed. Two rows of noise are never equal.
"""

from __future__ import annotations

import numpy as np

from ..core.strips import BitMask, Workspace, rows_of_strip
from ..core.types import Box, WindowedImage

MOST_OF_THE_IMAGE = 0.25
"""Largest fraction of the rows in a border: the mirror image of a simulated galaxy without noise goes to its middle."""
MOST_REPEATED = 0.5
"""Largest fraction of rows that are equal to another one: pixels divided into smaller ones repeat all rows."""
DISTINCT_FRACTION = 0.5
"""A row of noise has at least this fraction of distinct values; one of integers has fewer, and may be equal to others.
"""
COMPARED_FIRST = 64
"""Pixels of a row by which equal rows are looked for, before all are compared."""


def repeated_borders(image: np.ndarray) -> np.ndarray:
    """Return True in rows and columns at the edges of an image that are equal to others further inside.

    Parameters
    ----------
    image : array (ny, nx)
        Borders of NaN are ignored.
    """
    return repeated_border_mask(image, Workspace())[:, :]


def repeated_border_mask(image: WindowedImage, work: Workspace) -> BitMask:
    """Return what `repeated_borders` does, of an image of any size."""
    found = BitMask(image.shape)
    rows, columns = np.zeros(image.shape[0], dtype=bool), np.zeros(image.shape[1], dtype=bool)
    for strip in work.strips(image.shape):
        known = np.isfinite(image[strip.slices])
        rows[strip.slices[0]] = known.any(axis=1)
        columns |= known.any(axis=0)
    if not rows.any():
        return found
    (y0, y1), (x0, x1) = ((int(at[0]), int(at[-1]) + 1) for at in map(np.flatnonzero, (rows, columns)))
    field = Box(y0, x0, y1, x1)
    first, last = _borders(_Lines(image, field, columns=False), work)
    left, right = _borders(_Lines(image, field, columns=True), work)
    borders = [
        Box(y0, x0, y0 + first, x1),
        Box(y1 - last, x0, y1, x1),
        Box(y0, x0, y1, x0 + left),
        Box(y0, x1 - right, y1, x1),
    ]
    for border in borders:
        for part in border.strips(COMPARED_FIRST):
            found[part.slices] = found[part.slices] | np.isfinite(image[part.slices])
    return found


class _Lines:
    """The rows of a part of an image, or its columns."""

    def __init__(self, image: WindowedImage, field: Box, *, columns: bool) -> None:
        self._image, self._field, self._columns = image, field, columns
        self.number, self.length = field.shape[::-1] if columns else field.shape

    def __getitem__(self, index: int) -> np.ndarray:
        """Return the pixels of a line."""
        y0, x0, y1, x1 = self._field.y0, self._field.x0, self._field.y1, self._field.x1
        if self._columns:
            return self._image[slice(y0, y1), slice(x0 + index, x0 + index + 1)][:, 0]
        return self._image[slice(y0 + index, y0 + index + 1), slice(x0, x1)][0]

    def sampled(self, work: Workspace) -> np.ndarray:
        """Return every k-th pixel of all lines, at least `COMPARED_FIRST`, one line in a row."""
        step, field = max(1, self.length // COMPARED_FIRST), self._field
        if self._columns:
            rows = range(field.y0, field.y1, step)
            return np.stack([self._image[slice(y, y + 1), slice(field.x0, field.x1)][0] for y in rows], axis=1)
        strips = field.strips(work.rows or rows_of_strip(field.shape))
        return np.concatenate([np.array(self._image[strip.slices][:, ::step]) for strip in strips])


def _borders(lines: _Lines, work: Workspace) -> tuple[int, int]:
    """Return the number of first and of last lines that repeat other lines."""
    twins = _twins(lines, work)
    if not twins or len(twins) > MOST_REPEATED * lines.number:
        return 0, 0
    last_row = lines.number - 1
    first = last = 0
    while twins.get(first, (0, 0))[1] > first:
        first += 1
    while twins.get(last_row - last, (last_row, 0))[0] < last_row - last:
        last += 1
    most = MOST_OF_THE_IMAGE * lines.number
    return first if first <= most else 0, last if last <= most else 0


def _twins(lines: _Lines, work: Workspace) -> dict[int, tuple[int, int]]:
    """Return of each line that is equal to others the first and the last one of these."""
    alike: dict[bytes, list[int]] = {}
    for row, values in enumerate(np.ascontiguousarray(lines.sampled(work))):
        alike.setdefault(values.tobytes(), []).append(row)
    twins: dict[int, tuple[int, int]] = {}
    for rows in alike.values():
        if len(rows) > 1 and _is_noise(first := lines[rows[0]]):
            equal = [row for row in rows if np.array_equal(lines[row], first, equal_nan=True)]
            if len(equal) > 1:
                twins |= dict.fromkeys(equal, (equal[0], equal[-1]))
    return twins


def _is_noise(row: np.ndarray) -> bool:
    known = row[np.isfinite(row)]
    return known.size >= COMPARED_FIRST // 4 and np.unique(known).size > DISTINCT_FRACTION * known.size
