"""The smoothed S/N image on which sources are detected."""

from __future__ import annotations

import numpy as np

from ..core.units import FWHM_PER_SIGMA
from .stack import Stack, noise_level

_MIN_PATTERN_PIXELS = 1000
"""Fewest pixels with the same usable images on which their level is measured: in fewer, sources would dominate it."""
_SHARE_STEP = 0.2
"""Step, divided by the number of images, to which the share of an image in the weight of the stack is rounded where the
level of the maximum is predicted: the level changes by less than 0.03 of the noise of a pixel within a step."""
_DRAWS = 20001
"""Number of simulated pixels from which the level of the maximum is predicted, to 0.01 of their noise."""


def detection_image(stack: Stack, fwhm_pixels: float) -> np.ndarray:
    """Return the S/N image on which sources are detected, 0 where no image is usable.

    It is the maximum of the S/N of the images and of the stack in each pixel, minus its median, smoothed with a
    Gaussian of `fwhm_pixels` and divided by its clipped rms. Unusable pixels are smoothed as sky. Where an image has a
    weight map, the smoothing weights the pixels by the depth of the stack, see `_smooth_weighted`.
    """
    from scipy.ndimage import gaussian_filter

    layers = list(stack.snr.values())
    if len(layers) > 1:
        with np.errstate(invalid="ignore"):
            layers.append(stack.data / stack.error)
    highest = np.full(stack.data.shape, -np.inf)
    for layer in layers:
        highest = np.fmax(highest, layer)
    usable = np.isfinite(stack.data)
    level = _maximum_level(highest, stack)
    flat = np.where(usable, highest - level, 0.0)
    sigma_pixels = fwhm_pixels / FWHM_PER_SIGMA
    if not fwhm_pixels > 0:
        smoothed = flat
    elif stack.noise:
        smoothed = _smooth_weighted(flat, usable, min(stack.rms.values()) / stack.error, sigma_pixels)
    else:
        smoothed = gaussian_filter(flat, sigma_pixels, mode="constant")
    centre, sigma = noise_level(smoothed[usable])
    return np.where(usable, (smoothed - centre) / sigma, 0.0)


def _smooth_weighted(snr: np.ndarray, usable: np.ndarray, inverse_noise: np.ndarray, sigma_pixels: float) -> np.ndarray:
    """Return a S/N image smoothed with the kernel k and with the weights w = 1/noise² of its pixels.

    It is sum(k w d) / sqrt(sum(k² w)) for the image d = snr × noise: the S/N of a source of the shape of the kernel,
    with the same noise on either side of a step of the depth and on it. Unusable pixels are smoothed as sky as deep as
    the pixels around them. Where the noise is constant, it is the smoothed S/N.

    Parameters
    ----------
    snr : array (ny, nx)
        0 where not usable.
    usable : bool array (ny, nx)
    inverse_noise : array (ny, nx)
        1/noise in any unit, 0 where not usable.
    sigma_pixels : float
        Width of the Gaussian kernel.
    """
    from scipy.ndimage import gaussian_filter

    signal = gaussian_filter(snr * inverse_noise, sigma_pixels, mode="constant")
    # The square of a Gaussian is a Gaussian narrower by sqrt(2).
    variance, kernel = (
        gaussian_filter(values, sigma_pixels / np.sqrt(2.0), mode="constant")
        for values in (inverse_noise**2, usable.astype(float))
    )
    return np.where(usable, signal / np.sqrt(np.where(usable, variance / np.where(usable, kernel, 1.0), 1.0)), 0.0)


def _maximum_level(highest: np.ndarray, stack: Stack) -> np.ndarray:
    """Return the median of the maximum of several noisy images, for each combination of usable images.

    The maximum of several noisy images has a positive median. If it were not subtracted, the sky covered by fewer
    images would be several sigma of the smoothed image lower. For combinations of few pixels the level is that of the
    whole field, or 0 for a single image. How the level varies with the relative depth of the images is predicted.
    """
    layers = list(stack.snr.values())
    pattern = sum(np.isfinite(layer).astype(int) << i for i, layer in enumerate(layers))
    excess = _level_excess(stack, pattern)
    highest = highest - excess
    common, _ = noise_level(highest[pattern > 0])
    level = np.zeros(highest.shape)
    for value in np.unique(pattern[pattern > 0]):
        pixels = pattern == value
        if np.count_nonzero(pixels) >= _MIN_PATTERN_PIXELS:
            level[pixels], _ = noise_level(highest[pixels])
        elif int(value).bit_count() > 1:
            level[pixels] = common
    return level + excess


def _level_excess(stack: Stack, pattern: np.ndarray) -> np.ndarray:
    """Return by how much the median of the maximum is higher than where the images have their most common depths.

    The stack follows the deepest image the closer, the deeper that image is relative to the others. The maximum of the
    images and their stack then has a lower median. It is predicted for Gaussian noise, not measured, since a weight map
    may be lower at bright sources, whose light would be taken for the level.

    Parameters
    ----------
    stack : Stack
    pattern : int array (ny, nx)
        The usable images of each pixel, one bit each.
    """
    excess = np.zeros(pattern.shape)
    if not stack.noise or len(stack.snr) == 1:
        return excess
    draws = np.random.default_rng(0).normal(size=(_DRAWS, len(stack.snr)))
    for value in np.unique(pattern[pattern > 0]):
        images = [i for i in range(len(stack.snr)) if value >> i & 1]
        pixels = pattern == value
        if len(images) == 1:
            continue
        names = [list(stack.snr)[i] for i in images]
        shares = [(stack.error[pixels] / _noise(stack, name, pixels)) ** 2 for name in names]
        steps = np.rint(np.array(shares) * len(images) / _SHARE_STEP).astype(int)
        cases, index, count = np.unique(steps, axis=1, return_inverse=True, return_counts=True)
        levels = np.array([_predicted_level(draws[:, images], case) for case in cases.T])
        excess[pixels] = (levels - levels[np.argmax(count)])[index.ravel()]
    return excess


def _noise(stack: Stack, name: str, pixels: np.ndarray) -> float | np.ndarray:
    return stack.noise[name][pixels] if name in stack.noise else stack.rms[name]


def _predicted_level(draws: np.ndarray, shares: np.ndarray) -> float:
    """Return the median of the maximum of simulated pixels and their stack, to which the images contribute `shares`."""
    stacked = draws @ np.sqrt(shares / shares.sum())
    return float(np.median(np.maximum(draws.max(axis=1), stacked)))
