"""Fit a group of sources in two passes.

Pass 1 (relative tolerance 1e-4) fits each source alone with the others masked, and then the group. For pass 2 (1e-6)
the caller has subtracted the pass-1 models of all neighbouring groups. The group is fitted again, starting from its
pass-1 result, and its covariance is computed. All groups go through both passes, so that all end with the same
tolerance. Crowded groups are fitted in steps (`crowded_fit`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from ..core.statistics import largest_chance_chi2
from ..core.types import Box
from .centre_check import members_off_segment, refit_off_segment
from .covariance import parameter_covariance
from .crowded_fit import fit_group, is_crowd
from .exact_model import ExactModel
from .group_data import GroupData, group_pixels, group_starts, segment_snr
from .growth_curve import is_beyond_growth_curve
from .imfit import Pixels, evaluate_blocks, flat_sky, parameters_of
from .imfit_config import Block, Function, Parameter
from .index_prior import fit_indices_with_prior, prior_sigmas, with_fixed_index
from .joint_fit import (
    NO_FLAG,
    Problem,
    all_fixed,
    as_start_values,
    automatic_fit,
    fit_jointly,
    fit_once,
    has_few_pixels,
    with_variances,
)
from .overrides import Override
from .refinement import exact_image, refined
from .result import GroupFit, MemberFit, as_matrix, function_flux
from .single_source import single_source_problem, summed_image
from .sky_level import measured_sky
from .structure_noise import structure_noise


@dataclass(frozen=True)
class FitSettings:
    """Tolerances and thresholds of the fits, with their reasons.

    Parameters
    ----------
    ftol_first, ftol : float
        IMFIT's relative tolerance in the first and second pass. Starting with 1e-4 loses no accuracy, and 1e-8 in the
        second pass is no improvement over 1e-6.
    poor_chi2 : float
        Reduced chi2 over a source's segment above which the model is flagged as a poor fit.
    uncertain_n : float
        σ_n/n above which the shape is flagged as uncertain.
    unresolved_r_e : float
        Half-light radius in pixels below which a point source is tried.
    point_snr : float
        Minimum signal-to-noise ratio in the segment for trying a point source. A fainter small galaxy may have a lower
        chi2 as a point source by chance (in the example one of S/N 14 and r_e = 1.3 pixels lost a fifth of its flux).
    faint_snr : float
        Signal-to-noise ratio in the segment below which an uncertain index is replaced by the most probable one
        (`index_prior`).
    refine : {"exact", "none"}
        Whether IMFIT's result of the second pass is refined to the minimum of chi2 of the exact model (`refinement`).
    """

    ftol_first: float = 1e-4
    ftol: float = 1e-6
    poor_chi2: float = 1.35
    uncertain_n: float = 0.5
    unresolved_r_e: float = 1.0
    point_snr: float = 30.0
    faint_snr: float = 20.0
    refine: str = "exact"


DEFAULTS = FitSettings()


def fit_first_pass(
    data: GroupData,
    psf: np.ndarray,
    overrides: Mapping[int, Override] | None = None,
    settings: FitSettings = DEFAULTS,
) -> GroupFit:
    """Fit a group from automatic start values: each source alone, then all together.

    The errors are IMFIT's own, and there is no covariance yet.

    Parameters
    ----------
    data : GroupData
        Pixels of the group, custom models subtracted.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    overrides : mapping of source to Override
        User overrides of start values and models.
    settings : FitSettings
        Tolerances and thresholds.

    Raises
    ------
    OverrideError
        An override places a centre off the cutout.
    """
    began = time.process_time()
    members, sky, pixels = group_starts(data, psf, overrides or {})
    problem = Problem(tuple(members), sky, pixels, data, psf, settings.ftol_first)
    if len(members) > 1:
        problem = replace(problem, members=tuple(_fitted_alone(problem, member) for member in members))
    fit = fit_group(
        problem,
        refine=lambda part, fit: _with_point_sources(part, refit_off_segment(part, fit), settings),
        needs_refit=lambda member: _is_unresolved(member, settings),
    )
    fit = _with_sky_beside_wings(problem, fit)
    return replace(fit, seconds=time.process_time() - began)


def _with_sky_beside_wings(problem: Problem, fit: GroupFit) -> GroupFit:
    """Return the fit with the sky measured beside its models, fitted again if that sky is outside its former limits."""
    sky = _sky_beside(fit, problem.data, problem.pixels, problem.psf)
    before, level = problem.sky.functions[0]["I_sky"], sky.functions[0]["I_sky"].value
    if not fit.converged or before.lower is None or before.upper is None or before.lower <= level <= before.upper:
        return fit
    members = tuple(replace(m, start=as_start_values(m.blocks, m.automatic)) for m in fit.members)
    return fit_group(replace(problem, members=members, sky=sky, retries=False))


def _sky_beside(fit: GroupFit, data: GroupData, pixels: Pixels, psf: np.ndarray) -> Block:
    """Return the sky measured beside the models of a fit."""
    return measured_sky(data.segments, pixels, evaluate_members(fit, psf, pixels.box), data.sky_around)


def _with_point_sources(problem: Problem, fit: GroupFit, settings: FitSettings) -> GroupFit:
    """Return the fit with a point source for each unresolved bright source whose chi2 is lower with it.

    IMFIT samples a profile much smaller than a pixel poorly: stars of S/N 100 to 600 fitted with a Sersic profile are 2
    to 4 % too bright, at a chi2 two to three times that of a point source. Galaxies keep their profile: at r_e = 0.5
    pixel and S/N 50 the chi2 of a point source is two thirds higher.

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
        if not fit.converged or not _is_unresolved(member, settings):
            continue
        if segment_snr(member, problem.data, problem.pixels, fit.sky.value) < settings.point_snr:
            continue
        point = _as_point_source(member)
        others = {m.id: replace(m, start=as_start_values(m.blocks, m.automatic)) for m in fit.members}
        members = tuple(point if m.id == member.id else others[m.id] for m in fit.members)
        trial = fit_jointly(replace(problem, members=members, retries=False))
        if trial.converged and trial.chi2 < fit.chi2:
            fit = trial
    return fit


