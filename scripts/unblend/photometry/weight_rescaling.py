"""The weight map of a band: unmodelled flux is masked, and the weights are rescaled to the scatter of the residual.

Both need the residual of a fit, so the fluxes are fitted here. Their errors are for white noise; the errors for
correlated noise follow from `correlated_noise.measure_noise`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from ..core.statistics import ROBUST_SIGMA_ERROR, noise_map_agrees
from ..core.types import NoiseOrigin, Template
from .linear_system import (
    WEIGHT_TOLERANCE,
    LinearSolution,
    coverage_flags,
    model_image,
    scatter_ratio,
    solve_fluxes,
    weight_rms,
)
from .unmodelled_flux import UnmodelledFluxSearch, mask_margins

log = logging.getLogger(__name__)

PARTLY_MASKED = int(Flag.PARTLY_MASKED)
SOURCE_LIGHT = 0.5
"""Pixels where the models are brighter than this, in units of the noise, are near a source: residuals of the models
would count as noise there."""
MAX_ITERATIONS = 6
"""Maximum number of iterations of masking unmodelled flux. The background level changes with the mask, and the mask
with the background level; 2 to 5 iterations converge."""
CONVERGED_SIGMA = 0.1
"""The background level has converged when it changes by less than this fraction of its error. More iterations change
fluxes by 0.01 of their errors, and one in fifty by 0.1 to 0.5: sources next to marginally significant flux."""
MASKED_FRACTION_WARNING = 0.4
"""Fraction of the pixels masked as unmodelled flux above which a warning is logged."""


@dataclass(frozen=True)
class RescaledSolution:
    """A solution whose weights agree with the scatter of the data.

    Parameters
    ----------
    solution : LinearSolution
    weight : array (ny, nx)
        Inverse variance; 0 where masked, also as unmodelled flux.
    scale : float
        Measured over claimed noise; 1 where the claimed noise was kept.
    rms : float
        Median noise of a usable pixel, image units.
    near_source : array (ny, nx) of bool
        True where the models are brighter than `SOURCE_LIGHT` times the noise.
    masked_fraction : float
        Fraction of the usable pixels that was masked as unmodelled flux.
    """

    solution: LinearSolution
    weight: np.ndarray
    scale: float
    rms: float
    near_source: np.ndarray
    masked_fraction: float


def rescale_weights(
    image: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    *,
    fwhm: float,
    noise_origin: NoiseOrigin,
    name: str,
    order: int = 0,
) -> RescaledSolution:
    """Fit the fluxes, mask unmodelled flux, and compare the weights with the scatter of the residual.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where masked.
    templates : sequence of Template
    fwhm : float
        FWHM of the band's PSF in pixels.
    noise_origin : {"value", "map", "weights", "image"}
        Where the weights come from. A value is kept, with a warning if the scatter disagrees. A map of the noise or the
        variance that disagrees with the scatter is rescaled, with a warning unless `noise_map_agrees`. The unit of a
        map of weights has no meaning, and it is rescaled without one; so are weights from the scatter of the image.
    name : str
        Name of the band, for log messages.
    order : int
        Order of the polynomial for the background; 0 for a constant.
    """
    usable = np.isfinite(image) & (weight > 0)
    given = np.where(usable, weight, 0.0)
    search = UnmodelledFluxSearch(given, templates, fwhm)
    margins = unmodelled = mask_margins(given, templates, fwhm)
    background = np.inf
    for _ in range(MAX_ITERATIONS):
        weight = np.where(unmodelled, 0.0, given)
        solution = solve_fluxes(image, weight, templates, order=order)
        near, measured = near_sources_rescaled(solution, templates, weight)
        if abs(solution.background - background) < CONVERGED_SIGMA * measured * solution.background_err:
            break
        background = solution.background
        unmodelled = margins | search.find(solution.residual, near, unmodelled)
    masked_fraction = float(1.0 - np.count_nonzero(weight > 0) / np.count_nonzero(given > 0))
    _log_masked_fraction(masked_fraction, name)
    measured = scatter_ratio(weight, solution.residual, near)
    scale = _noise_scale(measured, int(np.count_nonzero((weight > 0) & ~near)), noise_origin, name, weight_rms(weight))
    if scale != 1.0:
        weight = weight / scale**2
        solution = solution.scaled(scale)
        near = near_sources(solution, templates, weight)
    solution = _with_mask_flags(solution, usable, templates)
    return RescaledSolution(solution, weight, scale, weight_rms(weight), near, masked_fraction)


def _log_masked_fraction(fraction: float, name: str) -> None:
    if fraction > MASKED_FRACTION_WARNING:
        log.warning("%s: %.0f %% of the pixels may contain unmodelled flux and are masked. "
                    "Detect fainter sources, or set background", name, 100 * fraction)  # fmt: skip
    elif fraction > 0:
        log.info(
            "%s: %.1f %% of the pixels may contain unmodelled flux and are masked in the fit", name, 100 * fraction
        )


def adopt_weights(
    image: np.ndarray, weight: np.ndarray, mask: np.ndarray, templates: Sequence[Template], *, order: int = 0
) -> RescaledSolution:
    """Fit the fluxes with the final weights of `rescale_weights`.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the final inverse variance, 0 where masked, also as unmodelled flux.
    mask : array (ny, nx) of bool
        True where `rescale_weights` was given no weight.
    templates : sequence of Template
    order : int
        Order of the polynomial for the background.
    """
    solution = solve_fluxes(image, weight, templates, order=order)
    near = near_sources(solution, templates, weight)
    solution = _with_mask_flags(solution, np.isfinite(image) & ~mask, templates)
    return RescaledSolution(solution, weight, 1.0, weight_rms(weight), near, 0.0)


def _with_mask_flags(solution: LinearSolution, usable: np.ndarray, templates: Sequence[Template]) -> LinearSolution:
    """Return the solution with PARTLY_MASKED set from the pixels that were usable before masking unmodelled flux.

    The user's masks may hide part of a source; pixels masked as unmodelled flux contain the flux of other objects.
    """
    masked = coverage_flags(templates, usable) & PARTLY_MASKED
    return replace(solution, flags=solution.flags & ~PARTLY_MASKED | masked)


def near_sources_rescaled(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return `near_sources` for the measured noise instead of the claimed one, and the ratio of the two.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        Inverse variance of the claimed noise, 0 where masked.
    """
    signal = _signal(solution, templates, weight)
    measured = scatter_ratio(weight, solution.residual, signal > SOURCE_LIGHT)
    measured = measured if measured > 0 else 1.0
    return signal > SOURCE_LIGHT * measured, measured


