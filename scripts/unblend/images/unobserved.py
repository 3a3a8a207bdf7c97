"""Pixels that were not observed, though their file has a number there: the padding around the field of a mosaic.

Padding has exactly one value over a large connected area, or along a row or a column, which noise never has. How large
an area of equal pixels must be follows from the image itself: neighbours are never equal in an image of floats, and
often in one of integers whose noise is below one unit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..core.areas import Areas, connected_areas, extents
from ..core.counts import add_occurrences
from ..core.strips import BitMask, Derived, Strip, Window, Workspace
from ..core.types import Box, WindowedImage
from .border_lines import border_lines
from .dark_cores import dark_core_mask
from .equal_areas import large_areas
from .repeated_lines import repeated_border_mask

_BRIGHT_PERCENTILE = 95.0
"""The pixels beside the plateau of a star are brighter than this percentage of all pixels."""
_SMALLEST_AREA, _SMALLEST_AT_EDGE = 64, 20
"""Fewest pixels of an area inside the image, and of one that reaches its edge or pixels without a number."""
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
        _KEPT[key] = np.packbits(unobserved_mask(content, Workspace())[:, :])
        if len(_KEPT) > _MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
    return np.unpackbits(_KEPT[key], count=content.size).reshape(content.shape).astype(bool)


def unobserved_mask(image: WindowedImage, work: Workspace) -> BitMask:
    """Return what `unobserved` does, of an image of any size.

    Frequent values are counted in all of its pixels; medians are those of the sample of the workspace.
    """
    clean = _without_traces(image, work)
    found = _padding(clean, work)
    found |= border_lines(clean)
    found |= _scattered_zeros(clean, work)
    found |= repeated_border_mask(image, work)
    found |= dark_core_mask(clean, found, work)
    return found


def _without_traces(image: WindowedImage, work: Workspace) -> WindowedImage:
    """Return an image with 0 in place of what is as good as 0: padding after a convolution or a resampling."""
    ny, nx = image.shape
    step = max(1, ny // _SAMPLED_ROWS, work.step(image.shape))
    rows = [image[slice(y, y + 1), slice(0, nx)] for y in range(0, ny, step)]
    # padding of one value, which may be as large as 1e30, tells nothing
    noise = [row[:, 1:][(row[:, 1:] != row[:, :-1]) & np.isfinite(row[:, 1:])] for row in rows]
    values = np.abs(np.concatenate(noise)) if noise else np.zeros(0)
    del rows, noise
    if not values.size:
        return image
    limit = _TRACE * np.percentile(values, _TYPICAL_PERCENTILE, overwrite_input=True)

    def read(window: Window) -> np.ndarray:
        part = image[window]
        traces = (part != 0) & (part < limit) & (part > -limit)
        return np.where(traces, 0.0, part) if traces.any() else part

    return Derived(image.shape, read)


@dataclass
class _EqualNeighbours:
    """How often neighbours are equal in an image.

    Parameters
    ----------
    pairs : int
        Number of pairs of equal neighbours.
    threes : Counter of values
        How often a value has three neighbours along a row or a column.
    finite : int
        Number of pixels with a number.
    maximum : float
        The largest of them.
    """

    pairs: int = 0
    threes: Counter[float] = field(default_factory=Counter)
    finite: int = 0
    maximum: float = -np.inf

    @classmethod
    def of(cls, image: WindowedImage, work: Workspace) -> _EqualNeighbours:
        """Count in all pixels of an image."""
        result = cls()
        for strip in work.strips(image.shape, 1):
            wide, core = image[strip.wide.slices], strip.inside[0]
            part = wide[core]
            known = part[np.isfinite(part)]
            result.finite += known.size
            result.maximum = max(result.maximum, float(known.max(initial=-np.inf)))
            above = wide[1:] == wide[:-1]
            along = part[:, 1:] == part[:, :-1]
            # pairs of a row and the one before it
            result.pairs += int(np.count_nonzero(along))
            result.pairs += int(np.count_nonzero(above[max(core.start - 1, 0) : core.stop - 1]))
            first, last = max(core.start, 1), min(core.stop, len(wide) - 1)
            both = above[first - 1 : last - 1] & above[first:last]
            values = np.concatenate([wide[first:last][both], part[:, 1:-1][along[:, 1:] & along[:, :-1]]])
            add_occurrences(result.threes, values)
        return result

    def candidates(self) -> list[float]:
        """Return the most frequent values that three neighbours have."""
        return sorted(self.threes, key=lambda value: (-self.threes[value], value))[:_MOST_VALUES]


def _padding(image: WindowedImage, work: Workspace) -> BitMask:
    shape, found = image.shape, BitMask(image.shape)
    equal = _EqualNeighbours.of(image, work)
    candidates = equal.candidates()
    if not candidates:
        return found
    (sample,) = work.gather(shape, lambda strip: [np.isfinite(part := image[strip.slices]), part])
    sample.sort()
    values, counts = np.unique(sample, return_counts=True)
    outside = work.mask(shape, _beside_unknown(image), 1)
    for value in candidates:
        same = work.mask(shape, _where_equal(image, value))
        others = counts[values != value]
        area = large_areas(same, _persistence(same, equal, others, work), work)
        if area.any():
            found |= _without_small_areas(image, area, outside, value == equal.maximum, sample, work)
    return BitMask(shape) if _is_sky_without_noise(image, found, work) else found


def _where_equal(image: WindowedImage, value: float) -> Callable[[Strip], np.ndarray]:
    return lambda strip: image[strip.slices] == value


def _beside_unknown(image: WindowedImage) -> Callable[[Strip], np.ndarray]:
    """Return a reader of the pixels beside the edge of the image and beside pixels without a number."""

    def read(strip: Strip) -> np.ndarray:
        unknown = ~np.isfinite(image[strip.wide.slices])
        edges = (int(strip.wide.y0 == 0), int(strip.wide.y1 == image.shape[0]))
        grown = _grown(np.pad(unknown, (edges, (1, 1)), constant_values=True))
        return grown[edges[0] : len(grown) - edges[1], 1:-1][strip.inside]

    return read


def _persistence(same: BitMask, equal: _EqualNeighbours, others: np.ndarray, work: Workspace) -> float:
    """Return how much more often neighbours are equal than chance explains, from the pixels of all other values.

    It is 0 for white noise, also in steps, and near 1 for smooth images in steps.

    Parameters
    ----------
    same : mask (ny, nx)
        True where a pixel has the value that is left out.
    equal : _EqualNeighbours
    others : int array (n,)
        How often each other value occurs in the sample.
    work : Workspace
    """
    mine, number = same.count(), equal.finite
    if number == mine or not others.size:
        return 0.0
    my_pairs = 0
    for strip in work.strips(same.shape, 1):
        wide, core = same[strip.wide.slices], strip.inside[0]
        part = wide[core]
        my_pairs += int(np.count_nonzero((wide[1:] & wide[:-1])[max(core.start - 1, 0) : core.stop - 1]))
        my_pairs += int(np.count_nonzero(part[:, 1:] & part[:, :-1]))
    # Each pixel is in four pairs.
    rate = min((equal.pairs - my_pairs) / max(2 * number - (4 * mine - my_pairs), 1), 1.0)
    total = int(others.sum())
    if work.step(same.shape) == 1:
        expected = float(np.sum(others.astype(float) ** 2)) / total**2
    else:  # two pixels of a sample are never the same one
        expected = float(np.sum(others * (others - 1.0))) / max(total * (total - 1.0), 1.0)
    return max(0.0, (rate - expected) / (1.0 - expected)) if expected < 1.0 else 0.0


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return a mask with the eight neighbours of each pixel."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, structure=np.ones((3, 3)))


def _without_small_areas(
    image: WindowedImage, found: BitMask, outside: BitMask, of_maximum: bool, sample: np.ndarray, work: Workspace
) -> BitMask:
    """Return areas of pixels of one value without the small ones, and without the plateau of a saturated star.

    Parameters
    ----------
    image : image (ny, nx)
    found : mask (ny, nx)
    outside : mask (ny, nx)
        True beside the edge of the image and beside pixels without a number.
    of_maximum : bool
        Whether their value is the maximum of the image.
    sample : array (n,)
        Sorted values of the pixels from which the image is measured.
    work : Workspace
    """
    areas = connected_areas(image.shape, lambda strip: found[strip.slices], work)
    at_edge = np.zeros(len(areas) + 1, dtype=bool)
    for strip in work.strips(image.shape):
        at_edge[areas[strip.slices][outside[strip.slices]]] = True
    extent = extents(areas, work)
    size = np.concatenate([[0], extent.area])
    kept = np.where(at_edge, size >= _SMALLEST_AT_EDGE, size >= _SMALLEST_AREA)
    kept[0] = False
    if of_maximum:
        boxes = extent.boxes()
        for inside in np.flatnonzero(kept & ~at_edge).tolist():
            # the pixels of the area are the last ones of the sample
            others = sample[: sample.size - int(size[inside]) // work.step(image.shape)]
            kept[inside] = not _is_plateau(image, areas, inside, boxes[inside], others)
    return work.mask(image.shape, lambda strip: kept[areas[strip.slices]])


def _is_plateau(image: WindowedImage, areas: Areas, number: int, box: Box, others: np.ndarray) -> bool:
    """Return whether the pixels beside an area are bright, as around the saturated centre of a star."""
    window = (box.grown(1) & Box.of_shape(image.shape)).slices
    area, part = areas[window] == number, image[window]
    beside = part[_grown(area) & np.isfinite(part) & ~area]
    return beside.size > 0 and bool(np.median(beside) > np.percentile(others, _BRIGHT_PERCENTILE))


def _is_sky_without_noise(image: WindowedImage, found: BitMask, work: Workspace) -> bool:
    """Return whether the equal pixels are the sky of an image without noise, or all there is."""
    values, counts = _counted(image, found, work)
    if not values.size:
        return True
    value = _median_of_counted(values, counts)
    above = below = number = 0
    nearest, beside = np.inf, [np.zeros(0)]
    for strip in work.strips(image.shape, 1):
        part = image[strip.slices]
        rest = np.isfinite(part) & ~found[strip.slices]
        difference = part[rest] - value
        number += difference.size
        above, below = above + int(np.sum(difference >= 0)), below + int(np.sum(difference <= 0))
        nearest = min(nearest, float(np.abs(difference).min(initial=np.inf)))
        beside.append(part[_grown(found[strip.wide.slices])[strip.inside] & rest])
    if not number:
        return True
    around = np.concatenate(beside)
    if max(above, below) / number < _FLOOR_SIDE or not around.size:
        return False
    fading = float(np.median(np.abs(around - value)))
    # Sources that are rounded to integers fade to one unit at least.
    rounded = found.count() / (image.shape[0] * image.shape[1]) > _MOST_OF_THE_IMAGE and fading == nearest
    (rest,) = work.gather(
        image.shape, lambda strip: [np.isfinite(part := image[strip.slices]) & ~found[strip.slices], part]
    )
    return bool(rounded or fading < _FLOOR_RATIO * np.median(np.abs(rest - value)))


def _counted(image: WindowedImage, found: BitMask, work: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """Return the few values of the pixels of a mask in ascending order, and how often each occurs."""
    counts: Counter[float] = Counter()
    for strip in work.strips(image.shape):
        add_occurrences(counts, image[strip.slices][found[strip.slices]])
    values = sorted(counts)
    return np.array(values), np.array([counts[value] for value in values], dtype=np.int64)


def _median_of_counted(values: np.ndarray, counts: np.ndarray) -> float:
    """Return the median of values that occur so often."""
    below, total = np.cumsum(counts), int(counts.sum())
    low, high = (values[np.searchsorted(below, rank, side="right")] for rank in ((total - 1) // 2, total // 2))
    return float(low) if low == high else float((low + high) / 2.0)


def _scattered_zeros(image: WindowedImage, work: Workspace) -> BitMask:
    """Return zeros among noise around zero."""
    zeros = negative = positive = 0
    for strip in work.strips(image.shape):
        part = image[strip.slices]
        zeros += int(np.count_nonzero(part == 0))
        negative += int(np.count_nonzero(np.isfinite(part) & (part < 0)))
        positive += int(np.count_nonzero(np.isfinite(part) & (part > 0)))
    size = image.shape[0] * image.shape[1]
    if zeros <= _SCATTERED_FRACTION * size or min(negative, positive) <= _NEGATIVE_FRACTION * (negative + positive):
        return BitMask(image.shape)
    (sample,) = work.gather(image.shape, lambda at: [np.isfinite(part := image[at.slices]) & (part != 0), part])
    if np.unique(sample).size > _DISTINCT_FRACTION * sample.size:
        return work.mask(image.shape, lambda strip: image[strip.slices] == 0)
    return BitMask(image.shape)
