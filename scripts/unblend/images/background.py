"""Large-scale background: a moving boxcar mean or median of the unmasked pixels.

A plain moving mean is wrong wherever the usable pixels of its box are not centred on the pixel, at the edges of the
image and beside masked sources, by the slope times the offset. So a plane is fitted in each box and its value at the
pixel taken: on a full box without mask that *is* the mean.
"""

from __future__ import annotations

import numpy as np

_MIN_COVERAGE = 0.05
"""A box with a smaller usable part gives no value: the next larger box does."""

# Squared distance of a pixel from the mean of its box's usable pixels, in their variance, beyond which the plane would
# be extrapolated too far: the next larger box gives the value. A corner of the image has 6, of the grid of medians 9.4.
_MAX_DISTANCE2 = 12.0
# The median is that of boxes of a third of the side at every sixth of it; planes through 5x5 of them span the side.
_PARTS, _NODES_PER_BOX = 3, 5
_MAX_DOUBLINGS = 12


def moving_background(
    image: np.ndarray, mask: np.ndarray, *, box_pixels: float, statistic: str = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the background at every pixel, and the usable fraction of the box around it.

    Parameters
    ----------
    image : array (ny, nx)
        Non-finite pixels are ignored.
    mask : bool array (ny, nx)
        True = ignored (sources, bad pixels).
    box_pixels : float
        Side of the box; the next odd number is taken.
    statistic : {"mean", "median"}
        The median is that of overlapping boxes of a third of the side, joined by the same plane fit.

    Returns
    -------
    background : array (ny, nx)
        Finite everywhere. Where less than 5 % of the box is usable, or all of that lies to one side, the box is doubled
        until there is more; 0 where the image has no usable pixel at all.
    coverage : array (ny, nx)
        Usable fraction of the (first) box; its part off the image counts as not usable.

    Raises
    ------
    ValueError
        The statistic is unknown or the box is smaller than a pixel.
    """
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic is {statistic!r}: expected mean or median")
    if not box_pixels >= 1:
        raise ValueError(f"the background's box is {box_pixels:g} pixels: expected at least 1")
    good = np.isfinite(image) & ~mask
    # Larger than twice the image is as large as can be.
    largest = _odd(2 * max(image.shape))
    box = min(_odd(box_pixels), largest)
    coverage = _box_mean(good.astype(float), box)
    background = np.full(image.shape, np.nan)
    for _ in range(_MAX_DOUBLINGS):
        estimate, usable = _mean(image, good, box) if statistic == "mean" else _median(image, good, box)
        empty = np.isnan(background) & (usable >= _MIN_COVERAGE)
        background[empty] = estimate[empty]
        if box == largest or not np.isnan(background).any():
            break
        box = min(_odd(2 * box), largest)
    fallback = float(np.median(image[good])) if good.any() else 0.0
    return np.where(np.isnan(background), fallback, background), coverage


def _odd(size: float) -> int:
    return 2 * int(size / 2.0) + 1


def _box_mean(values: np.ndarray, box: int) -> np.ndarray:
    """Return the sum over the box around each pixel, zero off the image, divided by the box's area."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(values, box, mode="constant")


def _mean(image: np.ndarray, good: np.ndarray, box: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(image.shape, dtype=float)
    weight = good.astype(float)
    return _plane(np.where(good, image, 0.0), weight, y, x, y, x, box)


def _median(image: np.ndarray, good: np.ndarray, box: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the median version of `_mean`: see `_PARTS`."""
    nodes = [_nodes(n, max(1, box // (2 * _PARTS))) for n in image.shape]
    value, weight, y, x = _node_medians(np.where(good, image, np.nan), nodes, _odd(box / _PARTS))
    at_y, at_x = (grid.astype(float) for grid in np.meshgrid(*nodes, indexing="ij"))
    estimate, usable = _plane(value, weight, y, x, at_y, at_x, _NODES_PER_BOX)
    surface = _interpolate(np.where(usable > 0, estimate, 0.0), nodes, image.shape)
    # A pixel has a value where all nodes around it do; they have none below 5 % of their own box.
    valid = _interpolate((usable > 0).astype(float), nodes, image.shape) > 1.0 - 1e-9
    return surface, np.where(valid, 1.0, 0.0)


def _nodes(length: int, step: int) -> np.ndarray:
    """Return node positions at most `step` apart, the first and the last pixel among them."""
    return np.unique(np.rint(np.linspace(0, length - 1, 2 + (length - 1) // step)).astype(int))


def _node_medians(
    image: np.ndarray, nodes: list[np.ndarray], side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return for each node the median of its box, the usable fraction (0 below 5 %), the mean (y, x) of its pixels."""
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
        # NaN sorts to the end: the median lies among the first `count`.
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
    """Return the least-squares plane through the points of the box around each element at (at_y, at_x), and its weight.

    Points have weights and positions (y, x) of their own. The plane's weight is their mean, or zero where the plane
    would be extrapolated too far; the plane is NaN where no point has weight. All sums are moving box sums, so the cost
    does not depend on the box.
    """
    # Positions counted from the middle: sums of squares of large numbers would lose digits.
    y, x, at_y, at_x = y - at_y.mean(), x - at_x.mean(), at_y - at_y.mean(), at_x - at_x.mean()
    total = _box_mean(weight, box)
    # Below a hundredth of one point in the box there are rounding errors of the moving sums only.
    usable = total > 0.01 * min(float(weight[weight > 0].min(initial=1.0)), 1.0) / box**2
    scale = np.where(usable, total, 1.0)

    def mean(values: np.ndarray) -> np.ndarray:
        return _box_mean(weight * values, box) / scale

    v, my, mx = mean(value), mean(y), mean(x)
    # Points on one line leave the slope across it free: the small numbers, above rounding errors, set it to zero.
    yy, xx = mean(y * y) - my**2 + 1e-7, mean(x * x) - mx**2 + 1e-7
    xy = mean(y * x) - my * mx
    vy, vx = mean(value * y) - v * my, mean(value * x) - v * mx
    determinant = yy * xx - xy**2
    dy, dx = at_y - my, at_x - mx
    # slope . d, with the inverse of the 2x2 matrix written out; then d . inverse . d, the squared distance.
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = v + (dy * (xx * vy - xy * vx) + dx * (yy * vx - xy * vy)) / determinant
        distance2 = (dy**2 * xx + dx**2 * yy - 2.0 * dy * dx * xy) / determinant
    near = usable & (determinant > 0) & (distance2 <= _MAX_DISTANCE2)
    return np.where(near, plane, np.where(usable, v, np.nan)), np.where(near, total, 0.0)


def _interpolate(values: np.ndarray, nodes: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Return values at the nodes interpolated linearly to every pixel."""
    rows = np.stack([np.interp(np.arange(shape[1]), nodes[1], row) for row in values])
    low = np.clip(np.searchsorted(nodes[0], np.arange(shape[0]), side="right") - 1, 0, max(len(nodes[0]) - 2, 0))
    high = np.minimum(low + 1, len(nodes[0]) - 1)
    gap = np.maximum(nodes[0][high] - nodes[0][low], 1)
    t = ((np.arange(shape[0]) - nodes[0][low]) / gap)[:, None]
    return rows[low] * (1.0 - t) + rows[high] * t
