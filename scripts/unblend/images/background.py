"""Large-scale background: a moving mean or median of the unmasked pixels.

A plain moving mean is biased where the usable pixels of its box are not centred on the pixel, as at the edges of the
image and beside masked sources: the error is the gradient of the background times the offset. So a plane is fitted in
each box and evaluated at the pixel, which for a box without masked pixels is the mean.
"""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from ..core.quantised import spread_image
from ..core.types import Box

_MIN_COVERAGE = 0.05
"""Boxes with a smaller usable fraction are replaced by the next larger box."""

_MAX_DISTANCE2 = 12.0
"""Largest squared distance of a pixel from the mean position of the usable pixels of its box, in their variance.
Beyond it the plane would be extrapolated too far, and the next larger box is used. In a corner of the image the value
is 6, in a corner of the grid of medians 9.4."""
_PARTS, _NODES_PER_BOX = 3, 5
"""Medians are taken in boxes of a third of the side, spaced by a sixth of it; a plane is fitted to 5 × 5 of them."""
TILE_PIXELS = 1024
"""Side of the tiles in which a large image is worked on, each with the half box around it: planes need 160 bytes for
every pixel. A tile is not smaller than four boxes."""
_MAX_DOUBLINGS = 12
"""Largest number of times that a box is doubled, by a factor 4096 in total."""


