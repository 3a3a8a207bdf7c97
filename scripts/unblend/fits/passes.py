"""Fit a group of sources in two passes.

Pass 1 fits each source alone with the others masked, and then the group. For pass 2 the caller has subtracted the
pass-1 models of all neighbouring groups. The group is fitted again, starting from its pass-1 result, and its covariance
is computed. All groups go through both passes, so that all end with the same tolerance.

Groups of Sersic profiles and point sources are fitted with the exact model (`exact_fit`) in both passes. IMFIT then
starts at that minimum, so that its own result can be compared, and repeated, with IMFIT. Groups with other functions of
the user are fitted by IMFIT in both passes. Crowded groups are fitted in steps (`crowded_fit`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..core.flags import Flag
from ..core.statistics import largest_chance_chi2
from ..core.types import Box
from .bulge_disc import with_bulges
from .centre_check import members_off_segment, refit_off_segment
from .covariance import parameter_covariance
from .crowded_fit import fit_group, is_crowd
from .exact_model import ExactModel, draw_exactly, is_exact_fit
from .fit_settings import DEFAULTS, FitSettings
from .group_data import GroupData, group_pixels, group_starts, segment_snr
from .growth_curve import held_to_growth_curve, is_beyond_growth_curve
from .imfit import Pixels, evaluate_blocks, flat_sky, parameters_of
from .imfit_config import Block
from .index_prior import fit_indices_with_prior, prior_sigmas, with_fixed_index
from .joint_fit import (
    NO_FLAG,
    Problem,
    all_fixed,
    as_start_values,
    automatic_fit,
    fit_once,
    has_few_pixels,
    with_variances,
)
from .overrides import Override
from .point_sources import is_unresolved, with_point_sources
from .refinement import exact_image, refined
from .result import GroupFit, MemberFit, as_matrix
from .single_source import single_source_problem, summed_image
from .sky_level import SKY_SIGMAS, measured_sky
from .structure_noise import structure_noise


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
    exact = is_exact_fit([block for member in members for block in member.blocks])
    problem = Problem(tuple(members), sky, pixels, data, psf, settings.ftol_first, exact=exact)
    if len(members) > 1:
        problem = replace(problem, members=tuple(_fitted_alone(problem, member) for member in members))

    def refine(part: Problem, fit: GroupFit) -> GroupFit:
        return with_bulges(part, with_point_sources(part, refit_off_segment(part, fit), settings), settings)

    fit = fit_group(problem, refine, needs_refit=lambda member: is_unresolved(member, settings))
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


def with_structure(data: GroupData, psf: np.ndarray, fit: GroupFit, only: Collection[int] = ()) -> GroupData:
    """Return the pixels of a group with the noise that stands for the structure of its sources.

    Parameters
    ----------
    data : GroupData
        Pixels of the group; the image is the stack minus the pass-1 models of all neighbouring groups. Noise for
        structure that it has already is kept where it is larger.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    fit : GroupFit
        Result of the first pass, or of an earlier fit of the second.
    only : collection of int
        The sources whose structure is added, also that which could be chance. Without, that of all which have any.
    """
    if not fit.converged:
        return data
    models = {
        m.id: evaluate_members(fit, psf, data.box, [m.id])
        for m in fit.members
        if not m.flags & (Flag.FIT_REPLACED | Flag.POINT_SOURCE)
    }
    plain = group_pixels(replace(data, structure=None))
    noise = structure_noise(data.segments, plain, models, fit.sky.value, only)
    return replace(data, structure=noise if data.structure is None else np.maximum(noise, data.structure))


def fit_second_pass(data: GroupData, psf: np.ndarray, first: GroupFit, settings: FitSettings = DEFAULTS) -> GroupFit:
    """Fit a group from its first-pass result to the final tolerance, with covariance and all flags.

    Where a model turns out brighter than the growth curve, the group is fitted again with its sky held
    (`held_to_growth_curve`), unless it is a crowd, whose fits take too long to be repeated.

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
    problem = held = _second_problem(data, psf, first, _sky_beside(first, data, group_pixels(data), psf), settings)
    fit = _final_fit(problem, first, settings)

    def refit(earlier: GroupFit, beyond: set[int], sky: Block) -> GroupFit:
        nonlocal held
        held = _second_problem(with_structure(data, psf, earlier, beyond), psf, first, sky, settings)
        return _final_fit(held, first, settings)

    if not is_crowd(len(fit.members)):
        fit = held_to_growth_curve(fit, data.sky_around, refit)
    if any(member.flags & Flag.SKY_HELD for member in fit.members):
        problem = held
    if settings.refine == "exact" and fit.exact_chi2 is not None and fit.by_imfit is None:
        fit = _with_imfit(fit, problem, settings) if settings.imfit else _without_imfit(fit, problem)
    return replace(fit, data=problem.data, seconds=time.process_time() - began)


