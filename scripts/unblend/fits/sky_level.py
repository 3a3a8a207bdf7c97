"""The sky level of a fit group, from the pixels without source, with the error to which a fit holds it.

A sky that is free within the noise of a pixel trades with the wings of the profiles: bright galaxies get halos and the
sky becomes negative. Its level is known much better than that, but the pixels without source contain wings.
"""

from __future__ import annotations

import math

import numpy as np

from .imfit import Pixels, sky_block
from .imfit_config import Block
from .smoothed_noise import autocorrelation_sum

SKY_SIGMAS = 3.0
"""Limits of the sky in errors of its measured value."""
MEDIAN_ERROR = 1.2533
"""Error of a median in units of that of a mean, √(π / 2), for Gaussian noise."""
MIN_SKY_PIXELS = 50
"""Smallest number of pixels without source from which a sky is measured: its error is then a sixth of a pixel's rms."""
BINS = 12
"""Number of bins of equal size in the brightness of the model, in which the medians of the pixels are taken."""
CONFIRMED_WINGS = 0.5
"""Slope of pixels against model that must be exceeded by two errors for the wings of the model to be subtracted."""


def measured_sky(segments: np.ndarray, pixels: Pixels, model: np.ndarray | None = None) -> Block:
    """Return the flat sky of a group at its measured level, limited to three errors of that level.

    Without a model the level is the median of the half of the pixels without source that are farthest from any source.
    Nearer ones contain the wings of the profiles: with all of them, a bright galaxy of n = 4 loses a tenth of its flux.

    In a crowd the farthest pixels contain wings, too. With a model of the sources, the pixels without source are
    fitted by sky + slope × model. The wings of a wrong model, such as one Sersic profile for a clumpy merger, are not
    in the pixels: their slope is far below 1. Subtracting them would make the sky too low and the galaxy too bright.
    The level is that of the fit only where the pixels confirm the wings.

    Parameters
    ----------
    segments : int array (ny, nx)
        Segmentation map, 0 for no source.
    pixels : Pixels
        Image, error and mask. With fewer than `MIN_SKY_PIXELS` pixels without source the sky is free within three times
        the noise of a pixel.
    model : array (ny, nx) or None
        Convolved image of all sources of the group, without the sky.
    """
    good = ~pixels.mask
    empty = good & (segments == 0)
    far = _far_from_sources(empty, segments)
    count = int(np.count_nonzero(far))
    level = float(np.median(pixels.image[far])) if count else 0.0
    if count < MIN_SKY_PIXELS:
        rms = float(np.median(pixels.error[good])) if good.any() else 1.0
        return sky_block(level, SKY_SIGMAS * rms)
    beside = None if model is None else _level_beside_wings(empty, pixels, model)
    level, error = beside or (level, _median_error(pixels.error[far], pixels.smoothing))
    return sky_block(level, SKY_SIGMAS * error)


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


def _level_beside_wings(empty: np.ndarray, pixels: Pixels, model: np.ndarray) -> tuple[float, float] | None:
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
    medians = np.array([np.median(image[k]) for k in bins])
    weights = 1.0 / np.array([_median_error(errors[k], pixels.smoothing) for k in bins])
    (slope, level), covariance = np.polyfit(brightness, medians, 1, w=weights, cov="unscaled")
    if slope - 2.0 * math.sqrt(covariance[0, 0]) < CONFIRMED_WINGS:
        return None
    chi2 = float(np.sum(((medians - level - slope * brightness) * weights) ** 2)) / (BINS - 2)
    return float(level), math.sqrt(covariance[1, 1] * max(chi2, 1.0))
