"""The flux of a model compared with that of an aperture, the last point of the source's growth curve.

Wings that are too bright and a sky that is too faint can describe the pixels of a cutout together: a face-on disc that
fills its cutout comes out a quarter too bright. Against the sky around the cutout the light of the pixels is known.
Where a model contradicts it, the sky is taken from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from ..core.flags import Flag
from .group_data import GroupData
from .imfit import Pixels
from .imfit_config import Block
from .result import GroupFit
from .sky_level import SkyLevel, held_sky
from .smoothed_noise import noise_of_sum

RADII = 2.0
"""Radius of the aperture in units of √(area / π) of the segment: the smallest half-size of a cutout."""
MIN_RADIUS_PIXELS = 6.0
EXCESS, EXCESS_SIGMAS = 0.15, 3.0
"""A model is brighter than the growth curve if it exceeds the aperture by this fraction and by as many errors. A galaxy
of n = 4 has some 10 % of its light beyond the aperture."""
EXCESS_OF_DISC, EXCESS_SIGMAS_OF_DISC = 0.08, 2.5
"""The same for a bulge and a disc. An exponential disc has 1 to 3 % of its light beyond the aperture, and a faint one
can follow a wrong sky more freely than the wings of a single profile."""
HOLDING_ROUNDS = 2
"""Fits with a held sky. The structure of the first is that of the fit with a free sky, too small because the wings have
followed it; in the second it is that of the first. A third one changes the flux of a face-on disc by 0.3 %."""

NOTICEABLE = 0.01
"""Fraction by which a held sky must make these models fainter to be adopted. Otherwise the sky is not the cause."""


def is_beyond_growth_curve(
    source: int,
    data: GroupData,
    pixels: Pixels,
    others: np.ndarray,
    model: np.ndarray,
    total: float,
    *,
    is_bulge_and_disc: bool = False,
) -> bool:
    """Return whether a model has much more flux than the pixels within twice the radius of the segment.

    Parameters
    ----------
    source : int
        ID of the source.
    data : GroupData
        Segments, correlation of the noise, and the sky around the cutout; without that False is returned.
    pixels : Pixels
        Image, error and mask. Masked pixels count as the model.
    others : array (ny, nx)
        Convolved image of the other members of the group, without the sky.
    model : array (ny, nx)
        Convolved image of the source.
    total : float
        Flux of the source.
    is_bulge_and_disc : bool
        Whether the model consists of two profiles.
    """
    segment = data.segments == source
    if data.sky_around is None or not segment.any() or not math.isfinite(total):
        return False
    y, x = np.nonzero(segment)
    weight = np.maximum(model[segment], 0.0) + 1e-9 * abs(total)
    centre = float(np.average(y, weights=weight)), float(np.average(x, weights=weight))
    rows, columns = np.indices(segment.shape)
    radius = max(RADII * math.sqrt(y.size / math.pi), MIN_RADIUS_PIXELS)
    aperture = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    used = aperture & ~pixels.mask
    light = float((pixels.image - others - data.sky_around.value)[used].sum() + model[aperture & pixels.mask].sum())
    noise = noise_of_sum(np.where(used, pixels.error, 0.0), data.smoothing)
    error = math.hypot(noise, np.count_nonzero(used) * data.sky_around.error)
    excess, sigmas = (EXCESS_OF_DISC, EXCESS_SIGMAS_OF_DISC) if is_bulge_and_disc else (EXCESS, EXCESS_SIGMAS)
    return total - light > sigmas * error and total > (1.0 + excess) * light


def held_to_growth_curve(
    fit: GroupFit, around: SkyLevel | None, refit: Callable[[GroupFit, set[int], Block], GroupFit]
) -> GroupFit:
    """Return the fit of a group with the sky held at that around the cutout, where a model contradicts the pixels.

    Wings of a wrong profile and a sky that is too faint together lower chi2, more than the error of the sky allows for:
    no profile of one index is a face-on disc with a bulge. What such a model says of the sky is not believed. The sky
    is fixed, its error enters the covariance as it was measured, and what the model leaves in the segment counts as
    structure.

    Parameters
    ----------
    fit : GroupFit
        The fit with a free sky, with its flags. It is returned where no model is brighter than its growth curve, and
        where the held sky hardly makes these models fainter: then the wings are those of a neighbour.
    around : SkyLevel or None
        The sky around the cutout.
    refit : callable
        Takes an earlier fit of the group, the members whose structure in it is to be added to the noise, and the sky,
        and returns the new fit.
    """
    beyond = {member.id for member in fit.members if member.flags & Flag.BEYOND_GROWTH_CURVE}
    if around is None or not beyond:
        return fit
    held, sky = fit, held_sky(around)
    for _ in range(HOLDING_ROUNDS):
        held = refit(held, beyond, sky)
        if not held.converged:
            return fit
    if not _total_flux(held, beyond) < (1.0 - NOTICEABLE) * _total_flux(fit, beyond):
        return fit
    members = (replace(m, flags=int(m.flags | Flag.SKY_HELD)) if m.id in beyond else m for m in held.members)
    return replace(held, members=tuple(members))


def _total_flux(fit: GroupFit, ids: Collection[int]) -> float:
    """Return the sum of the fluxes of some members, in the units of the stack."""
    return sum(member.flux for member in fit.members if member.id in ids)