def _second_problem(data: GroupData, psf: np.ndarray, first: GroupFit, sky: Block, settings: FitSettings) -> Problem:
    """Return the problem of the second pass."""
    pixels = group_pixels(data)
    members = tuple(_second_start(member, data, pixels, first, settings) for member in first.members)
    return Problem(members, sky, pixels, data, psf, settings.ftol, retries=False)


def _final_fit(problem: Problem, first: GroupFit, settings: FitSettings) -> GroupFit:
    """Return the fit of the second pass, with covariance and all flags, and without IMFIT's beside it."""
    pixels, data, psf = problem.pixels, problem.data, problem.psf
    exact = problem.exact_model if settings.refine == "exact" else None
    minimum = _exact_minimum(problem, first)
    if minimum is not None and exact is not None:
        fit = replace(minimum, by_imfit=None)
    elif minimum is not None:
        fit = _imfit_from_minimum(problem, minimum, settings)
    else:
        fit = fit_indices_with_prior(problem, fit_group(problem))
        fit = refined(fit, exact, data) if fit.converged and exact is not None else fit
    if fit.converged:
        sky_is_held = problem.sky.functions[0]["I_sky"].fixed
        fit = _with_covariance(fit, pixels, psf, exact, sky_is_held=sky_is_held)
        fit = _with_chi2_and_flags(fit, pixels, data, psf, settings, exact)
    return fit


def _exact_minimum(problem: Problem, first: GroupFit) -> GroupFit | None:
    """Return the fit of the exact model to the pixels of pass 2, from pass 1; None if it cannot be fitted or fails.

    The indices of members with the flag SHAPE_FIXED are the most probable ones.
    """
    if not first.converged or not is_exact_fit([block for m in problem.members for block in m.automatic]):
        return None
    start = problem.sky.functions[0]["I_sky"]
    members = tuple(replace(m, blocks=m.start) for m in problem.members)
    sky = start if start.fixed else replace(start, value=first.sky.value).clipped()
    fit = refined(replace(first, members=members, sky=sky, sky_start=start), problem.exact_model, problem.data)
    return None if fit.exact_chi2 is None else fit


def _imfit_from_minimum(problem: Problem, minimum: GroupFit, settings: FitSettings) -> GroupFit:
    """Return the fit of IMFIT, which starts at the minimum of the exact model and so has little to do.

    Parameters
    ----------
    problem : Problem
        The problem of pass 2.
    minimum : GroupFit
        The fit of the exact model. IMFIT has no priors: the sky, and indices that have one, are fixed.
    settings : FitSettings
        If IMFIT's result is only kept beside the exact one, its tolerance is that of the first pass.
    """
    members = _started_at(minimum)
    ftol = settings.ftol_first if settings.refine == "exact" else settings.ftol
    start = problem.sky.functions[0]["I_sky"]
    sky = flat_sky(replace(start, value=minimum.sky.value, fixed=True))
    fit = fit_group(replace(problem, members=members, sky=sky, ftol=ftol))
    # the sky is a parameter of the exact model, also where IMFIT is given its value
    return replace(fit, n_free=fit.n_free + (not start.fixed))


def _started_at(minimum: GroupFit) -> tuple[MemberFit, ...]:
    """Return the members with the minimum as their start; indices that have a prior are fixed."""
    members = []
    for member in minimum.members:
        if member.flags & Flag.SHAPE_FIXED:
            member = with_fixed_index(member, member.blocks[0].functions[0]["n"].value)
        members.append(replace(member, start=as_start_values(member.blocks, member.automatic)))
    return tuple(members)


