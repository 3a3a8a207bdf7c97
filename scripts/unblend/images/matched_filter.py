"""The matched filter of an image for small sources: the signal-to-noise ratio of a Gaussian source at each pixel."""

from __future__ import annotations

import math

import numpy as np

from ..core.units import FWHM_PER_SIGMA


def matched_filter(data: np.ndarray, error: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Return the signal-to-noise ratio of a Gaussian source at each pixel, Σ P d/σ² / √(Σ P²/σ²), shape (ny, nx).

    Parameters
    ----------
    data, error : array (ny, nx)
        Image and noise; pixels with an infinite noise are ignored.
    fwhm_pixels : float
        FWHM of the source.
    """
    from scipy.ndimage import gaussian_filter

    sigma, weight = fwhm_pixels / FWHM_PER_SIGMA, error**-2.0
    signal = gaussian_filter(data * weight, sigma, mode="constant")
    # The square of a Gaussian of unit sum is one that is narrower by √2, with the sum 1 / (4 π σ²).
    variance = gaussian_filter(weight, sigma / math.sqrt(2.0), mode="constant") / (4.0 * math.pi * sigma**2)
    known = variance > 1e-6 * float(variance.max(initial=0.0))
    return np.where(known, signal, 0.0) / np.sqrt(np.where(known, variance, 1.0))
