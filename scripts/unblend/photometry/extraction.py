"""The fluxes of a band: weights that agree with the scatter of the data, errors that honour the noise's correlation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from ..core.nouns import NoiseOrigin, Template
from ..core.statistics import ROBUST_SIGMA_ERROR
from .correlated_noise import correlated_errors, debiased_autocorrelation
from .linear_system import (
    WEIGHT_TOLERANCE,
    LinearSolution,
    model_image,
    scatter_ratio,
    screen,
    solve_fluxes,
    weight_rms,
)
from .unmodelled_flux import LightSearch, beside_masks

log = logging.getLogger(__name__)

PARTLY_MASKED = int(Flag.PARTLY_MASKED)
SOURCE_LIGHT = 0.5
"""Of the noise: where the models are brighter than this their imperfection would count as noise."""
ROUNDS = 6
"""Of leaving out what no model explains: the constant moves, and with it what is significant; 2 to 5 settle it."""
AT_REST = 0.1
"""Of its error: a constant that moves by less is settled. More rounds move fluxes by 0.01 of their errors, one in
fifty by 0.1 to 0.5: of sources beside light that is now significant, now not."""
A_LOT = 0.4
"""Fraction of pixels left out that deserves a warning."""
NOISE_SEED = 20190613
"""Seed of the noise drawn to de-bias the autocorrelation: fixed, so that a field gives one answer."""


@dataclass(frozen=True)
class RescaledSolution:
    """A solution with weights that agree with the data.

    `weight` is 0 also where light that no model explains was left out, a fraction `left_out` of the usable pixels.
    `scale` is measured over claimed scatter (1 where the claimed noise was kept), `rms` the median noise of a usable
    pixel, `near_source` (ny, nx) is True where models shine.
    """

    solution: LinearSolution
    weight: np.ndarray
    scale: float
    rms: float
    near_source: np.ndarray
    left_out: float


@dataclass(frozen=True)
class Noise:
    """Errors that honour correlated noise; `correlation` is R, `lag_one` its mean over the four nearest pixels."""

    err: np.ndarray
    background_err: float
    correlation: np.ndarray
    lag_one: float


def rescale_weights(
    image: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    *,
    fwhm: float,
    noise_origin: NoiseOrigin,
    name: str,
) -> RescaledSolution:
    """Solve, leave out light that no model explains, hold the weights against the residual's scatter.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    templates : sequence of Template
    fwhm : float
        Of the band's PSF, pixels.
    noise_origin : {"value", "map", "image"}
        Where the weights come from. A value is kept, and a warning says what was measured; a map that contradicts the
        scatter is scaled, with a warning; the scatter of an image, sources and all, is scaled without one.
    name : str
        Of the band, for messages.
    """
    usable = np.isfinite(image) & (weight > 0)
    given = np.where(usable, weight, 0.0)
    search = LightSearch(given, templates, fwhm)
    beside = left_out = beside_masks(given, templates, fwhm)
    constant = np.inf
    for _ in range(ROUNDS):
        weight = np.where(left_out, 0.0, given)
        solution = solve_fluxes(image, weight, templates)
        near, measured = _near(solution, templates, weight)
        if abs(solution.background - constant) < AT_REST * measured * solution.background_err:
            break
        constant = solution.background
        left_out = beside | search.find(solution.residual, near, left_out)
    lost = float(1.0 - np.count_nonzero(weight > 0) / np.count_nonzero(given > 0))
    if lost > A_LOT:
        log.warning("%s: light that no model explains may be in %.0f %% of the pixels, which are left out: "
                    "detect fainter sources, or set background", name, 100 * lost)  # fmt: skip
    elif lost > 0:
        log.info("%s: light that no model explains may be in %.1f %% of the pixels: left out", name, 100 * lost)
    measured = scatter_ratio(weight, solution.residual, near)
    scale = _scale(measured, int(np.count_nonzero((weight > 0) & ~near)), noise_origin, name)
    if scale != 1.0:
        weight = weight / scale**2
        solution = solution.scaled(scale)
        near = near_sources(solution, templates, weight)
    return RescaledSolution(_flagged(solution, usable, templates), weight, scale, weight_rms(weight), near, lost)


def adopt_weights(
    image: np.ndarray, weight: np.ndarray, mask: np.ndarray, templates: Sequence[Template]
) -> RescaledSolution:
    """Solve with weights that `rescale_weights` has left; `mask` is True where it was not given any."""
    solution = solve_fluxes(image, weight, templates)
    near = near_sources(solution, templates, weight)
    solution = _flagged(solution, np.isfinite(image) & ~mask, templates)
    return RescaledSolution(solution, weight, 1.0, weight_rms(weight), near, 0.0)


def _flagged(solution: LinearSolution, usable: np.ndarray, templates: Sequence[Template]) -> LinearSolution:
    """Return the solution with partly masked sources marked.

    The user's masks may cost a source its light; what is left out here is light of others.
    """
    masked = screen(templates, usable) & PARTLY_MASKED
    return replace(solution, flags=solution.flags & ~PARTLY_MASKED | masked)


def _near(solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Return `near_sources` as it is with the measured noise, whatever the weights claim, and measured over claimed."""
    signal = _signal(solution, templates, weight)
    measured = scatter_ratio(weight, solution.residual, signal > SOURCE_LIGHT)
    measured = measured if measured > 0 else 1.0
    return signal > SOURCE_LIGHT * measured, measured