def _is_unresolved(member: MemberFit, settings: FitSettings) -> bool:
    """Return whether the fitted r_e of an automatic Sersic profile is below the resolution or on its bound."""
    if member.flags & (Flag.OVERRIDDEN | Flag.FIT_REPLACED) or member.sersic is None:
        return False
    return member.sersic.r_e < settings.unresolved_r_e or member.blocks[0].functions[0]["r_e"].on_bound


def _as_point_source(member: MemberFit) -> MemberFit:
    """Return a member that starts as a point source with the position and flux of its fitted profile."""
    automatic, best = member.automatic[0], member.blocks[0]
    flux = function_flux(best.functions[0]) or 0.0
    function = Function("PointSource", (Parameter("I_tot", flux, 0.0, 1e6 * flux),))
    centre = tuple(
        None if limits is None or fitted is None else replace(limits, value=fitted.value).clipped()
        for limits, fitted in ((automatic.y0, best.y0), (automatic.x0, best.x0))
    )
    point = Block(centre[0], centre[1], (function,), member.id)
    flags = (Flag(member.flags) | Flag.POINT_SOURCE) & ~(Flag.FIT_RETRIED | Flag.FIT_ON_BOUND)
    return replace(member, automatic=(point,), start=(point,), single=(), flags=int(flags))


