"""The smoothed S/N image on which sources are detected."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from ..core.areas import extents
from ..core.counts import add_occurrences
from ..core.strips import Canvas, Derived, Strip, Window, Workspace
from ..core.types import WindowedImage
from ..core.units import FWHM_PER_SIGMA
from .stack import Stack, noise_level

_MIN_PATTERN_PIXELS = 1000
"""Fewest pixels with the same usable images on which their level is measured: in fewer, sources would dominate it."""

TRUNCATION = 4.0
"""Radius of the Gaussian of the smoothing in units of its sigma, beyond which it is 0."""

WIDE_PIXELS = 15.0
"""FWHM of the smoothing in pixels from which it is doubtful: images have two to ten pixels in the FWHM of their PSF."""

LARGE_SHARE = 0.25
"""Share of the image from which one source is doubtful: a dome of scattered light of 20 sigma covered half of a field,
and two galaxies on it were lost."""


def smoothing_warning(conv_fwhm_arcsec: float, arcsec_per_pixel: float) -> str | None:
    """Return a sentence for the user on a smoothing that is far wider than any PSF, otherwise None.

    Parameters
    ----------
    conv_fwhm_arcsec, arcsec_per_pixel : float
        FWHM of the Gaussian, and size of the pixels of the detection image.
    """
    pixels = conv_fwhm_arcsec / arcsec_per_pixel
    if pixels <= WIDE_PIXELS:
        return None
    return (
        f"detection.conv_fwhm is {conv_fwhm_arcsec:g} arcsec, {pixels:.0f} pixels of the detection image: neighbouring "
        "sources become one, and faint ones are lost. It is in arcsec, not in pixels; set it to about the FWHM of the "
        "PSF."
    )


def large_segment_warning(segments: WindowedImage, mask: WindowedImage) -> str | None:
    """Return a sentence for the user on a source that covers much of the image, otherwise None.

    Parameters
    ----------
    segments : int image (ny, nx)
        0 = sky.
    mask : bool image (ny, nx)
        True where nothing was observed.
    """
    work = Workspace()
    pixels = extents(Derived(segments.shape, lambda at: np.where(mask[at], 0, segments[at])), work)
    if not pixels.ids.size:
        return None
    largest = int(pixels.ids[np.argmax(pixels.area)])
    observed = sum(np.count_nonzero(~mask[strip.slices]) for strip in work.strips(segments.shape))
    share = pixels.area.max() / observed
    if share <= LARGE_SHARE:
        return None
    return (
        f"source {largest} covers {share:.0%} of the detection image: if it is scattered light or a structure of the "
        "background and no galaxy, sources on it are lost, or have its light. Set detection.background: {box: …} with "
        "a box smaller than it and larger than the galaxies, or mask it."
    )


def detection_image(
    stack: Stack, fwhm_pixels: float, work: Workspace | None = None
) -> tuple[Canvas, WindowedImage | None]:
    """Return the S/N image on which sources are detected, 0 where no image is usable, and its local noise.

    It is the maximum of the S/N of the images and of the stack in each pixel, minus its median, smoothed with a
    Gaussian of `fwhm_pixels` and divided by its clipped rms. Unusable pixels are smoothed as sky. Where an image has a
    weight map, the smoothing weights the pixels by the depth of the stack, see `_smooth_weighted`.

    Returns
    -------
    snr : image (ny, nx)
    noise : image (ny, nx) or None
        Noise of the smoothed light up to a factor: snr × noise is proportional to surface brightness. None if no image
        has a weight map.
    """
    from scipy.ndimage import gaussian_filter

    work, shape = work or Workspace(), stack.data.shape
    levels = _levels(stack, work)
    sigma_pixels = max(fwhm_pixels, 0.0) / FWHM_PER_SIGMA
    deepest = min(stack.rms.values())
    smoothed = work.new(shape, np.float64)
    noise = work.new(shape, np.float64) if stack.noise and sigma_pixels > 0 else None
    for strip in work.strips(shape, math.ceil(TRUNCATION * sigma_pixels) + 1):
        window = strip.wide.slices
        usable = np.isfinite(stack.data[window])
        flat = _flat(stack, levels, window)
        if not sigma_pixels > 0:
            smooth = flat
        elif noise is None:
            smooth = gaussian_filter(flat, sigma_pixels, mode="constant", truncate=TRUNCATION)
        else:
            smooth, local = _smooth_weighted(flat, usable, deepest / stack.error[window], sigma_pixels)
            noise[strip.slices] = local[strip.inside]
        smoothed[strip.slices] = smooth[strip.inside]

    def known(strip: Strip) -> tuple[np.ndarray, np.ndarray]:
        return np.isfinite(stack.data[strip.slices]), smoothed[strip.slices]

    centre, sigma = noise_level(*work.gather(shape, known))
    for strip in work.strips(shape):
        usable = np.isfinite(stack.data[strip.slices])
        smoothed[strip.slices] = np.where(usable, (smoothed[strip.slices] - centre) / sigma, 0.0)
    return smoothed, (stack.error if stack.noise and noise is None else noise)


def _smooth_weighted(
    snr: np.ndarray, usable: np.ndarray, inverse_noise: np.ndarray, sigma_pixels: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a S/N image smoothed with the kernel k and with the weights w = 1/noise² of its pixels, and its noise.

    It is sum(k w d) / sqrt(sum(k² w)) for the image d = snr × noise: the S/N of a source of the shape of the kernel,
    with the same noise on either side of a step of the depth and on it. Where the noise is constant, it is the smoothed
    S/N. Unusable pixels are smoothed as sky as deep as the pixels around them.

    Parameters
    ----------
    snr : array (ny, nx)
        0 where not usable.
    usable : bool array (ny, nx)
    inverse_noise : array (ny, nx)
        1/noise in any unit, 0 where not usable.
    sigma_pixels : float
        Width of the Gaussian kernel.

    Returns
    -------
    smoothed : array (ny, nx)
        0 where not usable.
    noise : array (ny, nx)
        Noise of sum(k w d) / sum(k w) up to a factor, infinite where not usable.
    """
    from scipy.ndimage import gaussian_filter

    def mean(values: np.ndarray, width: float) -> np.ndarray:
        """Return the mean of `values` over the usable pixels around each usable pixel."""
        total = gaussian_filter(values, width, mode="constant", truncate=TRUNCATION)[usable]
        return total / gaussian_filter(usable.astype(float), width, mode="constant", truncate=TRUNCATION)[usable]

    weight = inverse_noise**2
    # The square of a Gaussian is a Gaussian narrower by sqrt(2).
    root = np.sqrt(mean(weight, sigma_pixels / np.sqrt(2.0)))
    smoothed, noise = np.zeros(snr.shape), np.full(snr.shape, np.inf)
    light = gaussian_filter(snr * inverse_noise, sigma_pixels, mode="constant", truncate=TRUNCATION)
    smoothed[usable] = light[usable] / root
    noise[usable] = root / mean(weight, sigma_pixels)
    return smoothed, noise


