"""Correlated noise: its autocorrelation R, measured on the residual, and the flux errors that honour it.

The model: noise × √weight is a stationary field of autocorrelation R(dy, dx), R(0, 0) = 1. Then the amplitudes of the
white-noise fit scatter by F⁻¹ (Tᵀ W½ R W½ T) F⁻¹, with F⁻¹ the fit's own inverse.

R is an array (2L + 1, 2L + 1), centre at [L, L]; the array [[1]] means white noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..core.nouns import Template
from ..core.statistics import noise_rms
from .linear_system import LinearSolution, box_array
from .normal_matrix import pair_products, single_thread

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MIN_LAG = 5
"""Pixels: kept whenever the noise is correlated; the resampling kernels in use reach 3 to 5 pixels."""

MAX_LAG = 15
"""Pixels: what is correlated further is background, not noise, and belongs to the background option."""

CLIP = 4.0
"""Sigma beyond which a residual pixel is a misfit, not noise (1 in 16 000 of a Gaussian)."""

MIN_PIXELS = 2000
"""Source-free pixels below which all usable pixels are taken; their R at one lag is good to 0.02."""

ENOUGH_PIXELS = 1_000_000
"""Pixels of drawn noise after which what R loses is known to 0.001."""

MIN_ERROR = 0.1
"""Least ratio of correlated to white error: below it anticorrelation is more likely a flaw of the measured R."""


def autocorrelation(
    residual: np.ndarray, weight: np.ndarray, exclude: np.ndarray | None = None, *, max_lag: int = MAX_LAG
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the autocorrelation of residual × √weight, and the number of pixel pairs behind each lag.

    Parameters
    ----------
    residual, weight : arrays (ny, nx)
        Pixels with zero or non-finite weight, or a non-finite residual, are ignored.
    exclude : array (ny, nx) of bool, optional
        True near sources: ignored, unless less than `MIN_PIXELS` would be left.
    max_lag : int
        Pixels, along each axis.

    Returns
    -------
    correlation, pairs : arrays (2 max_lag + 1, 2 max_lag + 1)
        `correlation` is 1 at the centre; its scatter for white noise is 1 / √pairs.

    Raises
    ------
    InputError
        When fewer than 10 usable pixels vary.
    """
    normalised, good = _normalised(residual, weight, exclude)
    rms = noise_rms(normalised, ~good)
    good &= np.abs(normalised) <= CLIP * rms
    if good.sum() < 10 or not rms > 0:
        raise InputError(
            f"The noise's autocorrelation needs residual pixels that scatter, found {int(good.sum())} "
            f"usable ones of rms {rms:g}: check the band's masks and weights."
        )
    covariance, pairs = _covariance(normalised, good, max_lag)
    return covariance / covariance[max_lag, max_lag], pairs


