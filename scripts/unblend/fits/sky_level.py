"""The sky level of a fit group, from the pixels without source, with the error to which a fit holds it.

A sky that is free within the noise of a pixel trades with the wings of the profiles: bright galaxies get halos and the
sky becomes negative. Its level is known much better than that, but the pixels of a cutout contain wings: the level of a
wider window, far from all sources, is combined with that of the cutout. Where that window has a slope, such as the glow
of a bright star, the cutout has it, too, and it is subtracted before the fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.statistics import median
from ..core.types import Box, WindowedImage
from .imfit import Pixels, flat_sky, sky_block
from .imfit_config import Block
from .smoothed_noise import autocorrelation_sum

SKY_SIGMAS = 2.0
"""Limits of the sky in errors of its measured value. Between them the fit has that value and error as a prior."""
MEDIAN_ERROR = 1.2533
"""Error of a median in units of that of a mean, √(π / 2), for Gaussian noise."""
MIN_SKY_PIXELS = 50
"""Smallest number of pixels without source from which a sky is measured: its error is then a sixth of a pixel's rms."""
BINS = 12
"""Number of bins of equal size in the brightness of the model, in which the medians of the pixels are taken."""
WINDOW_SIDES = 3.0
"""Side of the window around a cutout in which its surrounding sky is measured, in sides of the cutout."""
MIN_MARGIN_PIXELS = 60
"""Smallest distance between the edges of the cutout and of that window."""
CLEAR_RADII = 2.0
"""Distance from a source at which its wings are taken to be negligible, in radii √(area / π) of its segment from the
edge of the segment. A galaxy of n = 4 has there a thousandth of its central brightness, so that only a faint one is
below the noise of the level; bright ones are few and raise the scatter of the blocks."""
BLOCKS = 4
"""The window is divided into this number of blocks along each axis; the scatter of their levels is that of the sky."""
MIN_BLOCKS = 4
"""Smallest number of blocks with enough pixels from which a surrounding sky is measured."""
MIN_BLOCKS_OF_SLOPE = 8
"""Smallest number of blocks from which a slope is measured."""
CHANCE_OF_SLOPE = 1e-3
"""A slope is used if levels without one would show it with less than this probability, by the scatter of the levels
about it as well as by their own errors."""
LEVERAGE, CHANCE_EXTRAPOLATED = 2.0, 1e-6
"""Variance of the level of a plane in the middle of the cutout, over that of a constant, beyond which the blocks lie on
one side of it and the plane is extrapolated. It must then be this certain: it may be the wings of a galaxy, and its
level is wrong by more than its error."""
CONFIRMED_WINGS = 0.5
"""Slope of pixels against model that must be exceeded by two errors for the wings of the model to be subtracted."""


@dataclass(frozen=True)
class SkyLevel:
    """A measured sky, flux per pixel, in the middle of a cutout.

    Parameters
    ----------
    value, error : float
        Its level and the standard error of that.
    slope : (y, x)
        Change of the level per pixel along each axis; zeros where none was found.
    """

    value: float
    error: float
    slope: tuple[float, float] = (0.0, 0.0)

    def to_list(self) -> list[float]:
        """Return the four numbers, as `groups.json` has them."""
        return [self.value, self.error, *self.slope]

    @classmethod
    def from_list(cls, numbers: Sequence[float]) -> SkyLevel:
        """Return the sky of `to_list`."""
        value, error, along_y, along_x = numbers
        return cls(value, error, (along_y, along_x))

    def tilt(self, box: Box) -> np.ndarray:
        """Return what the slope adds to the level in every pixel of the cutout, zero in its middle, shape (ny, nx)."""
        y, x = (np.arange(side) - 0.5 * (side - 1) for side in box.shape)
        return self.slope[0] * y[:, None] + self.slope[1] * x

    def combined_with(self, other: SkyLevel) -> SkyLevel:
        """Return the mean weighted by inverse variance; its error is larger where the two disagree (Birge ratio)."""
        weights = np.array([self.error, other.error]) ** -2.0
        mean = float(np.average([self.value, other.value], weights=weights))
        disagreement = abs(self.value - other.value) / math.hypot(self.error, other.error)
        return SkyLevel(mean, max(disagreement, 1.0) / math.sqrt(weights.sum()))


