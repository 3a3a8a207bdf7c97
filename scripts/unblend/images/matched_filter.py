"""The matched filter of an image for small sources: the signal-to-noise ratio of a Gaussian source at each pixel."""

from __future__ import annotations

import math

import numpy as np

from ..core.units import FWHM_PER_SIGMA

TRUNCATION = 4.0
"""Radius of the filter in units of its sigma, beyond which it is 0."""


def matched_filter(
    data: np.ndarray, error: np.ndarray, fwhm_pixels: float, *, largest_variance: float | None = None
) -> np.ndarray:
    """Return the signal-to-noise ratio of a Gaussian source at each pixel, Σ P d/σ² / √(Σ P²/σ²), shape (ny, nx).

    Parameters
    ----------
    data, error : array (ny, nx)
        Image and noise; pixels with an infinite noise are ignored.
    fwhm_pixels : float
        FWHM of the source.
    largest_variance : float, optional
        Largest value of `signal_variance` in the image of which these arrays are a part. Where less than a millionth
        of it is, nothing is known. None: in these arrays.
    """
    from scipy.ndimage import gaussian_filter

    signal = gaussian_filter(data * error**-2.0, fwhm_pixels / FWHM_PER_SIGMA, mode="constant", truncate=TRUNCATION)
    variance = signal_variance(error, fwhm_pixels)
    known = variance > 1e-6 * (float(variance.max(initial=0.0)) if largest_variance is None else largest_variance)
    return np.where(known, signal, 0.0) / np.sqrt(np.where(known, variance, 1.0))


def signal_variance(error: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Return Σ P²/σ² of a Gaussian source at each pixel, shape (ny, nx); parameters as for `matched_filter`."""
    from scipy.ndimage import gaussian_filter

    sigma = fwhm_pixels / FWHM_PER_SIGMA
    # The square of a Gaussian of unit sum is one that is narrower by √2, with the sum 1 / (4 π σ²).
    narrow = gaussian_filter(error**-2.0, sigma / math.sqrt(2.0), mode="constant", truncate=TRUNCATION)
    return narrow / (4.0 * math.pi * sigma**2)


def filter_reach(fwhm_pixels: float) -> int:
    """Return the distance in pixels beyond which the filter is 0."""
    return math.ceil(TRUNCATION * fwhm_pixels / FWHM_PER_SIGMA) + 1
