"""Stars: point sources instead of Sersic profiles much smaller than a pixel."""

from __future__ import annotations

from dataclasses import replace

from ..core.flags import Flag
from .fit_settings import FitSettings
from .group_data import segment_snr
from .imfit_config import Block, Function, Parameter
from .joint_fit import Problem, as_start_values, fit_jointly, fitted_centre
from .result import GroupFit, MemberFit, function_flux

MAX_CHI2_RISE = 13.3
"""Increase of chi2 up to which a point source is preferred to a Sersic profile. Its four parameters fewer raise chi2 by
more than this for 1 % of the stars."""

PSF_ERROR = 0.01
"""Relative error of the PSF. It raises chi2 of a point source by up to the square of its signal-to-noise ratio times
this, which a profile of 0.05 pixel, for example, can fit: a star of S/N 1400 is then a Sersic profile with chi2 lower
by 95."""


def with_point_sources(problem: Problem, fit: GroupFit, settings: FitSettings) -> GroupFit:
    """Return the fit with a point source for each unresolved bright source that it describes as well.

    A Sersic profile much smaller than a pixel is a point source with four more parameters. IMFIT samples it poorly: its
    fits of stars of S/N 100 to 600 are 2 to 4 % too bright. Galaxies keep their profile: at r_e = 0.5 pixel and S/N 50
    the chi2 of a point source is two thirds higher.

    Parameters
    ----------
    problem : Problem
        The problem of the fit.
    fit : GroupFit
        The fit with Sersic profiles.
    settings : FitSettings
        `unresolved_r_e` and `point_snr` are used.
    """
    for member in fit.members:
        if not fit.converged or not is_unresolved(member, settings):
            continue
        snr = segment_snr(member, problem.data, problem.pixels, fit.sky.value)
        if snr < settings.point_snr:
            continue
        point = _as_point_source(member)
        others = {m.id: replace(m, start=as_start_values(m.blocks, m.automatic)) for m in fit.members}
        members = tuple(point if m.id == member.id else others[m.id] for m in fit.members)
        trial = fit_jointly(replace(problem, members=members, retries=False))
        allowed = max(MAX_CHI2_RISE * max(fit.reduced_chi2, 1.0), (PSF_ERROR * snr) ** 2) if problem.exact else 0.0
        if trial.converged and trial.chi2 < fit.chi2 + allowed:
            fit = trial
    return fit


def is_unresolved(member: MemberFit, settings: FitSettings) -> bool:
    """Return whether the fitted r_e of an automatic Sersic profile is below the resolution or on its bound."""
    if member.flags & (Flag.OVERRIDDEN | Flag.FIT_REPLACED) or member.sersic is None:
        return False
    return member.sersic.r_e < settings.unresolved_r_e or member.blocks[0].functions[0]["r_e"].on_bound


def _as_point_source(member: MemberFit) -> MemberFit:
    """Return a member that starts as a point source with the position and flux of its fitted profile."""
    automatic, best = member.automatic[0], member.blocks[0]
    flux = function_flux(best.functions[0]) or 0.0
    function = Function("PointSource", (Parameter("I_tot", flux, 0.0, 1e6 * flux),))
    point = Block(*fitted_centre(automatic, best), (function,), member.id)
    flags = (Flag(member.flags) | Flag.POINT_SOURCE) & ~(Flag.FIT_RETRIED | Flag.FIT_ON_BOUND)
    return replace(member, automatic=(point,), start=(point,), single=(), flags=int(flags))