def surrounding_sky(
    stack: WindowedImage, error: WindowedImage, segments: WindowedImage, box: Box, smoothing: float = 0.0
) -> SkyLevel | None:
    """Return the sky around a cutout, far from all sources; None where there are too few such pixels.

    The level is the mean of the medians of blocks. Its error is their scatter, not that of their mean, because the sky
    of the cutout may differ from that around it as much as the blocks differ from each other. Where the levels follow
    a plane, they are the level of that in the middle of the cutout and the scatter about it.

    Parameters
    ----------
    stack, error : array (ny, nx)
        Detection stack and its error; pixels where either is not finite are ignored.
    segments : int array (ny, nx)
        Segmentation map, 0 for no source.
    box : Box
        The cutout, in pixels of the stack.
    smoothing : float
        Pixels, as in `Pixels`.
    """
    margin = max(MIN_MARGIN_PIXELS, round(0.5 * (WINDOW_SIDES - 1.0) * max(box.shape)))
    window = Box(box.y0 - margin, box.x0 - margin, box.y1 + margin, box.x1 + margin) & Box.of_shape(stack.shape)
    values, noise, labels = stack[window.slices], error[window.slices], segments[window.slices]
    clear = np.isfinite(values) & np.isfinite(noise) & (noise > 0) & _clear_of_sources(labels)
    middle = box.centre[0] - window.y0, box.centre[1] - window.x0
    found = []
    for rows in np.array_split(np.arange(values.shape[0]), BLOCKS):
        for columns in np.array_split(np.arange(values.shape[1]), BLOCKS):
            block = np.ix_(rows, columns)
            used = clear[block]
            if np.count_nonzero(used) >= MIN_SKY_PIXELS:
                y, x = (k.mean() for k in np.nonzero(used))
                place = rows[0] + y - middle[0], columns[0] + x - middle[1]
                found.append((median(values[block][used]), _median_error(noise[block][used], smoothing), *place))
    return _sky_of_blocks(np.array(found)) if len(found) >= MIN_BLOCKS else None


def _sky_of_blocks(blocks: np.ndarray) -> SkyLevel:
    """Return the sky of blocks, rows of level, error, y and x from the middle of the cutout; with a slope if it shows.

    Whether it shows is an F test of two parameters, whose probability is a power of the ratio of the two chi2.
    """
    levels, errors = blocks[:, 0], blocks[:, 1]
    flat, plane = np.ones((len(blocks), 1)), np.column_stack([np.ones(len(blocks)), blocks[:, 2:]])
    sky, chi2, variance = _fitted_sky(levels, errors, flat)
    if len(blocks) < MIN_BLOCKS_OF_SLOPE:
        return sky
    tilted, lower, of_plane = _fitted_sky(levels, errors, plane)
    by_scatter = (lower / chi2) ** (0.5 * (len(blocks) - plane.shape[1])) if chi2 > 0 else 1.0
    by_errors = math.exp(0.5 * (lower - chi2))
    largest = CHANCE_OF_SLOPE if of_plane <= LEVERAGE * variance else CHANCE_EXTRAPOLATED
    return tilted if max(by_scatter, by_errors) < largest else sky


def _fitted_sky(levels: np.ndarray, errors: np.ndarray, design: np.ndarray) -> tuple[SkyLevel, float, float]:
    """Return the sky of levels with errors, chi2, and the variance of the level by the errors alone.

    The first column of the design is the level.
    """
    weights = errors**-2.0
    covariance = np.linalg.pinv(design.T @ (weights[:, None] * design), hermitian=True)
    solution = covariance @ (design.T @ (weights * levels))
    squares = weights * (levels - design @ solution) ** 2
    chi2 = float(squares.sum())
    per_level = chi2 / (len(levels) - len(solution) + 1)
    excess = max(0.0, per_level - 1.0) * len(levels) / float(weights.sum())
    slope = (float(solution[1]), float(solution[2])) if len(solution) > 1 else (0.0, 0.0)
    variance = float(covariance[0, 0])
    return SkyLevel(float(solution[0]), math.sqrt(excess + variance), slope), chi2, variance


def _clear_of_sources(segments: np.ndarray) -> np.ndarray:
    """Return the pixels farther than `CLEAR_RADII` radii from the edge of the nearest segment."""
    if not segments.any():
        return np.ones(segments.shape, dtype=bool)
    from scipy.ndimage import distance_transform_edt

    _, index = np.unique(segments, return_inverse=True)
    radii = np.sqrt(np.bincount(index.ravel()) / np.pi)
    distance, nearest = distance_transform_edt(segments == 0, return_indices=True)
    radius = radii[index.reshape(segments.shape)[tuple(nearest)]]
    return np.asarray(distance > CLEAR_RADII * radius)