def _fitted_alone(problem: Problem, member: MemberFit) -> MemberFit:
    """Fit one member with the others masked, and return it with the result as its start of the joint fit."""
    if is_crowd(len(problem.members)):
        problem = single_source_problem(problem, member.id)
    pixels = group_pixels(problem.data, member.id)
    if has_few_pixels(member, pixels, problem.data):
        return member
    solution = fit_once(member.automatic, replace(problem, pixels=pixels))
    if solution is None or not solution.converged:
        return member
    best, sky = solution.blocks[:-1], solution.blocks[-1].functions[0]["I_sky"].value
    return replace(member, start=as_start_values(best, member.automatic), single=best, single_sky=sky)


def with_structure(data: GroupData, psf: np.ndarray, first: GroupFit) -> GroupData:
    """Return the pixels of a group with the noise that stands for the structure of its sources.

    Parameters
    ----------
    data : GroupData
        Pixels of the group; the image is the stack minus the pass-1 models of all neighbouring groups.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    first : GroupFit
        Result of the first pass.
    """
    if not first.converged:
        return data
    models = {
        m.id: evaluate_members(first, psf, data.box, [m.id])
        for m in first.members
        if not m.flags & (Flag.FIT_REPLACED | Flag.POINT_SOURCE)
    }
    return replace(data, structure=structure_noise(data.segments, group_pixels(data), models, first.sky.value))


def fit_second_pass(data: GroupData, psf: np.ndarray, first: GroupFit, settings: FitSettings = DEFAULTS) -> GroupFit:
    """Fit a group from its first-pass result to the final tolerance, with covariance and all flags.

    Parameters
    ----------
    data : GroupData
        Pixels of the group; the image is the stack minus the pass-1 models of all neighbouring groups.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    first : GroupFit
        Result of the first pass, with the members, their limits and the user overrides.
    settings : FitSettings
        Tolerances and thresholds.
    """
    began = time.process_time()
    pixels = group_pixels(data)
    sky = _sky_beside(first, data, pixels, psf)
    members = tuple(_second_start(member, data, pixels, first, settings) for member in first.members)
    problem = Problem(members, sky, pixels, data, psf, settings.ftol, retries=False)
    fit = fit_indices_with_prior(problem, fit_group(problem))
    if fit.converged:
        exact = ExactModel(pixels, psf) if settings.refine == "exact" else None
        if exact is not None:
            fit = refined(fit, exact, data)
        fit = _with_covariance(fit, pixels, psf, exact)
        fit = _with_chi2_and_flags(fit, pixels, data, psf, settings, exact)
    return replace(fit, seconds=time.process_time() - began)


def _second_start(
    member: MemberFit, data: GroupData, pixels: Pixels, first: GroupFit, settings: FitSettings
) -> MemberFit:
    """Return a member at the start of pass 2, with a typical index if it is faint and pass 1 did not measure its shape.

    Parameters
    ----------
    member : MemberFit
        The member after pass 1.
    data : GroupData
        The segmentation map is used.
    pixels : Pixels
        Image, error and mask, for the signal-to-noise ratio.
    first : GroupFit
        The sky of pass 1 is used.
    settings : FitSettings
        `faint_snr` and `uncertain_n` are used.
    """
    is_faint = segment_snr(member, data, pixels, first.sky.value) < settings.faint_snr
    if is_faint and _has_uncertain_shape(member, settings):
        member = with_fixed_index(member)
    return replace(member, start=as_start_values(member.blocks, member.automatic))


def _has_uncertain_shape(member: MemberFit, settings: FitSettings) -> bool:
    """Return whether a shape parameter of an automatic Sersic profile is on a bound or its index is uncertain."""
    if member.flags & (Flag.OVERRIDDEN | Flag.FIT_REPLACED | Flag.POINT_SOURCE):
        return False
    function = member.blocks[0].functions[0]
    on_bound = any(function[name].on_bound for name in ("n", "r_e", "ell"))
    return on_bound or (function["n"].error or 0.0) > settings.uncertain_n * function["n"].value


