"""Robust statistics of pixels with outliers, and the noise of an image."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np

from .quantised import lattice_step, spread, without_spread

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a Gaussian divided by its median absolute deviation (MAD)."""

ROBUST_SIGMA_ERROR = 1.17
"""Error of a robust sigma (1.4826 MAD) of N values, in units of sigma/√N: 1/√(2 · 0.37), as its efficiency is 0.37."""

CHI2_SIGMAS = 4.0
"""Number of standard deviations by which a reduced chi2 must exceed 1 to show a misfit."""

_MAP_SCALE = 1.5
"""Factor, either way, between the scatter of an image and its map of the noise or variance up to which they agree.
Resampling that correlates the noise of neighbouring pixels lowers their scatter by 10 to 40 %."""

_MAX_CLIPS = 20
"""Largest number of times that outliers are clipped; a Gaussian with 10 % of outliers takes 5."""


def largest_chance_chi2(pixels: float) -> float:
    """Return the reduced chi2 over so many pixels of white noise that exceeds 1 by `CHI2_SIGMAS`, 1 + 4 √(2/N)."""
    return 1.0 + CHI2_SIGMAS * math.sqrt(2.0 / pixels)


def noise_map_agrees(scale: float) -> bool:
    """Return whether the scatter of an image, in units of the noise of its map, is no reason for a warning."""
    return 1.0 / _MAP_SCALE <= scale <= _MAP_SCALE


def robust_sigma(values: np.ndarray) -> float:
    """Return 1.4826 times the median absolute deviation of the finite `values`; NaN if there are none."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return math.nan
    finite.sort()
    spread_out, step = _without_steps(finite)
    # in place: the values of a large image fit only a few times into the memory
    spread_out -= _median_of_sorted(spread_out)
    np.abs(spread_out, out=spread_out)
    return without_spread(SIGMA_PER_MAD * float(np.median(spread_out, overwrite_input=True)), step)


def median(values: np.ndarray) -> float:
    """Return the median of finite `values`; of values on a lattice (integers), that of what was rounded.

    The plain median of an image of integers is off by up to half a unit. NaN if there are none.
    """
    if np.size(values) == 0:
        return math.nan
    return float(np.median(_without_steps(np.sort(np.ravel(values)))[0]))


def _without_steps(ordered: np.ndarray) -> tuple[np.ndarray, float]:
    """Return values in ascending order, spread over the steps of their lattice, and the step, 0 without one."""
    step = lattice_step(ordered)
    return (np.sort(spread(ordered, step)) if step else ordered), step


def clipped_level(values: np.ndarray, clip: float, noise: np.ndarray | None = None) -> tuple[float, float]:
    """Return the median and 1.4826 MAD of the finite `values`, clipped at `clip` sigma until no more are clipped.

    Both are NaN if no value is finite. Clipping sorted values leaves a contiguous range, so they are sorted only once.
    Values on a lattice (integers) are first spread over its steps, see `quantised`.

    Parameters
    ----------
    values : array
    clip : float
        In units of sigma.
    noise : array, optional
        Noise of each value, up to a factor. The median is then that of values weighted by 1/noise, the median with
        the smallest error, and sigma is the scatter of (values - median) / noise.
    """
    if noise is not None:
        return _clipped_level_of_unequal(values, clip, noise)
    kept = np.asarray(values, dtype=float)[np.isfinite(values)]
    if kept.size == 0:
        return math.nan, math.nan
    kept.sort()
    kept, step = _without_steps(kept)
    for _ in range(_MAX_CLIPS):
        centre = _median_of_sorted(kept)
        sigma = SIGMA_PER_MAD * _median_distance(kept, centre)
        first = bisect_left(kept, -clip * sigma, key=lambda value: value - centre)
        last = bisect_right(kept, clip * sigma, key=lambda value: value - centre)
        if last - first == kept.size:
            break
        kept = kept[first:last]
    return centre, without_spread(sigma, step)


def _clipped_level_of_unequal(values: np.ndarray, clip: float, noise: np.ndarray) -> tuple[float, float]:
    """Return what `clipped_level` does for values of unequal noise."""
    values, noise = np.ravel(np.asarray(values, dtype=float)), np.ravel(np.asarray(noise, dtype=float))
    finite = np.isfinite(values) & np.isfinite(noise) & (noise > 0)
    if not finite.all():
        values, noise = values[finite], noise[finite]
    del finite
    if values.size == 0:
        return math.nan, math.nan
    order = np.argsort(values, kind="stable")
    values, noise = values[order], noise[order]
    del order  # the pixels of a large image fit only a few times into the memory
    step = lattice_step(values)
    if step:
        values = spread(values, step)
        order = np.argsort(values, kind="stable")
        values, noise = values[order], noise[order]
    for _ in range(_MAX_CLIPS):
        centre = _weighted_median_of_sorted(values, 1.0 / noise)
        distance = values - centre
        np.abs(distance, out=distance)
        distance /= noise
        sigma = SIGMA_PER_MAD * float(np.median(distance))
        kept = distance <= clip * sigma
        if kept.all():
            break
        values, noise = values[kept], noise[kept]
    return centre, without_spread(sigma, step * math.sqrt(float(np.mean(noise**-2.0))) if step else 0.0)


def _weighted_median_of_sorted(ordered: np.ndarray, weight: np.ndarray) -> float:
    """Return the value with half of the weight on either side, the mean of two values if it lies between them."""
    below = np.cumsum(weight)
    half = 0.5 * below[-1]
    first, last = np.searchsorted(below, half, side="left"), np.searchsorted(below, half, side="right")
    return float((ordered[first] + ordered[min(last, ordered.size - 1)]) / 2.0)


def _median_of_sorted(ordered: np.ndarray) -> float:
    """Return the median of values in ascending order."""
    half = ordered.size // 2
    return float(ordered[half] if ordered.size % 2 else (ordered[half - 1] + ordered[half]) / 2.0)


def _median_distance(ordered: np.ndarray, centre: float) -> float:
    """Return the median of |value - centre| for values in ascending order, where the nearest half is a range."""

    def distance(rank: int) -> float:
        """Return the distance of the `rank`th nearest value, counted from 1."""
        starts = range(ordered.size - rank)
        first = bisect_left(starts, True, key=lambda i: centre - ordered[i] <= ordered[i + rank] - centre)
        return float(max(centre - ordered[first], ordered[first + rank - 1] - centre))

    half = (ordered.size + 1) // 2
    return distance(half) if ordered.size % 2 else (distance(half) + distance(half + 1)) / 2.0


NOISE_SAMPLE_SIZE = 500_000
"""Number of pixels on which the noise of a large image is measured: they give it to 0.12 %, more would take time."""


def noise_rms(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the robust rms of the finite pixels where `mask` (sources, bad pixels) is False; NaN if there are none.

    It is 1.4826 MAD, clipped at 4 sigma until nothing changes: clipping a Gaussian lowers its sigma by 5e-5 (at 3 sigma
    by 4e-3). Images of more than twice `NOISE_SAMPLE_SIZE` pixels are sampled at random, always with the same seed.
    """
    values = np.asarray(image)[~np.asarray(mask, dtype=bool)]
    if values.size > 2 * NOISE_SAMPLE_SIZE:
        values = values[np.random.default_rng(0).integers(values.size, size=NOISE_SAMPLE_SIZE)]
    return clipped_level(values, 4.0)[1]


