"""Fit a group of sources in two passes.

Pass 1 (relative tolerance 1e-4): each source alone with the others masked, then the group. Pass 2 (1e-6): the
caller has subtracted the pass-1 models of all neighbours; the group is fitted again from its own pass-1 result, and
the covariance is taken. Every group goes through both, so that all end with the same tolerance. A crowd goes through
both in steps (`fit_chain`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from ..core.nouns import Box
from .centre_check import misplaced, with_centres_restored
from .crowded_fit import fit_group, is_crowd, part_of, summed_light
from .group_data import GroupData, group_pixels, group_starts, segment_snr
from .imfit import Pixels, covariance, evaluate_blocks, parameters_of, sky_block
from .imfit_config import Block, Function, Parameter
from .index_prior import constrain_indices, prior_sigmas, with_uncertain_index
from .joint_fit import (
    NO_FLAG,
    Problem,
    attempt,
    fit_jointly,
    has_few_pixels,
    held,
    off_bounds,
    replaced_fit,
    with_variances,
)
from .overrides import Override
from .result import GroupFit, MemberFit, as_matrix, function_flux


@dataclass(frozen=True)
class FitSettings:
    """Numbers of the recipe, with where they come from.

    Parameters
    ----------
    ftol_first, ftol : float
        IMFIT's relative tolerance in the two passes: 1e-4 then 1e-6 loses nothing; 1e-8 gains nothing.
    poor_chi2 : float
        Reduced chi2 over a source's own pixels that no single profile explains.
    uncertain_n : float
        σ_n/n above which the shape is not known.
    unresolved_r_e : float
        Pixels: a half-light radius below which a point source is tried.
    point_snr : float
        Signal to noise in the segment from which it is tried: fainter, a small galaxy's chi2 may be lower as a point by
        chance (the example: one of S/N 14 and r_e = 1.3 pixels lost a fifth of its flux).
    faint_snr : float
        Signal to noise in the segment below which an uncertain index is the most probable one (`fit_prior`).
    """

    ftol_first: float = 1e-4
    ftol: float = 1e-6
    poor_chi2: float = 1.35
    uncertain_n: float = 0.5
    unresolved_r_e: float = 1.0
    point_snr: float = 30.0
    faint_snr: float = 20.0


DEFAULTS = FitSettings()


def fit_first_pass(
    data: GroupData,
    psf: np.ndarray,
    overrides: Mapping[int, Override] | None = None,
    settings: FitSettings = DEFAULTS,
) -> GroupFit:
    """Fit a group from start values: each source alone, then together. Errors are IMFIT's; no covariance.

    Parameters
    ----------
    data : GroupData
        Pixels of the group, custom models subtracted.
    psf : array (odd, odd)
        From `fit_psf`.
    overrides : mapping of source to Override
        The user's word.

    Raises
    ------
    OverrideError
        An override puts a centre off the cutout.
    """
    began = time.process_time()
    members, sky, pixels = group_starts(data, psf, overrides or {})
    problem = Problem(tuple(members), sky, pixels, data, psf, settings.ftol_first)
    if len(members) > 1:
        problem = replace(problem, members=tuple(_alone(problem, member) for member in members))
    fit = fit_group(
        problem,
        finish=lambda part, fit: _with_points(part, with_centres_restored(part, fit), settings),
        doubtful=lambda member: _is_unresolved(member, settings),
    )
    return replace(fit, seconds=time.process_time() - began)


def _with_points(problem: Problem, fit: GroupFit, settings: FitSettings) -> GroupFit:
    """Return the fit with point sources where the data demand them: unresolved, bright, and chi2 lower as a point.

    IMFIT's sampling of a profile much smaller than a pixel is poor: stars of S/N 100 to 600 fitted so are 2 to 4 % too
    bright at a chi2 two to three times that of a point. A galaxy stays one: at r_e = 0.5 pixel and S/N 50 its chi2
    as a point is two thirds higher.
    """
    for member in fit.members:
        if not fit.converged or not _is_unresolved(member, settings):
            continue
        if segment_snr(member, problem.data, problem.pixels, fit.sky.value) < settings.point_snr:
            continue
        point = _as_point(member)
        others = {m.id: replace(m, start=off_bounds(m.blocks, m.automatic)) for m in fit.members}
        members = tuple(point if m.id == member.id else others[m.id] for m in fit.members)
        trial = fit_jointly(replace(problem, members=members, retries=False))
        if trial.converged and trial.chi2 < fit.chi2:
            fit = trial
    return fit


def _is_unresolved(member: MemberFit, settings: FitSettings) -> bool:
    """Whether an automatic Sersic has come out smaller than the sampling can tell."""
    if member.flags & (Flag.OVERRIDDEN | Flag.FIT_REPLACED) or member.sersic is None:
        return False
    return member.sersic.r_e < settings.unresolved_r_e or member.blocks[0].functions[0]["r_e"].on_bound


def _as_point(member: MemberFit) -> MemberFit:
    """Return a member that starts as a point source where its profile was."""
    block = member.automatic[0]
    flux = function_flux(member.blocks[0].functions[0]) or 0.0
    light = Function("PointSource", (Parameter("I_tot", flux, 0.0, 1e6 * flux),))
    best = member.blocks[0]
    start = tuple(
        None if limits is None or found is None else replace(limits, value=found.value).clipped()
        for limits, found in ((block.y0, best.y0), (block.x0, best.x0))
    )
    point = Block(start[0], start[1], (light,), member.id)
    flags = (Flag(member.flags) | Flag.POINT_SOURCE) & ~(Flag.FIT_RETRIED | Flag.FIT_ON_BOUND)
    return replace(member, automatic=(point,), start=(point,), single=(), flags=int(flags))


def _alone(problem: Problem, member: MemberFit) -> MemberFit:
    """Fit one member with the others masked: the start of the joint fit."""
    if is_crowd(len(problem.members)):
        problem = part_of(problem, member.id)
    pixels = group_pixels(problem.data, member.id)
    if has_few_pixels(member, pixels, problem.data):
        return member
    solution = attempt(member.automatic, replace(problem, pixels=pixels))
    if solution is None or not solution.converged:
        return member
    best, sky = solution.blocks[:-1], solution.blocks[-1].functions[0]["I_sky"].value
    return replace(member, start=off_bounds(best, member.automatic), single=best, single_sky=sky)


def fit_second_pass(data: GroupData, psf: np.ndarray, first: GroupFit, settings: FitSettings = DEFAULTS) -> GroupFit:
    """Fit a group from its first result to the final tolerance, with covariance and all flags.

    `data.image` is the stack less the pass-1 models of all neighbours (for a group without any: the same as
    before). Members, limits and the user's overrides are those of `first`.
    """
    began = time.process_time()
    pixels = group_pixels(data)
    sky = sky_block(first.sky.value, first.sky_start.upper or 0.0)
    members = tuple(_second_start(member, data, pixels, first, settings) for member in first.members)
    problem = Problem(members, sky, pixels, data, psf, settings.ftol, retries=False)
    fit = constrain_indices(problem, fit_group(problem))
    if fit.converged:
        fit = _flagged(_with_covariance(fit, pixels, psf), pixels, data, psf, settings)
    return replace(fit, seconds=time.process_time() - began)


def _second_start(
    member: MemberFit, data: GroupData, pixels: Pixels, first: GroupFit, settings: FitSettings
) -> MemberFit:
    """Return a member with its second start; a faint one whose index the first pass did not find gets a typical one."""
    faint = segment_snr(member, data, pixels, first.sky.value) < settings.faint_snr
    if faint and _is_vague(member, settings):
        member = with_uncertain_index(member)
    return replace(member, start=off_bounds(member.blocks, member.automatic))


def _is_vague(member: MemberFit, settings: FitSettings) -> bool:
    """Whether the shape of an automatic Sersic is not in the data: on a bound, or an uncertain index."""
    if member.flags & (Flag.OVERRIDDEN | Flag.FIT_REPLACED | Flag.POINT_SOURCE):
        return False
    function = member.blocks[0].functions[0]
    on_bound = any(function[name].on_bound for name in ("n", "r_e", "ell"))
    return on_bound or (function["n"].error or 0.0) > settings.uncertain_n * function["n"].value


def replacement_fit(
    data: GroupData, psf: np.ndarray, overrides: Mapping[int, Override] | None = None, *, flag: Flag = NO_FLAG
) -> GroupFit:
    """Return the models from moments for a group whose fit crashed or ran out of time (say so with `flag`)."""
    members, sky, pixels = group_starts(data, psf, overrides or {})
    return replaced_fit(Problem(tuple(members), sky, pixels, data, psf, 0.0), flag)


def evaluate_members(fit: GroupFit, psf: np.ndarray, box: Box, ids: Sequence[int] | None = None) -> np.ndarray:
    """Return the convolved image, without sky, of a group's members (or only `ids`) on any box of the grid."""
    chosen = [member for member in fit.members if ids is None or member.id in ids]
    if is_crowd(len(fit.members)):
        return summed_light([(member.id, member.blocks) for member in chosen], box, psf)
    return evaluate_blocks([block for member in chosen for block in member.blocks], box, psf)


