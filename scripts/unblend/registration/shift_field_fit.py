"""The smooth field of shifts of a band, from the offsets of bright sources; cross-validation chooses its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import ShiftError
from ..core.polynomials import degrees
from ..core.shift_field import ShiftField, polynomial_terms
from ..core.statistics import robust_sigma
from .band_shift import Registration
from .offsets import MIN_SHIFT_PIXELS, OUTLIER_SIGMA, Offsets

MAX_ORDER = 4
"""Largest order of the polynomial: its 15 terms need 45 sources."""
SOURCES_PER_TERM = 3
"""Smallest number of sources for each term of a polynomial."""
ROUNDS = 5
"""Number of times that outliers are looked for: they do not change any more after two or three."""

MAX_SOURCES = 300
"""Largest number of sources whose offsets are measured for a field."""
ITERATIONS = 2
"""Number of linear steps to the field: offsets are linear up to a fifth of the FWHM."""
REWEIGHTINGS = 20
"""Number of reweighted fits from which outliers are recognised."""


@dataclass(frozen=True)
class FittedField:
    """A field of shifts with what it was fitted to.

    Parameters
    ----------
    field : ShiftField
        In pixels; its covariance includes the scatter of the sources.
    scatter : (dy, dx)
        Scatter of the sources about the field in addition to their errors, pixels.
    used : int
        Number of sources within 3.5 sigma.
    outliers : frozenset of int
        IDs of the other sources, and of stars that have moved: local offsets beyond the field.
    prediction : dict of int to float
        For each order that was tried the rms of the deviations, in sigma, of sources from the field of all others.
    """

    field: ShiftField
    scatter: tuple[float, float]
    used: int
    outliers: frozenset[int]
    prediction: dict[int, float]


def measure_field(band: Registration, shift_arcsec: Sequence[float]) -> tuple[FittedField, Registration]:
    """Return the field of shifts of a band, in addition to a constant shift, and the band with this field.

    Parameters
    ----------
    band : Registration
    shift_arcsec : (x, y)
        The constant shift along image X, Y.

    Raises
    ------
    ShiftError
        If no source is bright enough.
    """
    found: FittedField | None = None
    for _ in range(ITERATIONS):
        offsets = band.offsets(shift_arcsec, *band.solved(shift_arcsec), MAX_SOURCES)
        if offsets is None:
            raise ShiftError("No source is bright enough to measure a field of shifts: set the band's shift by hand.")
        found = fit_shift_field(*with_field(band, offsets))
        band = replace(band, shift_field=found.field)
    assert found is not None
    return replace(found, outliers=found.outliers | _moved_points(band, shift_arcsec, found)), band


def _moved_points(band: Registration, shift_arcsec: Sequence[float], found: FittedField) -> frozenset[int]:
    """Return the point sources whose offsets from a field, which `band` has, are larger than their errors allow.

    Stars have proper motions, so that they are no part of the field.
    """
    left = band.offsets(shift_arcsec, *band.solved(shift_arcsec), MAX_SOURCES, of_points=True)
    if left is None:
        return frozenset()
    _, y, x = with_field(band, left)
    terms = found.field.terms(y, x)
    of_field = np.einsum("nt,atu,nu->an", terms, found.field.covariance, terms)
    spread = np.square(found.scatter)[:, None] + of_field
    away, errors = np.array([left.dy, left.dx]), np.array([left.err_dy, left.err_dx])
    moved = (np.abs(away) > OUTLIER_SIGMA * np.sqrt(errors**2 + spread)).any(axis=0)
    moved &= np.hypot(*away) > MIN_SHIFT_PIXELS
    return frozenset(left.ids[moved].tolist())


def with_field(band: Registration, offsets: Offsets) -> tuple[Offsets, np.ndarray, np.ndarray]:
    """Return offsets with the field that the band already has added, and the un-shifted positions y, x in pixels."""
    engine = band.engine((0.0, 0.0))
    places = [engine.position_without_shift(band.placed[int(i)]) for i in offsets.ids]
    y, x = np.array(places).reshape(-1, 2).T
    if band.shift_field is None:
        return offsets, y, x
    dy, dx = np.array([band.shift_field.at(*place) for place in places]).T
    return replace(offsets, dy=offsets.dy + dy, dx=offsets.dx + dx), y, x


def fit_shift_field(
    offsets: Offsets, y: np.ndarray, x: np.ndarray, *, min_snr: float = 10.0, max_order: int = MAX_ORDER
) -> FittedField:
    """Fit fields of all orders, and return the lowest order whose prediction is as good as any.

    A field of a higher order is taken only if it predicts the offset of sources that were left out better: by more than
    the statistical error of the gain.

    Parameters
    ----------
    offsets : Offsets
        Of single sources, pixels.
    y, x : arrays (n,)
        Their un-shifted positions in the image, pixels.
    min_snr : float
        Fainter sources are not used, since their offset is not linear.
    max_order : int

    Raises
    ------
    ShiftError
        If no source is bright enough.
    """
    good = np.isfinite(offsets.dy + offsets.dx + offsets.err_dy + offsets.err_dx) & (offsets.snr >= min_snr)
    good &= np.isfinite(y + x)
    if not good.any():
        raise ShiftError(
            f"No source has an offset measured at a signal-to-noise of {min_snr:g}: set the band's shift by hand."
        )
    values, errors = (
        np.stack([getattr(offsets, f"{prefix}{name}")[good] for name in ("dy", "dx")]) for prefix in ("", "err_")
    )
    area = float(y[good].min()), float(x[good].min()), float(y[good].max()), float(x[good].max())
    best: _Fit | None = None
    prediction = {}
    for order in range(max_order + 1):
        if order and good.sum() < SOURCES_PER_TERM * len(degrees(order)):
            break
        fit = _robust_fit(values, errors, polynomial_terms(order, area, y[good], x[good]))
        if best is None:
            best, chosen = fit, order
        prediction[order] = float(np.sqrt(np.mean(np.square(fit.left_out / best.sigma)[:, fit.used & best.used])))
        if order and _predicts_better(fit, best):
            best, chosen = fit, order
    assert best is not None
    field = ShiftField(chosen, area, best.coefficients, best.covariance)
    outliers = frozenset(offsets.ids[good][~best.used].tolist())
    scatter = float(best.scatter[0]), float(best.scatter[1])
    return FittedField(field, scatter, int(best.used.sum()), outliers, prediction)


@dataclass(frozen=True)
class _Fit:
    """A weighted fit of one order: `coefficients` (2, t), `sigma` and `left_out` (2, n), `used` (n,)."""

    coefficients: np.ndarray
    covariance: np.ndarray
    scatter: np.ndarray
    sigma: np.ndarray
    used: np.ndarray
    left_out: np.ndarray
    """Deviation of each source from the field of all others: residual / (1 − leverage)."""


def _robust_fit(values: np.ndarray, errors: np.ndarray, terms: np.ndarray) -> _Fit:
    """Fit the terms (n, t) to dy and dx (2, n), without outliers and with the scatter of the sources."""
    coefficients = np.stack([_least_absolute(v, e, terms) for v, e in zip(values, errors, strict=True)])
    used = np.ones(values.shape[1], dtype=bool)
    # a fit takes some of the scatter away
    remaining = np.sqrt(max(1.0 - terms.shape[1] / len(used), 0.5))
    for _ in range(ROUNDS):
        residual = values - coefficients @ terms.T
        spread = np.array([_scatter(r / remaining, e) for r, e in zip(residual, errors, strict=True)])
        sigma = np.hypot(errors, spread[:, None])
        near = (np.abs(residual) <= OUTLIER_SIGMA * sigma).all(axis=0)
        if near.sum() <= terms.shape[1] or (near == used).all():
            break
        used = near
        coefficients = np.stack([_solve(v[used], s[used], terms[used])[0] for v, s in zip(values, sigma, strict=True)])
    parts = [_weighted_fit(v, e, terms, used) for v, e in zip(values, errors, strict=True)]
    best, covariance, scatter, sigma, left_out = (np.stack([part[k] for part in parts]) for k in range(5))
    return _Fit(best, covariance, scatter, sigma, used, left_out)


def _least_absolute(values: np.ndarray, errors: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Return the coefficients of the least sum of absolute deviations, which outliers hardly change, by reweighting."""
    coefficients, floor = _solve(values, errors, terms)[0], 0.1 * float(np.median(errors))
    for _ in range(REWEIGHTINGS):
        deviation = np.maximum(np.abs(values - terms @ coefficients), floor)
        coefficients = _solve(values, np.sqrt(deviation * np.median(errors)), terms)[0]
    return coefficients


