"""Rows and columns at the edges of an image that have exactly one value: padding, however narrow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.strips import BitMask
from ..core.types import Box, WindowedImage

CHANCE = 1e-6
"""Largest number of lines or squares of one value expected in an image by chance."""
SHORTEST_LINE = 20
"""Fewest equal pixels along a row or column that are taken as padding."""
_BESIDE = 5
"""Rows beside padding in which its value must not be more frequent than chance allows."""
_LONGER_THAN_RUNS = 2
"""A line of padding is longer by this factor than any run of its value in the field; in an image without noise, runs
are as long as the gaps between the sources."""
_LINES_READ = 64
"""Lines that are read together."""


def border_lines(image: WindowedImage) -> BitMask:
    """Return whole rows and columns at the edges of exactly one value, however few, beside noise without such lines.

    In integers whose sky often has the value of the padding, narrow padding is told by its lines alone: a line of the
    field that is equal over its whole length would be chance, or the sky of an image without noise, in which long
    parts of the other lines are equal, too.

    Parameters
    ----------
    image : image (ny, nx)
    """
    found = BitMask(image.shape)
    borders, box, changed = [], [0, image.shape[0], 0, image.shape[1]], True
    while changed:
        changed = False
        for side in range(4):
            number, value = _equal_lines(image, Box(box[0], box[2], box[1], box[3]), side)
            if number:
                edge, inward = box[side], number if side % 2 == 0 else -number
                lines = slice(*sorted((edge, edge + inward)))
                rows, columns = slice(box[0], box[1]), slice(box[2], box[3])
                borders.append((side, (lines, columns) if side < 2 else (rows, lines), value))
                box[side], changed = edge + inward, True
    field = Box(box[0], box[2], box[1], box[3])
    for side, window, value in borders:
        if _is_border(image, field, side >= 2, value):
            for part in Box(window[0].start, window[1].start, window[0].stop, window[1].stop).strips(_LINES_READ):
                found[part.slices] = found[part.slices] | (image[part.slices] == value)
    return found


def _lines(image: WindowedImage, field: Box, columns: bool, *, backwards: bool = False) -> Iterator[np.ndarray]:
    """Yield some rows of a part of the image after the others, or some columns as the rows of arrays."""
    parts = field.strips(_LINES_READ)
    if columns:
        starts = range(field.x0, field.x1, _LINES_READ)
        parts = [Box(field.y0, x, field.y1, min(x + _LINES_READ, field.x1)) for x in starts]
    for part in reversed(parts) if backwards else parts:
        lines = image[part.slices].T if columns else image[part.slices]
        yield lines[::-1] if backwards else lines


def _equal_lines(image: WindowedImage, field: Box, side: int) -> tuple[int, float]:
    """Return the number of first lines without another value than one (or NaN), and that value; 0 if it is all lines.

    The sides are the first and the last rows, the first and the last columns.
    """
    value, number = np.nan, 0
    for lines in _lines(image, field, side >= 2, backwards=side % 2 == 1):
        for line in lines:
            known = line[np.isfinite(line)]
            if known.size:
                if (known != (known[0] if np.isnan(value) else value)).any():
                    return number, value
                value = float(known[0])
            number += 1
    return 0, value


def _is_border(image: WindowedImage, field: Box, columns: bool, value: float) -> bool:
    """Whether rows of one value are padding beside the rows of the field, as long as these; or columns."""
    length = same = known = longest = 0
    for lines in _lines(image, field, columns):
        finite, equal = np.isfinite(lines), lines == value
        length = max(length, int(np.count_nonzero(finite, axis=1).max(initial=0)))
        same, known = same + int(equal.sum()), known + int(finite.sum())
        longest = max(longest, _longest_run(equal))
    if length < SHORTEST_LINE:
        return False
    ends = [next(_lines(image, field, columns, backwards=last)) for last in (False, True)]
    beside = max(float((part[:_BESIDE] == value).mean()) for part in ends)
    fraction = max(float(same / known), beside)
    if 2 * sum(field.shape) * fraction**length > CHANCE:
        return False
    return length >= _LONGER_THAN_RUNS * longest


def _longest_run(same: np.ndarray) -> int:
    """Return the length of the longest run of True along a row."""
    ends = np.pad(same, ((0, 0), (0, 1))).ravel()
    breaks = np.flatnonzero(~ends)
    return int(np.diff(breaks, prepend=-1).max()) - 1
