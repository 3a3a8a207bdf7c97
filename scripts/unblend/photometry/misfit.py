"""What a template leaves of its source in a band: chi2, the light of neighbours, and the flux error from the misfit.

A template may be wrong in a band although its fit is good in the detection image: the knots of a galaxy are bluer than
its disc, a neighbour is too red to be detected. The formal error of its flux knows nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.flags import Flag
from ..core.statistics import largest_chance_chi2
from ..core.types import Psf, Template
from .linear_system import LinearSolution, model_image

POOR_CHI2 = 1.35
"""chi2 above which a template is a poor fit in a band, if it is significant."""
MAX_FRACTION = 1.0
"""Largest misfit as a fraction of the brightness."""


@dataclass(frozen=True)
class Misfit:
    """The misfit of every template of a band, in the order of the solution; NaN where nothing was measured.

    Parameters
    ----------
    chi2 : array (n,)
        Mean of (residual / noise)², weighted by the square of the template.
    fracflux : array (n,)
        Light of all other sources in the footprint of the template over its own light there, weighted by the template.
    err : array (n,)
        Error of the flux, image units; 0 where chi2 is not significantly above 1.
    flags : int array (n,)
        BAND_MISFIT where chi2 is.
    """

    chi2: np.ndarray
    fracflux: np.ndarray
    err: np.ndarray
    flags: np.ndarray


def noise_area(psf: Psf) -> float:
    """Return the area of a PSF in image pixels, 1/Σp² (King 1983): over such an area structure is correlated."""
    share = psf.data / psf.data.sum()
    return max(1.0, 1.0 / (float(np.sum(share**2)) * psf.oversampling**2))


def measure_misfit(solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, area: float) -> Misfit:
    """Return the misfit of every template of a band.

    The variance of the residual beyond that of the noise, as a fraction φ² of the squared brightness of the models, is
    taken for structure that is correlated over the area of the PSF. A unit of light in a pixel changes the flux by
    g = w t / Σ w t², with the weights w and the template t of unit flux, where the true change is 1 for light of the
    source itself and 0 for that of others. The error of the flux is φ √(area · Σ ((g − 1)² m² + g² o²)), with the
    brightness m of the source's own model and o of all others.

    Parameters
    ----------
    solution : LinearSolution
        Its residual is used wherever there is a weight, also where pixels were masked as unmodelled flux.
    templates : sequence of Template
        In the order of the solution.
    weight : array (ny, nx)
        Inverse variance rescaled to the scatter, 0 where there are no data.
    area : float
        `noise_area` of the band's PSF.
    """
    count = len(templates)
    chi2, fracflux, err = (np.full(count, np.nan) for _ in range(3))
    flags = np.zeros(count, dtype=np.int64)
    models = model_image(templates, solution.flux, solution.residual.shape)
    for k in solution.active:
        template, flux = templates[k], float(solution.flux[k])
        window = template.box.slices
        residual, w = solution.residual[window], weight[window]
        used = np.isfinite(residual) & (w > 0)
        t, m, r, w = (part[used] for part in (template.data, models[window], residual, w))
        light = t**2
        if not light.sum() > 0:
            continue
        chi2[k] = np.average(w * r**2, weights=light)
        own = flux * float(light.sum())
        fracflux[k] = (float(np.sum(t * m)) - own) / own if own > 0 else np.nan
        err[k] = 0.0
        effective_pixels = float(light.sum()) ** 2 / float(np.sum(light**2))
        if chi2[k] > max(POOR_CHI2, largest_chance_chi2(effective_pixels)):
            flags[k] = int(Flag.BAND_MISFIT)
            excess, brightness = float(np.sum(light * (r**2 - 1.0 / w))), float(np.sum(light * m**2))
            fraction = min(math.sqrt(max(excess, 0.0) / brightness), MAX_FRACTION) if brightness > 0 else 0.0
            influence = w * t / float(np.sum(w * light))
            counted = ((influence - 1.0) * flux * t) ** 2 + (influence * (m - flux * t)) ** 2
            err[k] = fraction * math.sqrt(area * float(np.sum(counted)))
    return Misfit(chi2, fracflux, err, flags)
