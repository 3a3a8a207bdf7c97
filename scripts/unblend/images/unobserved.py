"""Pixels that were not observed, though their file has a number there: the padding around the field of a mosaic.

Padding has exactly one value over a large connected area, or along a row or a column, which noise never has. How large
an area of equal pixels must be follows from the image itself: neighbours are never equal in an image of floats, and
often in one of integers whose noise is below one unit.
"""

from __future__ import annotations

import hashlib

import numpy as np

from .dark_cores import dark_cores
from .repeated_lines import repeated_borders

_SIDES = (3, 4, 5, 7, 9, 12, 16, 22, 31, 45, 63)
"""Sides in pixels of the squares of equal pixels that are looked for, the smallest first."""
_BRIGHT_PERCENTILE = 95.0
"""The pixels beside the plateau of a star are brighter than this percentage of all pixels."""
_CHANCE = 1e-6
"""Largest number of squares of equal pixels expected in an image by chance."""
_SHORTEST_LINE = 20
"""Fewest equal pixels along a row or column that are taken as padding."""
_SMALLEST_AREA, _SMALLEST_AT_EDGE = 64, 20
"""Fewest pixels of an area inside the image, and of one that reaches its edge or pixels without a number."""
_RARE_VALUE = 0.02
"""A value is rare if a smaller fraction of the other pixels has it."""
_MOST_VALUES = 20
"""Number of values, the most frequent ones, for which areas are completed; padding has one or a few."""
_TRACE, _TYPICAL_PERCENTILE = 1e-6, 75.0
"""Values below this fraction of that percentile are as good as 0. Of noise around 0 a millionth is."""
_SAMPLED_ROWS = 1000
"""Rows of a large image by which this percentile is measured."""
_FLOOR_RATIO = 0.3
"""In an image without noise, sources fade into a sky of one value: the pixels next to it differ from it by less than
this fraction of what typical pixels do. Next to padding, they are sky like all others."""
_FLOOR_SIDE = 0.999
"""Fraction of the pixels of an image without noise that lie on one side of the value of its sky."""
_MOST_OF_THE_IMAGE = 0.8
"""Padding covers a smaller fraction of an image than this; the sky of a sparse field may cover more."""
_SCATTERED_FRACTION, _NEGATIVE_FRACTION = 0.01, 0.1
"""Single pixels of value 0 were not observed if there are more than a hundredth of them, and the others are noise
around 0, a tenth of them on either side."""
_BESIDE = 5
"""Rows beside padding in which its value must not be more frequent than chance allows."""
_LONGER_THAN_RUNS = 2
"""A line of padding is longer by this factor than any run of its value in the field; in an image without noise, runs
are as long as the gaps between the sources."""
_DISTINCT_FRACTION = 0.5
"""In an image with steps, fewer of its values than this fraction are distinct: zeros are then one of its levels."""

_MOST_KEPT = 12
"""Number of masks that are kept, as bits: a job needs that of an image for its mask and for its weight map."""
_KEPT: dict[tuple[tuple[int, ...], str, bytes], np.ndarray] = {}


def unobserved(image: np.ndarray) -> np.ndarray:
    """Return True where a pixel has a number but was not observed.

    These are large connected areas of exactly one value (whatever the value and the sky), rows and columns or long
    parts of them, single zeros in noise around zero, borders that repeat the field, and cores of bright sources without
    light. The constant sky of an image without noise, the plateau of a saturated star, and the common values of
    integers are kept.

    Parameters
    ----------
    image : array (ny, nx)
        NaN pixels are not counted as unobserved here.

    Returns
    -------
    array (ny, nx) of bool
    """
    content = np.ascontiguousarray(image)
    key = (content.shape, content.dtype.str, hashlib.blake2b(content.data if content.size else b"").digest())
    if key not in _KEPT:
        without_traces = _without_traces(image)
        found = _padding(without_traces) | _border_lines(without_traces) | _scattered_zeros(without_traces)
        found |= repeated_borders(image)
        found |= dark_cores(without_traces, found)
        _KEPT[key] = np.packbits(found)
        if len(_KEPT) > _MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
    return np.unpackbits(_KEPT[key], count=content.size).reshape(content.shape).astype(bool)