def debiased_autocorrelation(
    solution: LinearSolution,
    templates: Sequence[Template],
    weight: np.ndarray,
    exclude: np.ndarray | None = None,
    *,
    rng: np.random.Generator,
    draws: int | None = None,
    rounds: int = 2,
) -> np.ndarray:
    """Return R of the noise itself: of the residual, with what the fit absorbed added back.

    The fit takes noise up at the sources, which lowers the residual's correlation. Noise drawn with R is fitted with
    the same inverse; what its autocorrelation loses is what the measured one has lost. The lags reach `MIN_LAG`
    pixels, and further while a ring of lags is significant.

    Parameters
    ----------
    solution, templates, weight
        As fitted: templates in the order of the solution.
    exclude : array (ny, nx) of bool, optional
        True near sources.
    rng : Generator
        Draws the noise.
    draws, rounds : int
        Fields per round (by default 8, fewer for large images); rounds of measuring what R loses.

    Returns
    -------
    array (2L + 1, 2L + 1)
        Positive definite; [[1]] where the noise is consistent with white.
    """
    measured, pairs = autocorrelation(solution.residual, weight, exclude)
    if _is_white(measured, pairs):
        return np.ones((1, 1))
    measured, pairs = _cut(measured, pairs, _reach(measured, pairs))
    lag = len(measured) // 2
    estimate = positive_definite(measured)
    _, good = _normalised(solution.residual, weight, exclude)
    if draws is None:
        draws = int(np.clip(ENOUGH_PIXELS // good.sum(), 1, 8))
    for _ in range(rounds):
        lost = np.zeros_like(measured)
        for _ in range(draws):
            drawn = draw_noise(estimate, solution.residual.shape, rng)
            left = drawn - _fitted(drawn, solution, templates, weight)
            lost += _covariance(drawn, good, lag)[0] - _covariance(left, good, lag)[0]
        lost /= draws
        # the measured R is normalised to what is left of the variance, 1 - lost(0)
        corrected = measured * (1.0 - lost[lag, lag]) + lost
        estimate = positive_definite(corrected)
    return np.ones((1, 1)) if _is_white(corrected, pairs) else estimate


def correlated_errors(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, correlation: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the errors of all fluxes, shape (n,), and of the constant, for noise of autocorrelation `correlation`.

    The square roots of the diagonal of F⁻¹ (Tᵀ W½ R W½ T) F⁻¹, the constant being a column of T. NaN where the flux
    is. `templates` and `weight` as fitted.
    """
    if np.size(correlation) == 1:
        return solution.err.copy(), solution.background_err
    root = _root_weight(weight, solution.residual)
    active = [templates[k] for k in solution.active]
    middle = _middle(active, root, correlation)
    m = len(active)
    variance, white = np.empty(m + 1), np.empty(m + 1)
    with single_thread():
        for index, rows in solution.row_blocks():
            variance[index] = np.einsum("ki,ki->k", rows, (middle @ rows.T).T)
            white[index] = rows[np.arange(len(index)), index]
    total = np.sqrt(np.maximum(variance, MIN_ERROR**2 * white))
    err = np.full(len(solution.ids), np.nan)
    err[solution.active] = total[:m]
    return err, float(total[m])


def positive_definite(correlation: np.ndarray) -> np.ndarray:
    """Return the autocorrelation with the negative part of its power spectrum removed, 1 at the centre again."""
    from scipy.fft import irfft2

    lag = len(correlation) // 2
    side = 8 * lag + 8
    clipped = irfft2(_power(correlation, (side, side)), s=(side, side))
    clipped = np.roll(clipped, (lag, lag), axis=(0, 1))[: 2 * lag + 1, : 2 * lag + 1]
    return clipped / clipped[lag, lag]


def draw_noise(correlation: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a Gaussian field of unit variance and the given autocorrelation, shape (ny, nx)."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    lag = len(correlation) // 2
    padded = (next_fast_len(shape[0] + lag, real=True), next_fast_len(shape[1] + lag, real=True))
    power = _power(correlation, padded)
    field = irfft2(rfft2(rng.standard_normal(padded)) * np.sqrt(power), s=padded)
    variance = irfft2(power, s=padded)[0, 0]
    return field[: shape[0], : shape[1]] / np.sqrt(variance)


def _power(correlation: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the power spectrum, clipped at zero, on the half plane of a periodic grid."""
    from scipy.fft import rfft2

    lag = len(correlation) // 2
    grid = np.zeros(shape)
    lags = np.arange(-lag, lag + 1)
    # lags beyond a small grid fold onto it
    np.add.at(grid, (lags[:, None] % shape[0], lags[None, :] % shape[1]), correlation)
    return np.maximum(rfft2(grid).real, 0.0)


def _root_weight(weight: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return √weight, zero where the fit ignored the pixel."""
    usable = np.isfinite(weight) & (weight > 0) & np.isfinite(residual)
    return np.sqrt(np.where(usable, weight, 0.0))


def _normalised(residual: np.ndarray, weight: np.ndarray, exclude: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return residual × √weight (0 where unusable) and the pixels to measure on."""
    root = _root_weight(weight, residual)
    usable = root > 0
    good = usable if exclude is None else usable & ~np.asarray(exclude, dtype=bool)
    if good.sum() < MIN_PIXELS:
        good = usable.copy()
    return np.where(usable, residual, 0.0) * root, good


def _covariance(field: np.ndarray, good: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean product of `good` pixels at each lag, their mean removed, and the number of pairs."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = tuple(next_fast_len(n + lag, real=True) for n in field.shape)

    def correlate(values: np.ndarray) -> np.ndarray:
        product = irfft2(np.abs(rfft2(values, s=shape)) ** 2, s=shape)
        return np.roll(product, (lag, lag), axis=(0, 1))[: 2 * lag + 1, : 2 * lag + 1]

    values = np.where(good, field - np.mean(field, where=good), 0.0)
    pairs = np.rint(correlate(good.astype(float)))
    return correlate(values) / np.maximum(pairs, 1.0), pairs


def _is_white(correlation: np.ndarray, pairs: np.ndarray) -> bool:
    """Whether lags up to `MIN_LAG` are what white noise gives: chi2 and nearest lags both within 3.5 sigma."""
    correlation, pairs = _cut(correlation, pairs, min(MIN_LAG, len(correlation) // 2))
    lag = len(correlation) // 2
    z = correlation * np.sqrt(pairs)
    count = z.size // 2  # each lag and its opposite are one number
    chi2 = float((np.sum(z**2) - z[lag, lag] ** 2) / 2.0)
    nearest = (z[lag, lag + 1] + z[lag + 1, lag]) / np.sqrt(2.0)
    return chi2 < count + 3.5 * np.sqrt(2.0 * count) and abs(nearest) < 3.5


def _reach(correlation: np.ndarray, pairs: np.ndarray) -> int:
    """Return the lag out to which R is kept: `MIN_LAG`, and on until a ring's mean is below 3 sigma or 0.01."""
    largest = len(correlation) // 2
    distance = np.abs(np.arange(-largest, largest + 1))
    ring = np.maximum(distance[:, None], distance[None, :])
    # Bartlett: far lags scatter by the sum of R², and as many of their neighbours scatter together
    spread = float(np.sum(correlation[ring <= MIN_LAG] ** 2))
    for lag in range(MIN_LAG + 1, largest + 1):
        here = ring == lag
        sigma = spread / np.sqrt(pairs[here].mean() * here.sum() / 2.0)
        if abs(correlation[here].mean()) < max(3.0 * sigma, 0.01):
            return lag - 1
    return largest


def _cut(correlation: np.ndarray, pairs: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    middle = len(correlation) // 2
    window = slice(middle - lag, middle + lag + 1)
    return correlation[window, window], pairs[window, window]


def _fitted(
    field: np.ndarray, solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray
) -> np.ndarray:
    """Return what the fit makes of noise: √weight × model, for a field of noise × √weight."""
    root = _root_weight(weight, solution.residual)
    weighted = field * root
    active = [templates[k] for k in solution.active]
    right = [np.sum(weighted[template.box.slices] * template.data) for template in active]
    amplitudes = solution.apply_inverse(np.array([*right, weighted.sum()]))
    model = np.full(field.shape, amplitudes[-1])
    for template, amplitude in zip(active, amplitudes, strict=False):
        model[template.box.slices] += amplitude * template.data
    return model * root


class _Spreader:
    """Convolution with R, whose transform is kept for each size of stamp; the result is wider by L on every side."""

    def __init__(self, correlation: np.ndarray) -> None:
        self.correlation = correlation
        self.transforms: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, stamp: np.ndarray) -> np.ndarray:
        from scipy.fft import irfft2, next_fast_len, rfft2

        full = stamp.shape[0] + len(self.correlation) - 1, stamp.shape[1] + len(self.correlation) - 1
        size = next_fast_len(full[0], real=True), next_fast_len(full[1], real=True)
        if size not in self.transforms:
            self.transforms[size] = rfft2(self.correlation, s=size)
        return irfft2(rfft2(stamp, s=size) * self.transforms[size], s=size)[: full[0], : full[1]]


def _middle(active: Sequence[Template], root: np.ndarray, correlation: np.ndarray) -> csr_array:
    """Return Tᵀ W½ R W½ T, sparse, shape (m + 1, m + 1): the constant last."""
    from scipy.sparse import coo_array

    lag, m = len(correlation) // 2, len(active)
    boxes = box_array(active)
    stamps = [root[template.box.slices] * template.data for template in active]
    spread = _Spreader(correlation)
    i, j, value = pair_products(boxes + np.array([-lag, -lag, lag, lag]), lambda k: spread(stamps[k]), boxes, stamps)
    constant = spread(root)[lag:-lag, lag:-lag]
    column = np.array(
        [np.sum(constant[template.box.slices] * stamp) for template, stamp in zip(active, stamps, strict=True)]
    )
    off, last, sources = i != j, np.full(m, m), np.arange(m)
    rows = np.concatenate([i, j[off], sources, last, [m]])
    columns = np.concatenate([j, i[off], last, sources, [m]])
    values = np.concatenate([value, value[off], column, column, [np.sum(constant * root)]])
    return coo_array((values, (rows, columns)), shape=(m + 1, m + 1)).tocsr()
