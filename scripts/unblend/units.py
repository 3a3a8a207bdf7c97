"""Conversions between the units of the project. The unit of a bare number stands in its name."""

import math
from bisect import bisect_left, bisect_right

import numpy as np

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a Gaussian over its median absolute deviation."""

ROBUST_SIGMA_ERROR = 1.17
"""Error of a robust sigma (1.4826 MAD), times √N over sigma: its efficiency is 0.37, and 1 / √(2 · 0.37)."""

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian over its standard deviation."""

UJY_ZERO_POINT_AB = 23.9
"""AB magnitude of one microjansky (Oke & Gunn 1983): 2.5 log10(3631 Jy / 1 uJy), as surveys round it."""


def robust_sigma(values: np.ndarray) -> float:
    """Return 1.4826 times the median absolute deviation of the finite `values`; NaN when there are none."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return math.nan
    return SIGMA_PER_MAD * float(np.median(np.abs(finite - np.median(finite))))


def clipped_level(values: np.ndarray, clip: float) -> tuple[float, float]:
    """Return median and 1.4826 MAD of the finite `values` within `clip` sigma, repeated until none is cut.

    NaN twice when there are none. What is kept of ascending values is always a range: they are sorted once, and
    medians of values and of distances are then looked up.
    """
    kept = np.sort(np.asarray(values, dtype=float)[np.isfinite(values)])
    if kept.size == 0:
        return math.nan, math.nan
    for _ in range(20):
        centre = _middle(kept)
        sigma = SIGMA_PER_MAD * _median_distance(kept, centre)
        first = bisect_left(kept, -clip * sigma, key=lambda value: value - centre)
        last = bisect_right(kept, clip * sigma, key=lambda value: value - centre)
        if last - first == kept.size:
            break
        kept = kept[first:last]
    return centre, sigma


def _middle(ordered: np.ndarray) -> float:
    """Return the median of ascending values."""
    half = ordered.size // 2
    return float(ordered[half] if ordered.size % 2 else (ordered[half - 1] + ordered[half]) / 2.0)


def _median_distance(ordered: np.ndarray, centre: float) -> float:
    """Return the median of |value - centre| of ascending values: the nearest half of them is a range."""

    def distance(rank: int) -> float:
        """Distance of the value that is the `rank`th nearest, from 1."""
        starts = range(ordered.size - rank)
        first = bisect_left(starts, True, key=lambda i: centre - ordered[i] <= ordered[i + rank] - centre)
        return float(max(centre - ordered[first], ordered[first + rank - 1] - centre))

    half = (ordered.size + 1) // 2
    return distance(half) if ordered.size % 2 else (distance(half) + distance(half + 1)) / 2.0


def flux_to_ujy(flux: np.ndarray, zero_point_ab: float) -> np.ndarray:
    """Return `flux`, in image units of AB zero point `zero_point_ab`, in microjansky."""
    return np.asarray(flux, dtype=float) * 10.0 ** (0.4 * (UJY_ZERO_POINT_AB - zero_point_ab))


def flux_to_mag(flux: np.ndarray, zero_point_ab: float) -> np.ndarray:
    """Return the AB magnitude of `flux` in image units; NaN where the flux is not positive."""
    flux = np.asarray(flux, dtype=float)
    magnitude = np.full(flux.shape, np.nan)
    positive = flux > 0
    magnitude[positive] = zero_point_ab - 2.5 * np.log10(flux[positive])
    return magnitude


def round_significant(value: float, digits: int) -> float:
    """Return `value` rounded to `digits` significant decimal digits; 0, NaN and infinity unchanged."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