SOURCE_LIGHT_SIGMA = 1.0
"""Sigma in pixels of the Gaussian that smooths the light of which photon noise is expected (`with_source_noise`)."""

SOURCE_LIGHT_FLOOR = 0.5
"""Smoothed light fainter than this, in units of a pixel's background noise, is noise rather than light."""


def with_source_noise(
    error: np.ndarray, image: np.ndarray, gain: float | None, typical: float | None = None
) -> np.ndarray:
    """Return the noise per pixel with the photon noise of the sources added.

    The photon noise is that of the smoothed image. With that of the pixel itself, a pixel that is too faint by chance
    would have too much weight: a fit of it comes out one electron a pixel too low.

    Parameters
    ----------
    error : array (ny, nx)
        Background noise per pixel, in the units of `image`.
    image : array (ny, nx)
        Image minus the background level; NaN pixels, and areas without light, add no noise.
    gain : float or None
        Electrons per unit of `image`; with None `error` is returned as it is.
    typical : float, optional
        Background noise where `gain` holds. Elsewhere the exposure is another: the variance of the sky and the number
        of electrons per unit, in opposite directions. None: `gain` holds everywhere.
    """
    if gain is None:
        return error
    from scipy.ndimage import gaussian_filter

    seen = np.isfinite(image)
    light = gaussian_filter(np.where(seen, image, 0.0), SOURCE_LIGHT_SIGMA, mode="constant")
    share = gaussian_filter(seen.astype(float), SOURCE_LIGHT_SIGMA, mode="constant")
    light = np.where(seen, light / np.where(seen, share, 1.0), 0.0)
    light = np.where(light > SOURCE_LIGHT_FLOOR * error, light, 0.0) / gain
    if typical is not None:
        light *= (np.where(np.isfinite(error), error, 0.0) / typical) ** 2
    return np.sqrt(error**2 + light)
