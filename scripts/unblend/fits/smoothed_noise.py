"""Correlated noise of the detection stack, as drizzling and stacking make it: white noise smoothed by a Gaussian.

The fits of shapes weigh pixels as if each had noise of its own. Where neighbours share it, the scatter of every
parameter is larger (drawn fields with noise smoothed by 0.65 pixel: pulls of the fluxes in the detection band had a
rms of 1.5). One number describes it, the width of the Gaussian: rounded, it does not change when a source does, so that
an edit at one place leaves the fits at all others alone.
"""

from __future__ import annotations

import math

import numpy as np

STEP = 0.05
"""Pixels, to which the width is rounded: a change of the lag-1 correlation by 0.02 to 0.04."""
LEAST = 0.4
"""Pixels, below which noise counts as white: a lag-1 correlation of 0.17; wings of sources alone make some."""


def smoothing_width(correlation: np.ndarray) -> float:
    """Return the width (sigma, pixels) of the Gaussian whose smoothing of white noise correlates neighbours so.

    Parameters
    ----------
    correlation : array (2L + 1, 2L + 1)
        Of the noise, 1 at the centre, L ≥ 1: the mean of the four nearest lags counts, ρ = exp(−1 / 4σ²).

    Returns
    -------
    float
        A multiple of `STEP`, 0 for noise that counts as white.
    """
    lag = len(correlation) // 2
    nearest = [correlation[lag + dy, lag + dx] for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    rho = min(float(np.mean(nearest)), 0.99)
    if rho <= 0:
        return 0.0
    width = STEP * round(0.5 / math.sqrt(-math.log(rho)) / STEP)
    return round(width, 2) if width >= LEAST else 0.0


def spread(image: np.ndarray, width: float) -> np.ndarray:
    """Return the image (ny, nx) convolved with the autocorrelation of the noise, exp(−d² / 4σ²): 1 at its centre."""
    if width == 0.0:
        return image
    from scipy.ndimage import correlate1d

    reach = math.ceil(8.0 * width)
    kernel = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (4.0 * width**2))
    for axis in (0, 1):
        image = correlate1d(image, kernel, axis=axis, mode="constant")
    return image