def replacement_fit(
    data: GroupData, psf: np.ndarray, overrides: Mapping[int, Override] | None = None, *, flag: Flag = NO_FLAG
) -> GroupFit:
    """Return the automatic models from moments as the result of a group whose fit crashed or ran out of time.

    Parameters
    ----------
    data : GroupData
        Pixels of the group.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    overrides : mapping of source to Override
        User overrides of start values and models.
    flag : Flag
        Reason of the replacement, set for every member in addition to FIT_REPLACED.
    """
    members, sky, pixels = group_starts(data, psf, overrides or {})
    return automatic_fit(Problem(tuple(members), sky, pixels, data, psf, 0.0), flag)


def first_pass_as_final(
    data: GroupData, psf: np.ndarray, first: GroupFit, flag: Flag, settings: FitSettings = DEFAULTS
) -> GroupFit:
    """Return the first-pass result of a group whose second pass crashed or ran out of time, as a final result.

    The models are those of the first pass. Their chi2, covariance and flags are computed on the pixels of the second.

    Parameters
    ----------
    data : GroupData
        Pixels of the group; the image is the stack minus the pass-1 models of all neighbouring groups.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    first : GroupFit
        Result of the first pass, which has converged.
    flag : Flag
        Reason, set for every member.
    settings : FitSettings
        Tolerances and thresholds.
    """
    began = time.process_time()
    pixels = group_pixels(data)
    residual = (pixels.image - evaluate_members(first, psf, pixels.box) - first.sky.value) / pixels.error
    chi2 = float(np.sum(residual[~pixels.mask] ** 2))
    fit = replace(with_flag(first, flag), chi2=chi2, n_pixels=pixels.count)
    fit = _with_chi2_and_flags(_with_covariance(fit, pixels, psf), pixels, data, psf, settings)
    return replace(fit, seconds=time.process_time() - began)


def with_flag(fit: GroupFit, flag: Flag) -> GroupFit:
    """Return a fit with `flag` set for every member."""
    return replace(fit, members=tuple(replace(m, flags=int(m.flags | flag)) for m in fit.members))


def evaluate_members(fit: GroupFit, psf: np.ndarray, box: Box, ids: Sequence[int] | None = None) -> np.ndarray:
    """Return the convolved image of the members of a group, without the sky.

    Parameters
    ----------
    fit : GroupFit
        The fit of the group.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    box : Box
        The part of the detection grid to draw.
    ids : sequence of int or None
        The members to draw; None for all.

    Returns
    -------
    array (ny, nx)
        Flux per pixel, in the units of the stack.
    """
    chosen = [member for member in fit.members if ids is None or member.id in ids]
    if is_crowd(len(fit.members)):
        return summed_image([(member.id, member.blocks) for member in chosen], box, psf)
    return evaluate_blocks([block for member in chosen for block in member.blocks], box, psf)


def _with_covariance(fit: GroupFit, pixels: Pixels, psf: np.ndarray, exact: ExactModel | None = None) -> GroupFit:
    """Return the fit with covariance and errors; replaced members are fixed, as in the fit.

    The derivatives are those of the exact model if it is given, else IMFIT's.
    """
    sky = flat_sky(fit.sky)
    blocks: list[Block] = []
    for member in fit.members:
        blocks += all_fixed(member.blocks) if member.flags & Flag.FIT_REPLACED else member.blocks
    sigmas, crowd = prior_sigmas(fit.members), is_crowd(len(fit.members))
    # the sky is the last parameter; its limits are a uniform prior
    sigmas[len(parameters_of([*blocks, sky])) - 1] = _sky_prior(fit)
    linearise = None if exact is None else exact.linearise
    matrix = parameter_covariance([*blocks, sky], pixels, psf, sigmas, block_by_block=crowd, exact=linearise)
    members, names, first = [], [], 0
    for member in fit.members:
        own = slice(first, first + len(parameters_of(member.blocks)))
        own_matrix, first = matrix[own, own], own.stop
        names += _parameter_names(member)
        stored = () if member.flags & Flag.FIT_REPLACED else as_matrix(own_matrix)
        members.append(replace(member, blocks=with_variances(member.blocks, np.diag(own_matrix)), covariance=stored))
    # the last three parameters are X0 and Y0 of the sky, which have no meaning, and its level
    rows = [*range(first), first + 2]
    level = replace(fit.sky, error=math.sqrt(matrix[first + 2, first + 2]))
    full = as_matrix(matrix[np.ix_(rows, rows)])
    return replace(fit, members=tuple(members), sky=level, names=(*names, "sky"), covariance=full)