def _with_covariance(fit: GroupFit, pixels: Pixels, psf: np.ndarray) -> GroupFit:
    """Add covariance and errors; replaced members are held, as in the fit."""
    sky = replace(sky_block(0.0, 1.0), functions=(Function("FlatSky", (fit.sky,)),))
    blocks: list[Block] = []
    for member in fit.members:
        blocks += held(member.blocks) if member.flags & Flag.FIT_REPLACED else member.blocks
    crowd = is_crowd(len(fit.members))
    matrix = covariance([*blocks, sky], pixels, psf, prior_sigmas(fit.members), each=crowd)
    members, names, at = [], [], 0
    for member in fit.members:
        own = slice(at, at + len(parameters_of(member.blocks)))
        part, at = matrix[own, own], own.stop
        names += _names(member)
        kept = () if member.flags & Flag.FIT_REPLACED else as_matrix(part)
        members.append(replace(member, blocks=with_variances(member.blocks, np.diag(part)), covariance=kept))
    # the last three are the sky's X0, Y0, which mean nothing, and its level
    rows = [*range(at), at + 2]
    level = replace(fit.sky, error=math.sqrt(matrix[at + 2, at + 2]))
    full = as_matrix(matrix[np.ix_(rows, rows)])
    return replace(fit, members=tuple(members), sky=level, names=(*names, "sky"), covariance=full)


