"""Correlated noise: its autocorrelation R, measured on the residual, and the flux errors that account for it.

The model is that noise × √weight is a stationary field of autocorrelation R(dy, dx), with R(0, 0) = 1. The covariance
of the amplitudes of the white-noise fit is then F⁻¹ (Tᵀ W½ R W½ T) F⁻¹, where F⁻¹ is the inverse normal matrix.

R is an array (2L + 1, 2L + 1) with its centre at [L, L]; the array [[1]] means white noise.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.correlation import sums_of_products
from ..core.errors import UnusableBandError
from ..core.statistics import noise_rms
from ..core.types import Box, Template, cut
from .linear_system import LinearSolution, box_array
from .normal_matrix import whole_matrix
from .stamps import pair_products, single_thread
from .weight_rescaling import RescaledSolution

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from .background_polynomial import BackgroundPolynomial

log = logging.getLogger(__name__)

MIN_LAG = 5
"""Lags that are always kept when the noise is correlated, in pixels: common resampling kernels reach 3 to 5 pixels."""

MAX_LAG = 15
"""Largest lag in pixels: correlation on larger scales is background, and is removed by the background option."""

TILE_PIXELS = 2048
"""Side of the tiles over which products of pixels are summed."""

STRIP_ROWS = 512
"""Rows of an image that are convolved at a time."""

CLIP_SIGMA = 4.0
"""Residual pixels beyond this many sigma are taken as misfit, not noise (1 in 16 000 pixels of Gaussian noise)."""

LEAST_FRACTION = 0.1
"""Least fraction of the pixels away from sources that is noise: of a Gaussian it is 0.9999. With a scatter of about 0,
in an image of coarse steps, hardly any is within `CLIP_SIGMA` of it."""

MIN_PIXELS = 2000
"""With fewer source-free pixels all usable pixels are measured. R at one lag is then known to 0.02."""

SIMULATED_PIXELS = 1_000_000
"""Number of simulated noise pixels: the correlation that the fit absorbs is then known to 0.001."""

MIN_ERROR_RATIO = 0.1
"""Smallest accepted ratio of correlated to white error: a lower one is more likely an error of the measured R."""

NOISE_SEED = 20190613
"""Seed of the noise simulated to correct the autocorrelation: fixed, so that results are reproducible."""


@dataclass(frozen=True)
class Noise:
    """The noise of a band and the errors that follow from it.

    Parameters
    ----------
    err : array (n,)
        Flux errors with correlated noise, image units.
    background_err : float
        Error of the mean level of the background, image units.
    coefficient_err : array (t,)
        Errors of the coefficients of the background, image units.
    correlation : array (2L + 1, 2L + 1)
        Autocorrelation of the noise.
    lag_one : float
        Its mean over the four nearest pixels.
    matrix : sparse array (m + t, m + t), optional
        Covariance Tᵀ W½ R W½ T of the right-hand side of the fit; None for white noise.
    """

    err: np.ndarray
    background_err: float
    coefficient_err: np.ndarray
    correlation: np.ndarray
    lag_one: float
    matrix: csr_array | None = None


def measure_noise(rescaled: RescaledSolution, templates: Sequence[Template], *, name: str) -> Noise:
    """Measure the autocorrelation of the noise on the residual, and the flux errors that follow from it.

    Parameters
    ----------
    rescaled : RescaledSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    name : str
        Name of the band, for log messages.
    """
    solution, weight = rescaled.solution, rescaled.weight
    correlation = noise_correlation(rescaled, templates)
    matrix = noise_matrix(solution, templates, weight, correlation)
    err, covariance = errors_from(matrix, solution)
    lag_one = 0.0
    if correlation.size > 1:
        middle = len(correlation) // 2
        lag_one = float((correlation[middle, middle + 1] + correlation[middle + 1, middle]) / 2.0)
    log.info("%s: rms %.4g, correlation of neighbouring pixels %.2f", name, rescaled.rms, lag_one)
    level_error, coefficient_err = solution.level_error(covariance), np.sqrt(np.diagonal(covariance))
    return Noise(err, level_error, coefficient_err, correlation, lag_one, matrix)


def noise_correlation(rescaled: RescaledSolution, templates: Sequence[Template], *, rounds: int = 2) -> np.ndarray:
    """Return the autocorrelation of the noise, measured on the residual away from sources.

    Parameters
    ----------
    rescaled : RescaledSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    rounds : int
        Rounds of correcting for the noise that the fit absorbed.

    Returns
    -------
    array (2L + 1, 2L + 1)
        [[1]] for white noise.
    """
    rng = np.random.default_rng(NOISE_SEED)
    return debiased_autocorrelation(
        rescaled.solution, templates, rescaled.weight, rescaled.near_source, rng=rng, rounds=rounds
    )


def autocorrelation(
    residual: np.ndarray, weight: np.ndarray, exclude: np.ndarray | None = None, *, max_lag: int = MAX_LAG
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the autocorrelation of residual × √weight and the number of pixel pairs at each lag.

    Parameters
    ----------
    residual, weight : arrays (ny, nx)
        Pixels with zero or non-finite weight, or a non-finite residual, are ignored.
    exclude : array (ny, nx) of bool, optional
        True near sources: these pixels are ignored unless fewer than `MIN_PIXELS` would remain.
    max_lag : int
        Largest lag along each axis, in pixels.

    Returns
    -------
    correlation, pairs : arrays (2 max_lag + 1, 2 max_lag + 1)
        `correlation` is 1 at the centre; for white noise its scatter is 1 / √pairs.

    Raises
    ------
    UnusableBandError
        If there are fewer than 10 usable pixels, or their scatter is zero.
    """
    normalised, good = _normalised(residual, weight, exclude)
    rms, measured = noise_rms(normalised, ~good), int(good.sum())
    good &= np.abs(normalised) <= CLIP_SIGMA * rms
    if measured >= 10 and good.sum() < max(10, LEAST_FRACTION * measured):
        raise UnusableBandError(
            f"The noise of the band cannot be measured: it has only {int(good.sum())} pixels of noise among "
            f"{measured} away from the sources. Either the steps of the image (integers) are larger than its noise, or "
            "most pixels were not observed but hold numbers. Give an image with finer steps, or mask such pixels."
        )
    if good.sum() < 10 or not rms > 0:
        raise UnusableBandError(
            f"The autocorrelation of the noise needs at least 10 residual pixels with non-zero scatter, found "
            f"{int(good.sum())} usable ones of rms {rms:g}. Check the band's masks and weights."
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
    """Return the autocorrelation R of the noise: that of the residual, corrected for the noise that the fit absorbed.

    The templates fit part of the noise at the sources, which lowers the correlation of the residual. To correct for
    this, noise is simulated with R and fitted in the same way, and the loss of its autocorrelation is added back. Lags
    reach `MIN_LAG` pixels, and further as long as a ring of lags is significant.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        As fitted.
    exclude : array (ny, nx) of bool, optional
        True near sources.
    rng : Generator
        Random numbers for the simulated noise.
    draws : int, optional
        Number of simulated fields per round; by default 8, fewer for large images.
    rounds : int
        Number of rounds of simulation and correction.

    Returns
    -------
    array (2L + 1, 2L + 1)
        Positive definite; [[1]] where the noise is consistent with white noise.
    """
    measured, pairs = autocorrelation(solution.residual, weight, exclude)
    if _is_white(measured, pairs):
        return np.ones((1, 1))
    measured, pairs = _central_lags(measured, pairs, _largest_lag(measured, pairs))
    lag = len(measured) // 2
    estimate = positive_definite(measured)
    _, good = _normalised(solution.residual, weight, exclude)
    if draws is None:
        draws = int(np.clip(SIMULATED_PIXELS // good.sum(), 1, 8))
    for _ in range(rounds):
        absorbed = np.zeros_like(measured)
        for _ in range(draws):
            noise = draw_noise(estimate, solution.residual.shape, rng)
            residual = noise - _fitted_noise(noise, solution, templates, weight)
            absorbed += _covariance(noise, good, lag)[0] - _covariance(residual, good, lag)[0]
        absorbed /= draws
        # the measured R is normalised to the variance of the residual, 1 - absorbed(0)
        corrected = measured * (1.0 - absorbed[lag, lag]) + absorbed
        estimate = positive_definite(corrected)
    return np.ones((1, 1)) if _is_white(corrected, pairs) else estimate


def correlated_errors(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, correlation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of all fluxes, and the covariance of the background's coefficients, for correlated noise.

    They are from F⁻¹ (Tᵀ W½ R W½ T) F⁻¹, where the terms of the background are columns of T.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        As fitted.
    correlation : array (2L + 1, 2L + 1)
        Autocorrelation of the noise.

    Returns
    -------
    errors : array (n,)
        Image units; NaN where the flux is NaN.
    covariance : array (t, t)
        Image units squared.
    """
    return errors_from(noise_matrix(solution, templates, weight, correlation), solution)


def errors_from(matrix: csr_array | None, solution: LinearSolution) -> tuple[np.ndarray, np.ndarray]:
    """Return what `correlated_errors` does; `matrix` is that of `noise_matrix`."""
    white = solution.terms_of(solution.inverse.schur_inverse)
    if matrix is None:
        return solution.err.copy(), white
    with single_thread():
        variance, border = solution.inverse.propagated(matrix)
    m, covariance = len(solution.active), solution.terms_of(border)
    variance = np.maximum(variance, MIN_ERROR_RATIO**2 * solution.inverse.variances())
    err = np.full(len(solution.ids), np.nan)
    err[solution.active] = np.sqrt(variance[:m])
    lowest = MIN_ERROR_RATIO**2 * np.diagonal(white)
    return err, covariance + np.diag(np.maximum(lowest - np.diagonal(covariance), 0.0))


def noise_matrix(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, correlation: np.ndarray
) -> csr_array | None:
    """Return Tᵀ W½ R W½ T, the covariance of the right-hand side of the fit; None for white noise.

    The parameters are those of `correlated_errors`.
    """
    return None if np.size(correlation) == 1 else right_hand_covariance(solution, templates, weight, correlation)


def right_hand_covariance(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, correlation: np.ndarray
) -> csr_array:
    """Return Tᵀ W½ R W½ T also for white noise; the parameters are those of `correlated_errors`."""
    active = [templates[k] for k in solution.active]
    with single_thread():
        return _noise_products(active, solution, root_weight(weight, solution.residual), correlation)


def positive_definite(correlation: np.ndarray) -> np.ndarray:
    """Return the autocorrelation without the negative part of its power spectrum, normalised to 1 at the centre."""
    from scipy.fft import irfft2

    lag = len(correlation) // 2
    side = 8 * lag + 8
    clipped = irfft2(_power(correlation, (side, side)), s=(side, side))
    clipped = np.roll(clipped, (lag, lag), axis=(0, 1))[: 2 * lag + 1, : 2 * lag + 1]
    return clipped / clipped[lag, lag]


def draw_noise(correlation: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a Gaussian random field of unit variance and the given autocorrelation.

    Parameters
    ----------
    correlation : array (2L + 1, 2L + 1)
    shape : (ny, nx)
    rng : Generator
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    lag = len(correlation) // 2
    padded = (next_fast_len(shape[0] + lag, real=True), next_fast_len(shape[1] + lag, real=True))
    power = _power(correlation, padded)
    field = irfft2(rfft2(rng.standard_normal(padded)) * np.sqrt(power), s=padded)
    return np.asarray(field / np.sqrt(irfft2(power, s=padded)[0, 0]))[: shape[0], : shape[1]]


def _power(correlation: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the power spectrum, clipped at zero, on the half plane of frequencies of a periodic grid."""
    from scipy.fft import rfft2

    lag = len(correlation) // 2
    grid = np.zeros(shape)
    lags = np.arange(-lag, lag + 1)
    # lags larger than a small grid wrap around
    np.add.at(grid, (lags[:, None] % shape[0], lags[None, :] % shape[1]), correlation)
    return np.maximum(rfft2(grid).real, 0.0)


def root_weight(weight: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return √weight, zero where the fit ignored the pixel; both arrays have the shape (ny, nx)."""
    usable = np.isfinite(weight) & (weight > 0) & np.isfinite(residual)
    return np.sqrt(np.where(usable, weight, 0.0))


def _normalised(residual: np.ndarray, weight: np.ndarray, exclude: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return residual × √weight (0 where unusable) and the pixels on which noise is measured."""
    root = root_weight(weight, residual)
    usable = root > 0
    good = usable if exclude is None else usable & ~np.asarray(exclude, dtype=bool)
    if good.sum() < MIN_PIXELS:
        good = usable.copy()
    return np.where(usable, residual, 0.0) * root, good


def _covariance(field: np.ndarray, good: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of the `good` pixels at each lag, and the number of pairs.

    The products are summed over tiles, each with the pixels around it, so that the memory does not follow the image.
    """
    level = np.mean(field, where=good)
    products, pairs = np.zeros((2, 2 * lag + 1, 2 * lag + 1))
    for tile in Box.of_shape(field.shape).tiles(TILE_PIXELS):
        inside, around = (cut(good, box, False) for box in (tile, tile.grown(lag)))
        values, others = (cut(field, box, level) - level for box in (tile, tile.grown(lag)))
        pairs += np.rint(sums_of_products(around.astype(float), inside.astype(float)))
        products += sums_of_products(np.where(around, others, 0.0), np.where(inside, values, 0.0))
    return products / np.maximum(pairs, 1.0), pairs


def _is_white(correlation: np.ndarray, pairs: np.ndarray) -> bool:
    """Return whether lags up to `MIN_LAG` agree with white noise: chi2 and the nearest lags both within 3.5 sigma."""
    correlation, pairs = _central_lags(correlation, pairs, min(MIN_LAG, len(correlation) // 2))
    lag = len(correlation) // 2
    z = correlation * np.sqrt(pairs)
    count = z.size // 2  # each lag and its opposite have the same value
    chi2 = float((np.sum(z**2) - z[lag, lag] ** 2) / 2.0)
    nearest = (z[lag, lag + 1] + z[lag + 1, lag]) / np.sqrt(2.0)
    return chi2 < count + 3.5 * np.sqrt(2.0 * count) and abs(nearest) < 3.5


def _largest_lag(correlation: np.ndarray, pairs: np.ndarray) -> int:
    """Return the lag out to which R is kept: at least `MIN_LAG`, then until a ring's mean is below 3 sigma or 0.01."""
    largest = len(correlation) // 2
    distance = np.abs(np.arange(-largest, largest + 1))
    ring = np.maximum(distance[:, None], distance[None, :])
    # Bartlett's formula: the variance at large lags is the sum of R², and as many adjacent lags are correlated
    variance = float(np.sum(correlation[ring <= MIN_LAG] ** 2))
    for lag in range(MIN_LAG + 1, largest + 1):
        here = ring == lag
        sigma = variance / np.sqrt(pairs[here].mean() * here.sum() / 2.0)
        if abs(correlation[here].mean()) < max(3.0 * sigma, 0.01):
            return lag - 1
    return largest


def _central_lags(correlation: np.ndarray, pairs: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation and the number of pairs for lags up to `lag`."""
    middle = len(correlation) // 2
    window = slice(middle - lag, middle + lag + 1)
    return correlation[window, window], pairs[window, window]


def _fitted_noise(
    field: np.ndarray, solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray
) -> np.ndarray:
    """Return √weight × the model that the fit makes of pure noise, for a `field` of noise × √weight."""
    root = root_weight(weight, solution.residual)
    weighted = field * root
    active = [templates[k] for k in solution.active]
    right = [np.sum(weighted[template.box.slices] * template.data) for template in active]
    amplitudes = solution.inverse.apply(np.append(right, solution.polynomial.products(weighted)))
    model = solution.polynomial.image(amplitudes[len(active) :])
    for template, amplitude in zip(active, amplitudes, strict=False):
        model[template.box.slices] += amplitude * template.data
    return model * root


class NoiseConvolution:
    """Convolution with R; its transform is cached for each size of stamp. The result is wider by L on every side.

    Parameters
    ----------
    correlation : array (2L + 1, 2L + 1)
        R.
    """

    def __init__(self, correlation: np.ndarray) -> None:
        self.correlation = correlation
        self.transforms: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, stamp: np.ndarray) -> np.ndarray:
        """Return the convolution of a stamp (ny, nx), shape (ny + 2L, nx + 2L)."""
        from scipy.fft import irfft2, next_fast_len, rfft2

        full = stamp.shape[0] + len(self.correlation) - 1, stamp.shape[1] + len(self.correlation) - 1
        size = next_fast_len(full[0], real=True), next_fast_len(full[1], real=True)
        if size not in self.transforms:
            self.transforms[size] = rfft2(self.correlation, s=size)
        return irfft2(rfft2(stamp, s=size) * self.transforms[size], s=size)[: full[0], : full[1]]


def _noise_products(
    active: Sequence[Template], solution: LinearSolution, root: np.ndarray, correlation: np.ndarray
) -> csr_array:
    """Return Tᵀ W½ R W½ T as a sparse matrix (m + t, m + t), with the terms of the background last."""
    lag, polynomial, whole = len(correlation) // 2, solution.polynomial, Box.of_shape(root.shape)
    convolve = NoiseConvolution(correlation)
    wider = [template.box.grown(lag) & whole for template in active]
    columns = np.empty((len(active), len(polynomial.terms)))

    def convolved(k: int) -> np.ndarray:
        """Return W½ R W½ T of one source; its products with the terms of the background are kept."""
        box, outer = active[k].box, wider[k]
        around = convolve(root[box.slices] * active[k].data)
        stamp = root[outer.slices] * around[outer.within(box.grown(lag))]
        columns[k] = polynomial.products(stamp, outer)
        return np.asarray(stamp)

    boxes = np.array([(b.y0, b.x0, b.y1, b.x1) for b in wider], dtype=int).reshape(-1, 4)
    elements = pair_products(boxes, convolved, box_array(active), [template.data for template in active])
    corner = np.array([_products_with(unit, polynomial, root, convolve) for unit in np.eye(len(polynomial.terms))])
    return whole_matrix(*elements, columns, corner)


def _products_with(
    coefficients: np.ndarray, polynomial: BackgroundPolynomial, root: np.ndarray, convolve: NoiseConvolution
) -> np.ndarray:
    """Return the products of the terms of the background with W½ R W½ of a polynomial, from strips of the image."""
    lag, whole = len(convolve.correlation) // 2, Box.of_shape(root.shape)
    found = np.zeros(len(polynomial.terms))
    for strip in whole.strips(STRIP_ROWS):
        wide = strip.grown(lag) & whole
        around = convolve(root[wide.slices] * polynomial.image(coefficients, wide))
        found += polynomial.products(root[strip.slices] * around[strip.within(wide.grown(lag))], strip)
    return found
