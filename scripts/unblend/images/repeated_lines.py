"""Borders that repeat the pixels of the field: its last row again and again, its mirror image, or its other side.

Programs that convolve or warp an image fill its borders so. The pixels look like noise and sources, but were not
observed. Two rows of noise are never equal.
"""

from __future__ import annotations

import numpy as np

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
    found = np.zeros(image.shape, dtype=bool)
    known = np.isfinite(image)
    if not known.any():
        return found
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    for field, place in ((image[inside], found[inside]), (image[inside].T, found[inside].T)):
        first, last = _borders(field)
        place[:first] = True
        place[len(place) - last :] = True
    return found & known


def _borders(image: np.ndarray) -> tuple[int, int]:
    """Return the number of first and of last rows that repeat other rows."""
    twins = _twins(image)
    if not twins or len(twins) > MOST_REPEATED * len(image):
        return 0, 0
    last_row = len(image) - 1
    first = last = 0
    while twins.get(first, (0, 0))[1] > first:
        first += 1
    while twins.get(last_row - last, (last_row, 0))[0] < last_row - last:
        last += 1
    most = MOST_OF_THE_IMAGE * len(image)
    return first if first <= most else 0, last if last <= most else 0


def _twins(image: np.ndarray) -> dict[int, tuple[int, int]]:
    """Return of each row that is equal to others the first and the last row of these."""
    sample = image[:, :: max(1, image.shape[1] // COMPARED_FIRST)]
    alike: dict[bytes, list[int]] = {}
    for row, values in enumerate(np.ascontiguousarray(sample)):
        alike.setdefault(values.tobytes(), []).append(row)
    twins: dict[int, tuple[int, int]] = {}
    for rows in alike.values():
        if len(rows) > 1 and _is_noise(image[rows[0]]):
            equal = [row for row in rows if np.array_equal(image[row], image[rows[0]], equal_nan=True)]
            if len(equal) > 1:
                twins |= dict.fromkeys(equal, (equal[0], equal[-1]))
    return twins


def _is_noise(row: np.ndarray) -> bool:
    known = row[np.isfinite(row)]
    return known.size >= COMPARED_FIRST // 4 and np.unique(known).size > DISTINCT_FRACTION * known.size