def _without_traces(image: np.ndarray) -> np.ndarray:
    """Return an image with 0 in place of what is as good as 0: padding after a convolution or a resampling."""
    rows = image[:: max(1, len(image) // _SAMPLED_ROWS)]
    # padding of one value, which may be as large as 1e30, tells nothing
    noise = np.abs(rows[:, 1:][(rows[:, 1:] != rows[:, :-1]) & np.isfinite(rows[:, 1:])])
    if not noise.size:
        return image
    limit = _TRACE * np.percentile(noise, _TYPICAL_PERCENTILE)
    traces = (image != 0) & (image < limit) & (image > -limit)
    return np.where(traces, 0.0, image) if traces.any() else image


def _padding(image: np.ndarray) -> np.ndarray:
    found = np.zeros(image.shape, dtype=bool)
    equal = [image[1:] == image[:-1], image[:, 1:] == image[:, :-1]]
    candidates = _candidates(image, equal)
    if not candidates:
        return found
    _, counts = np.unique(image[np.isfinite(image)], return_counts=True)
    pairs = sum(int(np.count_nonzero(part)) for part in equal)
    # Pixels without a number, and those beyond the edge, are next to the field.
    outside = _grown(np.pad(~np.isfinite(image), 1, constant_values=True))[1:-1, 1:-1]
    for value in candidates:
        same = image == value
        area = _large_areas(same, _persistence(same, pairs, counts))
        if area.any():
            found |= _without_small_areas(image, area, outside)
    return np.zeros_like(found) if _is_sky_without_noise(image, found) else found


def _candidates(image: np.ndarray, equal: list[np.ndarray]) -> list[float]:
    """Return the most frequent values that three neighbours have."""
    along_y, along_x = equal
    threes = np.concatenate([image[1:-1][along_y[1:] & along_y[:-1]], image[:, 1:-1][along_x[:, 1:] & along_x[:, :-1]]])
    values, counts = np.unique(threes, return_counts=True)
    return values[np.argsort(-counts, kind="stable")][:_MOST_VALUES].tolist()


def _large_areas(same: np.ndarray, persistence: float) -> np.ndarray:
    """Return the squares and lines of pixels of one value that are larger than chance explains.

    A large one is found first; without its pixels the value is rarer in the image, and smaller ones are significant.

    Parameters
    ----------
    same : array (ny, nx) of bool
        True where a pixel has the value.
    persistence : float
        As from `_persistence`.
    """
    found = np.zeros(same.shape, dtype=bool)
    last = 0
    for _ in _SIDES:
        rest = int(found.size - np.count_nonzero(found))
        fraction = np.count_nonzero(same & ~found) / max(rest, 1)
        side = _least_side(persistence + (1.0 - persistence) * fraction, same.size)
        if side == last or side > min(same.shape):
            break
        length, last = max(side**2, _SHORTEST_LINE), side
        found = _opened(same, side, side) | _opened(same, length, 1) | _opened(same, 1, length)
    if found.any() and np.count_nonzero(same & ~found) < _RARE_VALUE * found.size:
        # The edge of the padding of a rotated image is not made of squares.
        from scipy.ndimage import label

        areas, number = label(same, structure=np.ones((3, 3)))
        return np.bincount(areas[found], minlength=number + 1).astype(bool)[areas]
    return found


def _persistence(same: np.ndarray, equal_pairs: int, counts: np.ndarray) -> float:
    """Return how much more often neighbours are equal than chance explains, from the pixels of all other values.

    It is 0 for white noise, also in steps, and near 1 for smooth images in steps.

    Parameters
    ----------
    same : array (ny, nx) of bool
        True where a pixel has the value that is left out.
    equal_pairs : int
        Number of pairs of equal neighbours in the image.
    counts : int array (n,)
        How often each value of the image occurs.
    """
    mine, number = int(np.count_nonzero(same)), int(counts.sum())
    others = number - mine
    if not others:
        return 0.0
    my_pairs = int(np.count_nonzero(same[1:] & same[:-1]) + np.count_nonzero(same[:, 1:] & same[:, :-1]))
    # Each pixel is in four pairs.
    rate = min((equal_pairs - my_pairs) / max(2 * number - (4 * mine - my_pairs), 1), 1.0)
    expected = float(np.sum(counts.astype(float) ** 2) - mine**2) / others**2
    return max(0.0, (rate - expected) / (1.0 - expected)) if expected < 1.0 else 0.0


def _least_side(fraction: float, pixels: int) -> int:
    """Return the smallest side of squares that an image with this fraction of equal pixels does not have by chance."""
    for side in _SIDES:
        if pixels * fraction ** (side**2) < _CHANCE:
            return side
    return 2 * _SIDES[-1]


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


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return a mask with the eight neighbours of each pixel."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, structure=np.ones((3, 3)))


def _without_small_areas(image: np.ndarray, found: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return areas of pixels of one value without the small ones, and without the plateau of a saturated star.

    Parameters
    ----------
    image : array (ny, nx)
    found : array (ny, nx) of bool
    outside : array (ny, nx) of bool
        True beside the edge of the image and beside pixels without a number.
    """
    from scipy.ndimage import label

    areas, number = label(found, structure=np.ones((3, 3)))
    size = np.bincount(areas[found], minlength=number + 1)
    at_edge = np.bincount(areas[found & outside], minlength=number + 1) > 0
    kept = np.where(at_edge, size >= _SMALLEST_AT_EDGE, size >= _SMALLEST_AREA)
    kept[0] = False
    if image[found][0] == np.nanmax(image):
        for inside in np.flatnonzero(kept & ~at_edge).tolist():
            kept[inside] = not _is_plateau(image, areas == inside)
    return kept[areas]


def _is_plateau(image: np.ndarray, area: np.ndarray) -> bool:
    """Return whether the pixels beside an area are bright, as around the saturated centre of a star."""
    others = np.isfinite(image) & ~area
    beside = image[_grown(area) & others]
    return beside.size > 0 and bool(np.median(beside) > np.percentile(image[others], _BRIGHT_PERCENTILE))


def _is_sky_without_noise(image: np.ndarray, found: np.ndarray) -> bool:
    """Return whether the equal pixels are the sky of an image without noise, or all there is."""
    rest = np.isfinite(image) & ~found
    if not found.any() or not rest.any():
        return True
    value = float(np.median(image[found]))
    difference = image[rest] - value
    one_side = max(np.mean(difference >= 0), np.mean(difference <= 0))
    beside = _grown(found) & rest
    if one_side < _FLOOR_SIDE or not beside.any():
        return False
    fading = float(np.median(np.abs(image[beside] - value)))
    # Sources that are rounded to integers fade to one unit at least.
    rounded = np.mean(found) > _MOST_OF_THE_IMAGE and fading == np.min(np.abs(difference))
    return bool(rounded or fading < _FLOOR_RATIO * np.median(np.abs(difference)))


def _border_lines(image: np.ndarray) -> np.ndarray:
    """Return whole rows and columns at the edges of exactly one value, however few, beside noise without such lines.

    In integers whose sky often has the value of the padding, narrow padding is told by its lines alone: a line of the
    field that is equal over its whole length would be chance, or the sky of an image without noise, in which long
    parts of the other lines are equal, too.
    """
    found = np.zeros(image.shape, dtype=bool)
    strips, box, changed = [], [0, image.shape[0], 0, image.shape[1]], True
    while changed:
        changed = False
        for side in range(4):
            field = image[box[0] : box[1], box[2] : box[3]]
            number, value = _equal_lines((field, field[::-1], field.T, field.T[::-1])[side])
            if number:
                edge, inward = box[side], number if side % 2 == 0 else -number
                lines = slice(*sorted((edge, edge + inward)))
                rows, columns = slice(box[0], box[1]), slice(box[2], box[3])
                strips.append((side, (lines, columns) if side < 2 else (rows, lines), value))
                box[side], changed = edge + inward, True
    field = image[box[0] : box[1], box[2] : box[3]]
    for side, window, value in strips:
        rows_of_field = field if side < 2 else field.T
        if _is_border(rows_of_field, value):
            found[window] = image[window] == value
    return found


def _equal_lines(image: np.ndarray) -> tuple[int, float]:
    """Return the number of first rows without another value than one (or NaN), and that value; 0 if it is all rows."""
    value = np.nan
    for number, row in enumerate(image):
        known = row[np.isfinite(row)]
        if known.size:
            if (known != (known[0] if np.isnan(value) else value)).any():
                return number, value
            value = float(known[0])
    return 0, value


def _is_border(field: np.ndarray, value: float) -> bool:
    """Whether rows of one value are padding beside the rows of the field, as long as these."""
    length, same = int(np.count_nonzero(np.isfinite(field), axis=1).max(initial=0)), field == value
    if length < _SHORTEST_LINE:
        return False
    known = np.isfinite(field).sum()
    beside = max(float(part.mean()) for part in (same[:_BESIDE], same[-_BESIDE:]))
    fraction = max(float(same.sum() / known), beside)
    if 2 * sum(field.shape) * fraction**length > _CHANCE:
        return False
    return length >= _LONGER_THAN_RUNS * _longest_run(same)


def _longest_run(same: np.ndarray) -> int:
    """Return the length of the longest run of True along a row."""
    ends = np.pad(same, ((0, 0), (0, 1))).ravel()
    breaks = np.flatnonzero(~ends)
    return int(np.diff(breaks, prepend=-1).max()) - 1


def _scattered_zeros(image: np.ndarray) -> np.ndarray:
    """Return zeros among noise around zero."""
    zero = image == 0
    rest = image[np.isfinite(image) & ~zero]
    sides = min(np.count_nonzero(rest < 0), np.count_nonzero(rest > 0))
    if np.count_nonzero(zero) <= _SCATTERED_FRACTION * image.size or sides <= _NEGATIVE_FRACTION * rest.size:
        return np.zeros(image.shape, dtype=bool)
    return zero if np.unique(rest).size > _DISTINCT_FRACTION * rest.size else np.zeros(image.shape, dtype=bool)
