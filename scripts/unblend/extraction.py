"""The fluxes of a band: weights that agree with the scatter of the data, errors that honour the noise's correlation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .domain import Model, Template
from .geometry import offset_arcsec
from .linear import WEIGHT_TOLERANCE, Solution, model_image, rescale_weight, solve
from .noise import correlated_errors, debiased_autocorrelation

log = logging.getLogger(__name__)

SOURCE_LIGHT = 0.5
"""Of the noise: where the models are brighter than this their imperfection would count as noise."""
NOISE_SEED = 20190613
"""Seed of the noise drawn to de-bias the autocorrelation: fixed, so that a field gives one answer."""


@dataclass(frozen=True)
class Settled:
    """A solution with weights that agree with the data.

    `scale` is measured over claimed scatter (1 where the claim was kept), `rms` the median noise of a usable pixel,
    `near_source` (ny, nx) is True where models shine.
    """

    solution: Solution
    weight: np.ndarray
    scale: float
    rms: float
    near_source: np.ndarray


@dataclass(frozen=True)
class Noise:
    """Errors that honour correlated noise; `correlation` is R, `lag_one` its mean over the four nearest pixels."""

    err: np.ndarray
    background_err: float
    correlation: np.ndarray
    lag_one: float


def settle_weights(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], *, trusted: bool, name: str
) -> Settled:
    """Solve, hold the weights against the residual's scatter, scale them where they contradict it.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    templates : sequence of Template
    trusted : bool
        The user has given the noise as a number: it is kept, and a warning says what was measured.
    name : str
        Of the band, for messages.
    """
    solution = solve(image, weight, templates)
    near = near_sources(solution, templates, weight)
    measured = rescale_weight(weight, solution.residual, near)
    scale = 1.0
    if not WEIGHT_TOLERANCE[0] <= measured <= WEIGHT_TOLERANCE[1] and np.isfinite(measured) and measured > 0:
        action = "the value given is kept" if trusted else "weights are scaled to agree"
        log.warning("%s: source-free pixels scatter %.3f times what their weights say: %s", name, measured, action)
        if not trusted:
            scale = measured
            weight = weight / scale**2
            solution = solve(image, weight, templates)
    usable = weight > 0
    rms = float(np.median(weight[usable]) ** -0.5)
    return Settled(solution, weight, float(scale), rms, near_sources(solution, templates, weight))


def near_sources(solution: Solution, templates: Sequence[Template], weight: np.ndarray) -> np.ndarray:
    """Return True where the models are brighter than SOURCE_LIGHT times the noise, shape (ny, nx)."""
    model = model_image(templates, solution.flux, weight.shape)
    return np.abs(model) * np.sqrt(weight) > SOURCE_LIGHT


def measure_noise(settled: Settled, templates: Sequence[Template], *, name: str) -> Noise:
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


def noise_correlation(settled: Settled, templates: Sequence[Template], *, rounds: int = 2) -> np.ndarray:
    """Return the autocorrelation of the noise, measured on the residual away from the sources."""
    rng = np.random.default_rng(NOISE_SEED)
    return debiased_autocorrelation(
        settled.solution, templates, settled.weight, settled.near_source, rng=rng, rounds=rounds
    )


def nearest_source(models: Mapping[int, Model], target: Mapping[str, float]) -> int:
    """Return the ID of the source nearest to the target (ra, dec in degrees)."""
    ids = sorted(models)
    ra, dec = np.array([models[i].sky for i in ids]).T
    east, north = offset_arcsec(ra, dec, target["ra"], target["dec"])
    return ids[int(np.argmin(np.hypot(east, north)))]
