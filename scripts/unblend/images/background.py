"""Large-scale background: a moving mean or median of the unmasked pixels.

A plain moving mean is biased where the usable pixels of its box are not centred on the pixel, as at the edges of the
image and beside masked sources: the error is the gradient of the background times the offset. So a plane is fitted in
each box and evaluated at the pixel, which for a box without masked pixels is the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.errors import InputError
from ..core.quantised import lattice_step, spread_image
from ..core.strips import BitMask, Canvas, Derived, Workspace
from ..core.types import Box, WindowedImage

_MIN_COVERAGE = 0.05
"""Boxes with a smaller usable fraction are replaced by the next larger box."""

_MAX_DISTANCE2 = 12.0
"""Largest squared distance of a pixel from the mean position of the usable pixels of its box, in their variance.
Beyond it the plane would be extrapolated too far, and the next larger box is used. In a corner of the image the value
is 6, in a corner of the grid of medians 9.4."""
_PARTS, _NODES_PER_BOX = 3, 5
"""Medians are taken in boxes of a third of the side, spaced by a sixth of it; a plane is fitted to 5 × 5 of them."""
TILE_PIXELS = 1024
"""Side of the tiles in which a large image is worked on, each with the half box around it: planes need 120 bytes for
every pixel. A tile is not smaller than four boxes."""
BINNED_BOX, MEDIAN_SIDE = 256, 128
"""Largest side of a box in bins, and of a box of medians in pixels, in an image too large to be measured as a whole."""
ROWS_READ = 64
"""Rows of a tile that are looked at together."""
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
    good = np.isfinite(image) & ~mask
    background = background_of(image, good, box_pixels=box_pixels, statistic=statistic)
    box = min(_odd(box_pixels), _odd(2 * max(image.shape)))
    return np.asarray(background), _box_mean(good.astype(float), box)


def background_of(
    image: WindowedImage,
    good: WindowedImage,
    *,
    box_pixels: float,
    statistic: str = "mean",
    needed: WindowedImage | None = None,
    work: Workspace | None = None,
) -> Canvas:
    """Return the background at every pixel of an image of any size, as `moving_background` does.

    Far from all good pixels, as in the corners of a mosaic, boxes are doubled until they reach some, which takes longer
    than all the rest: there is no need for a background where there are no data.

    Parameters
    ----------
    image : image (ny, nx)
    good : bool image (ny, nx)
        True on the pixels that are used, which are finite.
    needed : bool image (ny, nx), optional
        True where the background is wanted; it is 0 elsewhere. All pixels without it.
    box_pixels, statistic
        As in `moving_background`.
    work : Workspace, optional
    """
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic is {statistic!r}; expected mean or median")
    if not box_pixels >= 1:
        raise InputError(f"the box of the background is {box_pixels:g} pixels; expected at least 1. Give it in arcsec.")
    work = work or Workspace()
    # A box of twice the image covers it from every pixel.
    largest = _odd(2 * max(image.shape))
    box = min(_odd(box_pixels), largest)
    background, missing = work.new(image.shape, np.float64), BitMask(image.shape)
    for strip in work.strips(image.shape):
        missing[strip.slices] = True if needed is None else needed[strip.slices]
    medians = _Medians(image, good, work) if statistic == "median" else None
    for _ in range(_MAX_DOUBLINGS):
        for part, estimate, usable in (
            _means(image, good, missing, box, work) if medians is None else medians.surfaces(missing, box)
        ):
            empty = missing[part.slices] & (usable >= _MIN_COVERAGE)
            background[part.slices] = np.where(empty, estimate, background[part.slices])
            missing[part.slices] = missing[part.slices] & ~empty
        if box == largest or not missing.any():
            break
        box = min(_odd(2 * box), largest)
    if missing.any():
        (values,) = work.gather(image.shape, lambda strip: [good[strip.slices], image[strip.slices]])
        typical = float(np.median(values)) if values.size else 0.0
        for strip in work.strips(image.shape):
            background[strip.slices] = np.where(missing[strip.slices], typical, background[strip.slices])
    return background


def _odd(size: float) -> int:
    return 2 * int(size / 2.0) + 1


def _box_mean(values: np.ndarray, box: int) -> np.ndarray:
    """Return the mean over the box around each pixel, taking values outside the image as zero."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(values, box, mode="constant")