def _names(member: MemberFit) -> list[str]:
    """Return "7.n" for every parameter, "7.n_2" where a name comes again."""
    names: list[str] = []
    for parameter in parameters_of(member.blocks):
        name, number = f"{member.id}.{parameter.name}", 2
        while name in names:
            name, number = f"{member.id}.{parameter.name}_{number}", number + 1
        names.append(name)
    return names


def _flagged(fit: GroupFit, pixels: Pixels, data: GroupData, psf: np.ndarray, settings: FitSettings) -> GroupFit:
    """Add chi2 over each segment and the flags that follow from the result."""
    model = evaluate_members(fit, psf, pixels.box) + fit.sky.value
    deviates = np.where(pixels.mask, 0.0, (pixels.image - model) / pixels.error) ** 2
    members, astray = [], misplaced(fit, data)
    for member in fit.members:
        own = (data.segments == member.id) & ~pixels.mask
        count = int(np.count_nonzero(own))
        chi2 = float(deviates[own].sum()) / count if count else None
        flags = Flag(member.flags)
        # a segment of 20 pixels scatters by 0.3 about 1: below four sigma it says nothing
        if chi2 is not None and chi2 > max(settings.poor_chi2, 1.0 + 4.0 * math.sqrt(2.0 / count)):
            flags |= Flag.FIT_POOR_CHI2
        parameters = parameters_of(member.blocks)
        if any(parameter.on_bound for parameter in parameters) and not flags & Flag.FIT_REPLACED:
            flags |= Flag.FIT_ON_BOUND
        if any(p.name == "n" and (p.error or 0.0) > settings.uncertain_n * abs(p.value) for p in parameters):
            flags |= Flag.SHAPE_UNCERTAIN
        if member.id in astray:
            flags |= Flag.CENTRE_ASTRAY
        members.append(replace(member, chi2_segment=chi2, flags=int(flags)))
    return replace(fit, members=tuple(members))