def moving_background(
    image: np.ndarray, mask: np.ndarray, *, box_pixels: float, statistic: str = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the background at every pixel, and the usable fraction of the box around each pixel.

    Parameters
    ----------
    image : array (ny, nx)
        Non-finite pixels are ignored.
    mask : bool array (ny, nx)
        True = ignored (sources, bad pixels).
    box_pixels : float
        Side of the box, rounded to an odd number.
    statistic : {"mean", "median"}
        The median is taken in overlapping boxes of a third of the side, to which the same planes are fitted.

    Returns
    -------
    background : array (ny, nx)
        Finite everywhere. Where less than 5 % of a box is usable, or the usable pixels all lie on one side, the box is
        doubled until there are enough. 0 if the image has no usable pixel.
    coverage : array (ny, nx)
        Usable fraction of the box before any doubling. Pixels outside the image count as not usable.

    Raises
    ------
    ValueError
        The statistic is unknown.
    InputError
        The box is smaller than a pixel.
    """
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic is {statistic!r}; expected mean or median")
    if not box_pixels >= 1:
        raise InputError(f"the box of the background is {box_pixels:g} pixels; expected at least 1. Give it in arcsec.")
    good = np.isfinite(image) & ~mask
    # A box of twice the image covers it from every pixel.
    largest = _odd(2 * max(image.shape))
    box = min(_odd(box_pixels), largest)
    background, coverage = np.full(image.shape, np.nan), _box_mean(good.astype(float), box)
    for _ in range(_MAX_DOUBLINGS):
        estimate, usable = _mean(image, good, box) if statistic == "mean" else _median(image, good, box)
        empty = np.isnan(background) & (usable >= _MIN_COVERAGE)
        background[empty] = estimate[empty]
        del estimate, usable
        if box == largest or not np.isnan(background).any():
            break
        box = min(_odd(2 * box), largest)
    background[np.isnan(background)] = float(np.median(image[good])) if good.any() else 0.0
    return background, coverage


def _odd(size: float) -> int:
    return 2 * int(size / 2.0) + 1


def _box_mean(values: np.ndarray, box: int) -> np.ndarray:
    """Return the mean over the box around each pixel, taking values outside the image as zero."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(values, box, mode="constant")


def _mean(image: np.ndarray, good: np.ndarray, box: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the background from planes through all good pixels of each box, and their fraction of the box."""
    whole = Box.of_shape(image.shape)
    background, usable = np.empty(image.shape), np.empty(image.shape)
    for tile in whole.tiles(max(TILE_PIXELS, 4 * box)):
        wide = tile.grown(box // 2 + 1) & whole
        own = good[wide.slices]
        y, x = np.indices(wide.shape, dtype=float)
        plane, fraction = _plane(np.where(own, image[wide.slices], 0.0), own.astype(float), y, x, y, x, box)
        background[tile.slices], usable[tile.slices] = plane[tile.within(wide)], fraction[tile.within(wide)]
    return background, usable


def _median(image: np.ndarray, good: np.ndarray, box: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the background from planes through the medians of small boxes (see `_PARTS`), and 1 where it is valid."""
    nodes = [_nodes(n, max(1, box // (2 * _PARTS))) for n in image.shape]
    # Medians of integers would be integers.
    value, weight, y, x = _node_medians(spread_image(np.where(good, image, np.nan)), nodes, _odd(box / _PARTS))
    at_y, at_x = (grid.astype(float) for grid in np.meshgrid(*nodes, indexing="ij"))
    estimate, usable = _plane(value, weight, y, x, at_y, at_x, _NODES_PER_BOX)
    surface = _interpolate(np.where(usable > 0, estimate, 0.0), nodes, image.shape)
    # A pixel is valid if all nodes around it are; nodes are not if less than 5 % of their own box is usable.
    valid = _interpolate((usable > 0).astype(float), nodes, image.shape) > 1.0 - 1e-9
    return surface, np.where(valid, 1.0, 0.0)


def _nodes(length: int, step: int) -> np.ndarray:
    """Return positions of nodes at most `step` pixels apart, including the first and the last pixel."""
    return np.unique(np.rint(np.linspace(0, length - 1, 2 + (length - 1) // step)).astype(int))


def _node_medians(
    image: np.ndarray, nodes: list[np.ndarray], side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the median of the box around each node, its usable fraction (0 below 5 %), its mean position."""
    half = side // 2
    padded = np.pad(image, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    offset = np.arange(side) - half
    value, weight, y, x = (np.zeros((len(nodes[0]), len(nodes[1]))) for _ in range(4))
    for i, row in enumerate(nodes[0]):
        pixels = windows[row, nodes[1]]
        good = np.isfinite(pixels)
        count = good.sum(axis=(1, 2))
        used = count >= max(1.0, _MIN_COVERAGE * side**2)
        number = np.maximum(count, 1)
        # NaN is sorted to the end, so that the median is among the first `count` values.
        ordered = np.sort(pixels.reshape(len(count), -1), axis=1)
        middle = [np.take_along_axis(ordered, k[:, None], axis=1)[:, 0] for k in ((number - 1) // 2, number // 2)]
        value[i] = np.where(used, (middle[0] + middle[1]) / 2.0, 0.0)
        weight[i] = np.where(used, count / side**2, 0.0)
        y[i] = row + (good.sum(axis=2) @ offset) / number
        x[i] = nodes[1] + (good.sum(axis=1) @ offset) / number
    return value, weight, y, x


def _plane(
    value: np.ndarray,
    weight: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    at_y: np.ndarray,
    at_x: np.ndarray,
    box: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a plane to the points in the box around each element of a grid.

    All sums are moving sums over boxes, so that the time does not depend on the size of the box.

    Parameters
    ----------
    value, weight : arrays (ny, nx)
        Values of the points, and their weights.
    y, x : arrays (ny, nx)
        Positions of the points.
    at_y, at_x : arrays (ny, nx)
        Positions where the planes are evaluated.
    box : int
        Side of the box, in elements.

    Returns
    -------
    plane : array (ny, nx)
        NaN where no point of the box has a weight.
    weight : array (ny, nx)
        Mean weight in the box, 0 where the plane would be extrapolated too far.
    """
    # Positions are counted from the middle because sums of squares of large numbers would lose digits.
    y, x, at_y, at_x = y - at_y.mean(), x - at_x.mean(), at_y - at_y.mean(), at_x - at_x.mean()
    total = _box_mean(weight, box)
    # A total weight below a hundredth of one point is only the rounding error of the moving sums.
    usable = total > 0.01 * min(float(weight[weight > 0].min(initial=1.0)), 1.0) / box**2
    scale = np.where(usable, total, 1.0)

    def mean(values: np.ndarray) -> np.ndarray:
        return _box_mean(weight * values, box) / scale

    v, my, mx = mean(value), mean(y), mean(x)
    # Points along a line do not constrain the gradient across it: the small terms, above rounding errors, set it to 0.
    yy, xx = mean(y * y) - my**2 + 1e-7, mean(x * x) - mx**2 + 1e-7
    xy = mean(y * x) - my * mx
    vy, vx = mean(value * y) - v * my, mean(value * x) - v * mx
    determinant = yy * xx - xy**2
    dy, dx = at_y - my, at_x - mx
    # The gradient times (dy, dx), with the inverse of the 2 × 2 matrix written out, and the squared distance.
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = v + (dy * (xx * vy - xy * vx) + dx * (yy * vx - xy * vy)) / determinant
        distance2 = (dy**2 * xx + dx**2 * yy - 2.0 * dy * dx * xy) / determinant
    near = usable & (determinant > 0) & (distance2 <= _MAX_DISTANCE2)
    return np.where(near, plane, np.where(usable, v, np.nan)), np.where(near, total, 0.0)


def _interpolate(values: np.ndarray, nodes: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Return the values at the nodes, interpolated linearly to every pixel."""
    rows = np.stack([np.interp(np.arange(shape[1]), nodes[1], row) for row in values])
    low = np.clip(np.searchsorted(nodes[0], np.arange(shape[0]), side="right") - 1, 0, max(len(nodes[0]) - 2, 0))
    high = np.minimum(low + 1, len(nodes[0]) - 1)
    gap = np.maximum(nodes[0][high] - nodes[0][low], 1)
    t = ((np.arange(shape[0]) - nodes[0][low]) / gap)[:, None]
    return rows[low] * (1.0 - t) + rows[high] * t