def _means(
    image: WindowedImage, good: WindowedImage, missing: WindowedImage, box: int, work: Workspace
) -> Iterator[tuple[Box, np.ndarray, np.ndarray]]:
    """Yield parts of the image where values are missing, planes through all good pixels of boxes, and their fraction.

    In a large image the pixels of a large box are binned.
    """
    whole = Box.of_shape(image.shape)
    bins = 1 if work.step(image.shape) == 1 else -(-box // BINNED_BOX)
    for tile in whole.tiles(max(TILE_PIXELS, 4 * box)):
        if not any(missing[strip.slices].any() for strip in tile.strips(ROWS_READ)):
            continue
        wide = tile.grown(box // 2 + 1) & whole
        if bins > 1:
            yield from _binned_means(image, good, tile, wide, box, bins)
            continue
        own = good[wide.slices]
        y, x = np.ogrid[: float(wide.shape[0]), : float(wide.shape[1])]
        plane, fraction = _plane(np.where(own, image[wide.slices], 0.0), own.astype(float), y, x, y, x, box)
        yield tile, plane[tile.within(wide)], fraction[tile.within(wide)]


def _binned_means(
    image: WindowedImage, good: WindowedImage, tile: Box, wide: Box, box: int, bins: int
) -> Iterator[tuple[Box, np.ndarray, np.ndarray]]:
    """Yield what `_means` does for a tile, from the means of squares of so many pixels on a side."""
    ny, nx = (-(-side // bins) for side in wide.shape)
    value, weight = np.zeros((ny, nx)), np.zeros((ny, nx))
    columns = np.arange(0, wide.shape[1], bins)
    for row in range(ny):
        strip = Box(wide.y0 + row * bins, wide.x0, min(wide.y0 + (row + 1) * bins, wide.y1), wide.x1)
        own = good[strip.slices]
        light = np.where(own, image[strip.slices], 0.0)
        count, total = (np.add.reduceat(each.sum(axis=0, dtype=float), columns) for each in (own, light))
        weight[row], value[row] = count / bins**2, total / np.maximum(count, 1.0)
    y, x = np.ogrid[: float(ny), : float(nx)]
    plane, fraction = _plane(value, weight, y, x, y, x, _odd(box / bins))
    at_x = np.minimum((np.arange(tile.x0, tile.x1) - wide.x0) // bins, nx - 1)
    centres = [bins * np.arange(side) + (bins - 1) / 2.0 for side in (ny, nx)]
    for part in tile.strips(ROWS_READ):
        rows = np.arange(part.y0, part.y1) - wide.y0
        along = np.stack([np.interp(np.arange(tile.x0, tile.x1) - wide.x0, centres[1], line) for line in plane])
        low = np.clip(np.searchsorted(centres[0], rows, side="right") - 1, 0, max(ny - 2, 0))
        high = np.minimum(low + 1, ny - 1)
        t = np.clip((rows - centres[0][low]) / bins, 0.0, 1.0)[:, None]
        surface = along[low] * (1.0 - t) + along[high] * t
        near = fraction[np.minimum(rows // bins, ny - 1)][:, at_x]
        yield part, surface, np.where(np.isfinite(surface), near, 0.0)


class _Medians:
    """Planes through the medians of small boxes (see `_PARTS`) of an image.

    Parameters
    ----------
    image, good : images (ny, nx)
    work : Workspace
    """

    def __init__(self, image: WindowedImage, good: WindowedImage, work: Workspace) -> None:
        self.shape, self._work = image.shape, work
        whole = Box.of_shape(image.shape)
        self._step = 0.0
        self._image = Derived(image.shape, lambda at: np.where(good[at], image[at], np.nan))
        # Medians of integers would be integers.
        if work.step(image.shape) == 1:
            spread = spread_image(self._image[whole.slices])
            self._image = Derived(image.shape, lambda at: spread[at])
        else:
            (values,) = work.gather(image.shape, lambda strip: [good[strip.slices], image[strip.slices]])
            self._step = lattice_step(np.sort(values))

    def surfaces(self, missing: WindowedImage, box: int) -> Iterator[tuple[Box, np.ndarray, np.ndarray]]:
        """Yield strips, the background in them, and 1 where it is valid."""
        nodes = [_nodes(n, max(1, box // (2 * _PARTS))) for n in self.shape]
        value, weight, y, x = self._node_medians(nodes, _odd(box / _PARTS))
        at_y, at_x = (grid.astype(float) for grid in np.meshgrid(*nodes, indexing="ij"))
        estimate, usable = _plane(value, weight, y, x, at_y, at_x, _NODES_PER_BOX)
        for strip in self._work.strips(self.shape):
            if missing[strip.slices].any():
                surface = _interpolate(np.where(usable > 0, estimate, 0.0), nodes, strip.core)
                # A pixel is valid if all nodes around it are; nodes are not if less than 5 % of their box is usable.
                valid = _interpolate((usable > 0).astype(float), nodes, strip.core) > 1.0 - 1e-9
                yield strip.core, surface, np.where(valid, 1.0, 0.0)

    def _rows(self, first: int, stop: int, step: int) -> np.ndarray:
        """Return every `step`th of the rows from `first` on, NaN beyond the image and where a pixel is not used."""
        ny, nx = self.shape
        if step == 1:
            inside = slice(max(first, 0), min(stop, ny))
            rows = np.full((stop - first, nx), np.nan)
            rows[inside.start - first : inside.stop - first] = self._image[inside, slice(0, nx)]
        else:
            empty = np.full((1, nx), np.nan)
            known = (
                self._image[slice(y, y + 1), slice(0, nx)] if 0 <= y < ny else empty for y in range(first, stop, step)
            )
            rows = np.concatenate(list(known))
        return spread_image(rows, self._step) if self._step else rows

    def _node_medians(
        self, nodes: list[np.ndarray], side: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the median of the box around each node, its usable fraction (0 below 5 %), its mean position.

        In a large image large boxes have every k-th pixel only.
        """
        half = side // 2
        step = 1 if self._work.step(self.shape) == 1 else -(-side // MEDIAN_SIDE)
        offset = np.arange(0, side, step) - half
        columns = nodes[1][:, None] + half + offset
        value, weight, y, x = (np.zeros((len(nodes[0]), len(nodes[1]))) for _ in range(4))
        for i, row in enumerate(nodes[0].tolist()):
            padded = np.pad(
                self._rows(row - half, row + half + 1, step), ((0, 0), (half, half)), constant_values=np.nan
            )
            pixels = padded[:, columns].transpose(1, 0, 2)
            good = np.isfinite(pixels)
            count = good.sum(axis=(1, 2))
            used = count >= max(1.0, _MIN_COVERAGE * offset.size**2)
            number = np.maximum(count, 1)
            # NaN is sorted to the end, so that the median is among the first `count` values.
            ordered = np.sort(pixels.reshape(len(count), -1), axis=1)
            middle = [np.take_along_axis(ordered, k[:, None], axis=1)[:, 0] for k in ((number - 1) // 2, number // 2)]
            value[i] = np.where(used, (middle[0] + middle[1]) / 2.0, 0.0)
            weight[i] = np.where(used, count / offset.size**2, 0.0)
            y[i] = row + (good.sum(axis=2) @ offset) / number
            x[i] = nodes[1] + (good.sum(axis=1) @ offset) / number
        return value, weight, y, x


def _nodes(length: int, step: int) -> np.ndarray:
    """Return positions of nodes at most `step` pixels apart, including the first and the last pixel."""
    return np.unique(np.rint(np.linspace(0, length - 1, 2 + (length - 1) // step)).astype(int))


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
    y, x : arrays (ny, nx), or (ny, 1) and (1, nx)
        Positions of the points.
    at_y, at_x : arrays of the shapes of y and x
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
    scale = _box_mean(weight, box)
    # A total weight below a hundredth of one point is only the rounding error of the moving sums.
    usable = scale > 0.01 * min(float(weight[weight > 0].min(initial=1.0)), 1.0) / box**2
    scale[~usable] = 1.0

    def mean(values: np.ndarray) -> np.ndarray:
        result = _box_mean(weight * values, box)
        result /= scale
        return result

    v, my, mx = mean(value), mean(y), mean(x)
    # Points along a line do not constrain the gradient across it: the small terms, above rounding errors, set it to 0.
    yy, xx = mean(y * y) - my**2 + 1e-7, mean(x * x) - mx**2 + 1e-7
    xy = mean(y * x) - my * mx
    vy, vx = mean(value * y) - v * my, mean(value * x) - v * mx
    determinant = yy * xx - xy**2
    # in place: arrays of the size of a tile are most of the memory
    dy, dx = np.subtract(at_y, my, out=my), np.subtract(at_x, mx, out=mx)
    # The gradient times (dy, dx), with the inverse of the 2 × 2 matrix written out, and the squared distance.
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (dy * (xx * vy - xy * vx) + dx * (yy * vx - xy * vy)) / determinant
        del vy, vx
        plane = v + slope
        del slope
        distance2 = (dy**2 * xx + dx**2 * yy - 2.0 * dy * dx * xy) / determinant
    near = usable & (determinant > 0) & (distance2 <= _MAX_DISTANCE2)
    return np.where(near, plane, np.where(usable, v, np.nan)), np.where(near, scale, 0.0)


def _interpolate(values: np.ndarray, nodes: list[np.ndarray], part: Box) -> np.ndarray:
    """Return the values at the nodes, interpolated linearly to every pixel of a part of the image."""
    lines = np.stack([np.interp(np.arange(part.x0, part.x1), nodes[1], row) for row in values])
    rows = np.arange(part.y0, part.y1)
    low = np.clip(np.searchsorted(nodes[0], rows, side="right") - 1, 0, max(len(nodes[0]) - 2, 0))
    high = np.minimum(low + 1, len(nodes[0]) - 1)
    gap = np.maximum(nodes[0][high] - nodes[0][low], 1)
    t = ((rows - nodes[0][low]) / gap)[:, None]
    return lines[low] * (1.0 - t) + lines[high] * t