def _noise_scale(measured: float, pixels: int, noise_origin: NoiseOrigin, name: str, claimed: float) -> float:
    """Return the factor on the claimed noise, 1 where it is kept; `measured` is from this number of `pixels`."""
    if not (np.isfinite(measured) and measured > 0):
        return 1.0
    if noise_origin == "image":
        return measured
    if abs(measured - 1.0) <= max(WEIGHT_TOLERANCE, 3.0 * ROBUST_SIGMA_ERROR / np.sqrt(pixels)):
        return 1.0
    found = f"{name}: the source-free pixels scatter by {measured * claimed:.3g}"
    if noise_origin == "value":
        log.warning("%s, and rms is %.3g; the value given is kept", found, claimed)
        return 1.0
    if noise_origin == "weights":
        log.info("%s; the weight map, whose unit has no meaning, is scaled to that", found)
        return measured
    level = logging.INFO if noise_map_agrees(measured) else logging.WARNING
    log.log(level, "%s, %.2f times the noise of the map (%.3g), which is rescaled", found, measured, claimed)
    return measured


def near_sources(solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray) -> np.ndarray:
    """Return True where the models are brighter than `SOURCE_LIGHT` times the noise.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        Inverse variance, 0 where masked.

    Returns
    -------
    array (ny, nx) of bool
    """
    return _signal(solution, templates, weight) > SOURCE_LIGHT


def _signal(solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray) -> np.ndarray:
    """Return the brightness of the models in units of the noise, shape (ny, nx)."""
    signal = model_image(templates, solution.flux, weight.shape)
    np.abs(signal, out=signal)
    signal *= np.sqrt(weight)
    return signal