def _scale(measured: float, pixels: int, noise_origin: NoiseOrigin, name: str) -> float:
    """Return the factor on the claimed noise, measured on so many pixels: 1 where it is kept."""
    if not (np.isfinite(measured) and measured > 0):
        return 1.0
    if noise_origin == "image":
        return measured
    if abs(measured - 1.0) <= max(WEIGHT_TOLERANCE, 3.0 * ROBUST_SIGMA_ERROR / np.sqrt(pixels)):
        return 1.0
    action = "the value given is kept" if noise_origin == "value" else "weights are scaled to agree"
    log.warning("%s: source-free pixels scatter %.3f times what their weights say: %s", name, measured, action)
    return 1.0 if noise_origin == "value" else measured


def near_sources(solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray) -> np.ndarray:
    """Return True where the models are brighter than SOURCE_LIGHT times the noise, shape (ny, nx)."""
    return _signal(solution, templates, weight) > SOURCE_LIGHT


def _signal(solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray) -> np.ndarray:
    """Return the brightness of the models over the noise, shape (ny, nx)."""
    return np.abs(model_image(templates, solution.flux, weight.shape)) * np.sqrt(weight)


def measure_noise(settled: RescaledSolution, templates: Sequence[Template], *, name: str) -> Noise:
    """Measure the noise's autocorrelation on the residual, what the fit absorbed added back, and the errors with it."""
    solution, weight = settled.solution, settled.weight
    correlation = noise_correlation(settled, templates)
    err, background_err = correlated_errors(solution, templates, weight, correlation)
    lag_one = 0.0
    if correlation.size > 1:
        middle = len(correlation) // 2
        lag_one = float((correlation[middle, middle + 1] + correlation[middle + 1, middle]) / 2.0)
    log.info("%s: rms %.4g, correlation of neighbouring pixels %.2f", name, settled.rms, lag_one)
    return Noise(err, background_err, correlation, lag_one)


def noise_correlation(settled: RescaledSolution, templates: Sequence[Template], *, rounds: int = 2) -> np.ndarray:
    """Return the autocorrelation of the noise, measured on the residual away from the sources."""
    rng = np.random.default_rng(NOISE_SEED)
    return debiased_autocorrelation(
        settled.solution, templates, settled.weight, settled.near_source, rng=rng, rounds=rounds
    )
