"""The smoothed S/N image on which sources are detected."""

from __future__ import annotations

import numpy as np

from ..core.units import FWHM_PER_SIGMA
from .stack import Stack, noise_level

_MIN_PATTERN_PIXELS = 1000
"""Fewest pixels with the same usable images on which their level is measured: in fewer, sources would dominate it."""

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


def large_segment_warning(segments: np.ndarray, mask: np.ndarray) -> str | None:
    """Return a sentence for the user on a source that covers much of the image, otherwise None.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky.
    mask : bool array (ny, nx)
        True where nothing was observed.
    """
    ids, pixels = np.unique(segments[(segments > 0) & ~mask], return_counts=True)
    share = pixels.max(initial=0) / max(np.count_nonzero(~mask), 1)
    if share <= LARGE_SHARE:
        return None
    return (
        f"source {ids[np.argmax(pixels)]} covers {share:.0%} of the detection image: if it is scattered light or a "
        "structure of the background and no galaxy, sources on it are lost, or have its light. Set "
        "detection.background: {box: …} with a box smaller than it and larger than the galaxies, or mask it."
    )


def detection_image(stack: Stack, fwhm_pixels: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the S/N image on which sources are detected, 0 where no image is usable, and its local noise.

    It is the maximum of the S/N of the images and of the stack in each pixel, minus its median, smoothed with a
    Gaussian of `fwhm_pixels` and divided by its clipped rms. Unusable pixels are smoothed as sky. Where an image has a
    weight map, the smoothing weights the pixels by the depth of the stack, see `_smooth_weighted`.

    Returns
    -------
    snr : array (ny, nx)
    noise : array (ny, nx) or None
        Noise of the smoothed light up to a factor: snr × noise is proportional to surface brightness. None if no image
        has a weight map.
    """
    from scipy.ndimage import gaussian_filter

    layers = list(stack.snr.values())
    if len(layers) > 1:
        with np.errstate(invalid="ignore"):
            layers.append(stack.data / stack.error)
    flat = np.full(stack.data.shape, -np.inf)
    for layer in layers:
        np.fmax(flat, layer, out=flat)
    usable = np.isfinite(stack.data)
    # in place from here on: a large image fits only a few times into the memory
    _subtract_level(flat, list(stack.snr.values()))
    flat[~usable] = 0.0
    noise = stack.error if stack.noise else None
    sigma_pixels = fwhm_pixels / FWHM_PER_SIGMA
    if not fwhm_pixels > 0:
        smoothed = flat
    elif noise is None:
        smoothed = gaussian_filter(flat, sigma_pixels, mode="constant")
    else:
        smoothed, noise = _smooth_weighted(flat, usable, min(stack.rms.values()) / noise, sigma_pixels)
    del flat, layers
    centre, sigma = noise_level(smoothed[usable])
    smoothed -= centre
    smoothed /= sigma
    smoothed[~usable] = 0.0
    return smoothed, noise


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
        total = gaussian_filter(values, width, mode="constant")[usable]
        return total / gaussian_filter(usable.astype(float), width, mode="constant")[usable]

    weight = inverse_noise**2
    # The square of a Gaussian is a Gaussian narrower by sqrt(2).
    root = np.sqrt(mean(weight, sigma_pixels / np.sqrt(2.0)))
    smoothed, noise = np.zeros(snr.shape), np.full(snr.shape, np.inf)
    smoothed[usable] = gaussian_filter(snr * inverse_noise, sigma_pixels, mode="constant")[usable] / root
    noise[usable] = root / mean(weight, sigma_pixels)
    return smoothed, noise


def _subtract_level(highest: np.ndarray, layers: list[np.ndarray]) -> None:
    """Subtract the median of the maximum of several noisy images, for each combination of usable images, in place.

    The maximum of several noisy images has a positive median. If it were not subtracted, the sky covered by fewer
    images would be several sigma of the smoothed image lower. For combinations of few pixels the level is that of the
    whole field, or 0 for a single image. The level also depends on the relative depths of the images, but for two
    images it changes by less than 0.1 sigma of the smoothed image where the depth of one changes by a factor 4.
    """
    pattern = np.zeros(highest.shape, dtype=np.uint64 if len(layers) > 32 else np.uint32)
    for i, layer in enumerate(layers):
        pattern |= np.isfinite(layer).astype(pattern.dtype) << i
    common, _ = noise_level(highest[pattern > 0])
    for value in np.unique(pattern[pattern > 0]):
        pixels = pattern == value
        if np.count_nonzero(pixels) >= _MIN_PATTERN_PIXELS:
            highest[pixels] -= noise_level(highest[pixels])[0]
        elif int(value).bit_count() > 1:
            highest[pixels] -= common
