"""The step of values that lie on a lattice, such as the integers of an image whose noise is about one unit.

The median and the MAD of such values are multiples of half a step, and wrong by a third where the noise is about one
step. Spread over the steps, values have the quantiles of what was rounded.
"""

from __future__ import annotations

import numpy as np

FINE_STEP = 1.0 / 16.0
"""Steps below this, in sigma, do not matter: the MAD is then wrong by at most 4 %."""
_RANGE, _BINS = 5.0, 1024
"""Range of the histogram in sigma on each side, and its number of bins: six per FINE_STEP."""
_LOWEST_FREQUENCY = 0.28
"""Lowest frequency of a lattice, in 1/sigma: that of values on two levels, whose sigma is measured as 0.3 steps."""
_COHERENCE = 0.3
"""Least amplitude of a lattice: 1 for an exact one, less where models or a background have been subtracted. Of few
values it is larger, because noise has an amplitude of 1 / √n and some 60 frequencies are tried."""
_VALLEY = 0.5
"""The amplitude below the frequency of a lattice must fall to this fraction of it: that of many equal values among
others (zeros around an image) does not."""
_GOLDEN = 0.6180339887498949
_MIN_VALUES = 50


def lattice_step(ordered: np.ndarray) -> float:
    """Return the step between values if most lie on a lattice coarser than `FINE_STEP`, otherwise 0.

    Parameters
    ----------
    ordered : array (n,)
        Finite values in ascending order. Outliers are ignored, and models of less than a quarter of a step may have
        been subtracted.

    Returns
    -------
    float
        0 also where more than nine tenths of the values are equal, because their noise cannot be measured.
    """
    if ordered.size < _MIN_VALUES:
        return 0.0
    first, middle, last = ordered[[ordered.size // 20, ordered.size // 2, -1 - ordered.size // 20]]
    # of a Gaussian; crowded sources make it up to twice as large
    sigma = float(last - first) / 3.29
    if not sigma > 0:
        return 0.0
    edges = middle + sigma * np.linspace(-_RANGE, _RANGE, _BINS + 1)
    counts = np.diff(np.searchsorted(ordered, edges))
    # The Fourier transform of the distribution has a peak at the frequency of a lattice.
    padded = 4 * _BINS
    amplitude = np.abs(np.fft.rfft(counts, padded)) / counts.sum()
    frequency = np.arange(amplitude.size) * _BINS / (padded * 2.0 * _RANGE)
    scanned = np.flatnonzero((frequency >= _LOWEST_FREQUENCY) & (frequency <= 1.0 / FINE_STEP))
    inner = amplitude[scanned]
    least = np.sqrt(_COHERENCE**2 + 9.0 / ordered.size)
    peaks = scanned[(inner >= amplitude[scanned - 1]) & (inner >= amplitude[scanned + 1]) & (inner > least)]
    for peak in peaks.tolist():
        step = sigma / float(frequency[peak])
        if amplitude[:peak].min() < _VALLEY * amplitude[peak] or _has_two_levels(ordered, step):
            return step
    return 0.0


def _has_two_levels(ordered: np.ndarray, step: float) -> bool:
    """Return whether values outside the fullest level of a lattice lie on it, too.

    Where one level holds most values, any step that is larger than the scatter of these has a large amplitude. So has
    the noise beneath very bright sources, which are outliers of all sizes.
    """
    others = ordered[np.abs(ordered - ordered[ordered.size // 2]) > 0.5 * step]
    if not others.size:
        return False
    amplitude = np.abs(np.mean(np.exp(2j * np.pi / step * (others - ordered[ordered.size // 2]))))
    return bool(amplitude > np.sqrt(_COHERENCE**2 + 9.0 / others.size))


def spread(ordered: np.ndarray, step: float) -> np.ndarray:
    """Return values of a lattice spread evenly over one step around each, in ascending order.

    The sequence of the golden ratio spreads equal values evenly and always in the same way.

    Parameters
    ----------
    ordered : array (n,)
        In ascending order.
    step : float
    """
    return ordered + step * ((np.arange(1, ordered.size + 1) * _GOLDEN) % 1.0 - 0.5)


def spread_image(image: np.ndarray, step: float | None = None) -> np.ndarray:
    """Return an image whose pixels on a lattice are spread over its steps; the image itself where there is none.

    Parameters
    ----------
    image : array (ny, nx)
        NaN pixels are ignored.
    step : float, optional
        Of the lattice, if it is known.
    """
    finite = np.isfinite(image)
    values = image[finite]
    order = np.argsort(values, kind="stable")
    step = lattice_step(values[order]) if step is None else step
    if not step:
        return image
    values[order] = spread(values[order], step)
    result = np.array(image)
    result[finite] = values
    return result


def without_spread(sigma: float, step: float) -> float:
    """Return the noise of values from that of values after `spread`, whose variance is larger by step² / 12.

    It includes that of the rounding itself. It is right to 3 % for a noise above one step, to 10 % above 0.7 steps and
    to 30 % above 0.4 steps.

    Parameters
    ----------
    sigma : float
        Of the values after `spread`.
    step : float
    """
    # a product of 1e300 with itself is infinite, its power an error
    return float(np.sqrt(max(sigma * sigma - step * step / 12.0, 0.0)))