def measured_sky(
    segments: np.ndarray, pixels: Pixels, model: np.ndarray | None = None, around: SkyLevel | None = None
) -> Block:
    """Return the flat sky of a group at its measured level, limited to two errors of that level.

    Without a model the level is the median of the half of the pixels without source that are farthest from any source.
    Nearer ones contain the wings of the profiles: with all of them, a bright galaxy of n = 4 loses a tenth of its flux.

    In a crowd the farthest pixels contain wings, too. With a model of the sources, the pixels without source are
    fitted by sky + slope × model. The wings of a wrong model, such as one Sersic profile for a clumpy merger, are not
    in the pixels: their slope is far below 1. Subtracting them would make the sky too low and the galaxy too bright.
    The level is that of the fit only where the pixels confirm the wings.

    It is combined with the sky around the cutout, where that is known.

    Parameters
    ----------
    segments : int array (ny, nx)
        Segmentation map, 0 for no source.
    pixels : Pixels
        Image, error and mask. With fewer than `MIN_SKY_PIXELS` pixels without source the sky is free within twice the
        noise of a pixel.
    model : array (ny, nx) or None
        Convolved image of all sources of the group, without the sky.
    around : SkyLevel or None
        The surrounding sky.
    """
    good = ~pixels.mask
    empty = good & (segments == 0)
    far = _far_from_sources(empty, segments)
    if np.count_nonzero(far) < MIN_SKY_PIXELS:
        if around is not None:
            return sky_block(around.value, SKY_SIGMAS * around.error)
        level = median(pixels.image[far]) if far.any() else 0.0
        rms = float(np.median(pixels.error[good])) if good.any() else 1.0
        return sky_block(level, SKY_SIGMAS * rms)
    sky = None if model is None else _level_beside_wings(empty, pixels, model)
    if sky is None:
        sky = SkyLevel(median(pixels.image[far]), _median_error(pixels.error[far], pixels.smoothing))
    if around is not None:
        sky = sky.combined_with(around)
    return sky_block(sky.value, SKY_SIGMAS * sky.error)


def held_sky(level: SkyLevel) -> Block:
    """Return a flat sky fixed at a level. Its limits give the covariance its error, as those of `measured_sky` do."""
    sky = sky_block(level.value, SKY_SIGMAS * level.error)
    return flat_sky(replace(sky.functions[0]["I_sky"], fixed=True))


def _far_from_sources(empty: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Return the half of the empty pixels that are farthest from any segment; all of them where there are few."""
    if np.count_nonzero(empty) < 2 * MIN_SKY_PIXELS or not segments.any():
        return empty
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(segments == 0)
    return empty & (distance >= np.median(distance[empty]))


def _median_error(errors: np.ndarray, smoothing: float) -> float:
    """Return the error of the median of pixels with these errors and correlated noise."""
    return MEDIAN_ERROR * float(np.median(errors)) * math.sqrt(autocorrelation_sum(smoothing) / errors.size)


def _level_beside_wings(empty: np.ndarray, pixels: Pixels, model: np.ndarray) -> SkyLevel | None:
    """Return the sky and its error from a fit of sky + slope × model to medians; None if the slope is too low.

    Parameters
    ----------
    empty : bool array (ny, nx)
        Pixels without source.
    pixels : Pixels
        Image and error.
    model : array (ny, nx)
        Convolved image of all sources of the group, without the sky.
    """
    image, errors, wings = pixels.image[empty], pixels.error[empty], model[empty]
    bins = np.array_split(np.argsort(wings, kind="stable"), BINS)
    brightness = np.array([wings[k].mean() for k in bins])
    if not np.ptp(brightness) > 0:
        return None
    medians = np.array([median(image[k]) for k in bins])
    weights = 1.0 / np.array([_median_error(errors[k], pixels.smoothing) for k in bins])
    (slope, level), covariance = np.polyfit(brightness, medians, 1, w=weights, cov="unscaled")
    if slope - 2.0 * math.sqrt(covariance[0, 0]) < CONFIRMED_WINGS:
        return None
    chi2 = float(np.sum(((medians - level - slope * brightness) * weights) ** 2)) / (BINS - 2)
    return SkyLevel(float(level), math.sqrt(covariance[1, 1] * max(chi2, 1.0)))