def _highest(stack: Stack, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest S/N of the images and of the stack in each pixel, and which images are usable, as bits."""
    layers = [layer[window] for layer in stack.snr.values()]
    pattern = np.zeros(layers[0].shape, dtype=np.uint64 if len(layers) > 32 else np.uint32)
    for i, layer in enumerate(layers):
        pattern |= np.isfinite(layer).astype(pattern.dtype) << i
    if len(layers) > 1:
        with np.errstate(invalid="ignore"):
            layers.append(stack.data[window] / stack.error[window])
    highest = np.full(pattern.shape, -np.inf)
    for layer in layers:
        np.fmax(highest, layer, out=highest)
    return highest, pattern


def _levels(stack: Stack, work: Workspace) -> dict[int, tuple[float, float]]:
    """Return median and relative scatter of the maximum of noisy images for each combination of usable images.

    The maximum of several noisy images has a positive median, and its scatter is smaller than that of one (by 0.84 for
    two images and their stack). If they were not taken off, the sky covered by fewer images would be several sigma of
    the smoothed image lower, and noisier than that covered by more. The scatter is in units of that of the whole field.
    For combinations of few pixels the level is that of the whole field, or 0 for a single image. The level also depends
    on the relative depths of the images, but for two images it changes by less than 0.1 sigma of the smoothed image
    where the depth of one changes by a factor 4.
    """
    counts: Counter[int] = Counter()

    def read(strip: Strip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        highest, pattern = _highest(stack, strip.slices)
        add_occurrences(counts, pattern[pattern > 0])
        return pattern > 0, highest, pattern

    highest, pattern = work.gather(stack.data.shape, read)
    common, scatter = noise_level(highest)
    levels = {}
    for value, count in sorted(counts.items()):
        levels[value] = (common if value.bit_count() > 1 else 0.0, 1.0)
        if count >= _MIN_PATTERN_PIXELS:
            level, own = noise_level(highest[pattern == value])
            levels[value] = level, own / scatter if len(counts) > 1 and own > 0 and scatter > 0 else 1.0
    return levels


def _flat(stack: Stack, levels: dict[int, tuple[float, float]], window: Window) -> np.ndarray:
    """Return the largest S/N of the images and of the stack, level and scatter taken off; 0 without usable images."""
    highest, pattern = _highest(stack, window)
    for value in np.unique(pattern[pattern > 0]).tolist():
        level, scatter = levels[value]
        if level or scatter != 1.0:
            here = pattern == value
            highest[here] = (highest[here] - level) / scatter
    highest[~np.isfinite(stack.data[window])] = 0.0
    return highest