def _scatter(residual: np.ndarray, errors: np.ndarray) -> float:
    """Return the scatter in addition to the errors, from the median deviation, which outliers do not change much."""
    return float(np.sqrt(max(robust_sigma(residual) ** 2 - np.median(errors) ** 2, 0.0)))


def _solve(values: np.ndarray, sigma: np.ndarray, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of a weighted fit and their covariance."""
    weighted = terms / sigma[:, None]
    covariance = np.linalg.pinv(weighted.T @ weighted)
    return covariance @ (weighted.T @ (values / sigma)), covariance


def _weighted_fit(
    values: np.ndarray, errors: np.ndarray, terms: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, np.ndarray]:
    """Return coefficients, covariance, scatter, sigma with the scatter, and deviation from the field of all others.

    The scatter is the one with which chi2 of the used sources is their number less that of the terms (Paule & Mandel
    1982).
    """
    freedom = max(int(used.sum()) - terms.shape[1], 1)

    def excess(scatter: float) -> float:
        """Return chi2 less the degrees of freedom."""
        sigma = np.hypot(errors[used], scatter)
        coefficients, _ = _solve(values[used], sigma, terms[used])
        return float(np.sum(((values[used] - terms[used] @ coefficients) / sigma) ** 2)) - freedom

    low, high = 0.0, 2.0 * float(np.ptp(values[used])) + float(errors[used].max())
    if excess(0.0) <= 0.0:
        high = 0.0
    while high - low > 1e-3 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    sigma = np.hypot(errors, high)
    coefficients, covariance = _solve(values[used], sigma[used], terms[used])
    leverage = np.where(used, np.einsum("nt,tu,nu->n", terms, covariance, terms) / sigma**2, 0.0)
    left_out = (values - terms @ coefficients) / np.maximum(1.0 - leverage, 0.1)
    return coefficients, covariance, high, sigma, left_out


def _predicts_better(fit: _Fit, best: _Fit) -> bool:
    """Whether left-out sources are predicted better by more than the statistical error of the gain."""
    # also those that only the higher order takes for outliers: otherwise it chooses the sources by which it is judged
    before, after = (np.minimum(np.abs(f.left_out / best.sigma), OUTLIER_SIGMA)[:, best.used] for f in (best, fit))
    gains = (before**2 - after**2).sum(axis=0)
    return bool(gains.sum() > np.sqrt(np.sum(np.square(gains - gains.mean())) + 1e-12) + 2.0)