def _with_imfit(fit: GroupFit, problem: Problem, settings: FitSettings) -> GroupFit:
    """Return the fit of the exact model with IMFIT's from the same minimum beside it."""
    by_imfit = _imfit_from_minimum(problem, fit, settings)
    return replace(
        fit,
        chi2=by_imfit.chi2,
        n_pixels=by_imfit.n_pixels,
        n_free=by_imfit.n_free,
        solver=by_imfit.solver,
        evaluations=by_imfit.evaluations,
        by_imfit=by_imfit,
    )


def _without_imfit(fit: GroupFit, problem: Problem) -> GroupFit:
    """Return the fit of the exact model with the numbers of pixels and parameters, and no chi2 of IMFIT."""
    n_free = sum(not p.fixed for m in _started_at(fit) for p in parameters_of(m.start))
    n_free += not problem.sky.functions[0]["I_sky"].fixed
    return replace(fit, chi2=math.nan, n_pixels=problem.pixels.count, n_free=n_free)


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
    exact = ExactModel(pixels, psf)
    residual = (pixels.image - exact_image(first, exact)) / pixels.error
    chi2 = float(np.sum(residual[~pixels.mask] ** 2))
    fit = replace(with_flag(first, flag), chi2=chi2, n_pixels=pixels.count)
    fit = _with_chi2_and_flags(_with_covariance(fit, pixels, psf, exact), pixels, data, psf, settings, exact)
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
    return draw_exactly([block for member in chosen for block in member.blocks], box, psf)


def _image_by_imfit(fit: GroupFit, psf: np.ndarray, box: Box) -> np.ndarray:
    """Return IMFIT's image of all members and the sky; that of a crowd is drawn source by source."""
    if is_crowd(len(fit.members)):
        return summed_image([(member.id, member.blocks) for member in fit.members], box, psf) + fit.sky.value
    return evaluate_blocks([block for member in fit.members for block in member.blocks], box, psf) + fit.sky.value


def _with_covariance(
    fit: GroupFit, pixels: Pixels, psf: np.ndarray, exact: ExactModel | None = None, *, sky_is_held: bool = False
) -> GroupFit:
    """Return the fit with covariance and errors; replaced members are fixed, as in the fit.

    The derivatives are those of the exact model if it is given, else IMFIT's. A held sky keeps its measured error.
    """
    sky = flat_sky(fit.sky)
    blocks: list[Block] = []
    for member in fit.members:
        blocks += all_fixed(member.blocks) if member.flags & Flag.FIT_REPLACED else member.blocks
    sigmas, crowd = prior_sigmas(fit.members), is_crowd(len(fit.members))
    last = len(parameters_of([*blocks, sky])) - 1  # the sky
    # on a limit it contradicts its measured value, and the distance is its error
    sigmas[last] = _sky_prior(fit) * (SKY_SIGMAS if fit.sky.on_bound else 1.0)
    linearise = None if exact is None else exact.linearise
    matrix = parameter_covariance(
        [*blocks, sky], pixels, psf, sigmas, block_by_block=crowd, exact=linearise,
        held=[last] if sky_is_held or fit.sky.on_bound else [],
    )  # fmt: skip
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
    """Return the error of the measured sky, of which its limits are multiples."""
    lower, upper = fit.sky_start.lower or 0.0, fit.sky_start.upper or 0.0
    return max(upper - lower, 1e-300) / (2.0 * SKY_SIGMAS)


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
        Draws the models; None: IMFIT.
    """
    model = _image_by_imfit(fit, psf, pixels.box) if exact is None else exact_image(fit, exact)
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
        others, two = model - fit.sky.value - light, member.is_bulge_and_disc
        if is_beyond_growth_curve(member.id, data, plain, others, light, member.flux, is_bulge_and_disc=two):
            flags |= Flag.BEYOND_GROWTH_CURVE
        members.append(replace(member, chi2_segment=chi2, flags=int(flags)))
    return replace(fit, members=tuple(members))