def _sky_prior(fit: GroupFit) -> float:
    """Return the standard deviation of the uniform distribution between the limits of the sky."""
    lower, upper = fit.sky_start.lower or 0.0, fit.sky_start.upper or 0.0
    return max(upper - lower, 1e-300) / math.sqrt(12.0)


def _parameter_names(member: MemberFit) -> list[str]:
    """Return a name such as "7.n" for every parameter, and "7.n_2" for the second parameter of that name."""
    names: list[str] = []
    for parameter in parameters_of(member.blocks):
        name, number = f"{member.id}.{parameter.name}", 2
        while name in names:
            name, number = f"{member.id}.{parameter.name}_{number}", number + 1
        names.append(name)
    return names


def _with_chi2_and_flags(
    fit: GroupFit,
    pixels: Pixels,
    data: GroupData,
    psf: np.ndarray,
    settings: FitSettings,
    exact: ExactModel | None = None,
) -> GroupFit:
    """Return the fit with chi2 over the segment of each member and with the flags that follow from the result.

    Parameters
    ----------
    fit : GroupFit
        The fit with its covariance.
    pixels : Pixels
        Image, error and mask.
    data : GroupData
        The segmentation map is used.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    settings : FitSettings
        `poor_chi2` and `uncertain_n` are used.
    exact : ExactModel or None
        Draws a refined fit.
    """
    if exact is not None and fit.by_imfit is not None:
        model = exact_image(fit, exact)
    else:
        model = evaluate_members(fit, psf, pixels.box) + fit.sky.value
    # by the noise of the pixels alone, so that chi2 shows the structure that the fit has allowed for
    noise = group_pixels(replace(data, structure=None)).error
    squared_residual = np.where(pixels.mask, 0.0, (pixels.image - model) / noise) ** 2
    members, off_segment = [], members_off_segment(fit, data)
    plain = replace(pixels, error=noise)
    for member in fit.members:
        own = (data.segments == member.id) & ~pixels.mask
        count = int(np.count_nonzero(own))
        chi2 = float(squared_residual[own].sum()) / count if count else None
        flags = Flag(member.flags)
        # the reduced chi2 over 20 pixels scatters by 0.3 about 1, so that less than four sigma is not significant
        if chi2 is not None and chi2 > max(settings.poor_chi2, largest_chance_chi2(count)):
            flags |= Flag.FIT_POOR_CHI2
        parameters = parameters_of(member.blocks)
        if fit.sky.on_bound and not flags & Flag.FIT_REPLACED:
            flags |= Flag.SKY_ON_BOUND
        if any(parameter.on_bound for parameter in parameters) and not flags & Flag.FIT_REPLACED:
            flags |= Flag.FIT_ON_BOUND
        if any(p.name == "n" and (p.error or 0.0) > settings.uncertain_n * abs(p.value) for p in parameters):
            flags |= Flag.SHAPE_UNCERTAIN
        if member.id in off_segment:
            flags |= Flag.CENTRE_ASTRAY
        light = evaluate_members(fit, psf, pixels.box, [member.id])
        total = sum(function_flux(function) or math.nan for block in member.blocks for function in block.functions)
        if is_beyond_growth_curve(member.id, data, plain, model - fit.sky.value - light, light, total):
            flags |= Flag.BEYOND_GROWTH_CURVE
        members.append(replace(member, chi2_segment=chi2, flags=int(flags)))
    return replace(fit, members=tuple(members))
