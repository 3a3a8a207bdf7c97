"""Fit all members of a group together, with retries where a fit fails. A failed fit never stops the run.

A fit that does not converge, or ends with a parameter on a bound, is repeated from other start values and with another
solver. A source that cannot be fitted keeps its automatic model from the moments of its segment, with a flag.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..core.flags import Flag
from ..core.memory import has_free_memory
from .exact_fit import fit_exactly
from .exact_model import ExactModel
from .group_data import GroupData
from .imfit import ImfitSolution, Pixels, minimise, parameters_of, with_parameters
from .imfit_config import Block, Blocks, Function, Parameter
from .result import GroupFit, MemberFit, function_flux

log = logging.getLogger(__name__)

Values = dict[str, float]
NO_FLAG = Flag(0)

MIN_CHI2_GAIN = 1e-3
"""Decrease of chi2, including the penalty for bounds, from which a repeated fit is taken instead of the previous one. A
smaller one means that the same minimum was found again."""

MIN_DISTANCE_FROM_LIMIT = 0.05
"""Distance of a start value from its limits, as a fraction of the value or of the range (see `as_start_values`)."""


@dataclass(frozen=True)
class Problem:
    """The input of the fit of one group, common to all attempts at it.

    Parameters
    ----------
    members : tuple of MemberFit
        The sources, each at its `start`.
    sky : Block
        Flat sky with its start value and limits.
    pixels : Pixels
        Image, error and mask.
    data : GroupData
        The fit group, for its segmentation map.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    ftol : float
        Relative change of chi2 at which to stop.
    retries : bool
        Repeat a fit with a parameter on a bound from other start values. False where this has been done before; then
        only fits that do not converge are repeated.
    exact : bool
        Fit with the exact model instead of IMFIT. All functions of the members must be `exact_model.is_exact`.
    """

    members: tuple[MemberFit, ...]
    sky: Block
    pixels: Pixels
    data: GroupData
    psf: np.ndarray
    ftol: float
    retries: bool = True
    exact: bool = False

    @cached_property
    def exact_model(self) -> ExactModel:
        """The exact model on the pixels of the fit."""
        return ExactModel(self.pixels, self.psf)


def fit_jointly(problem: Problem) -> GroupFit:
    """Fit all members from their `start`.

    Members with fewer pixels than parameters, and those whose fit has no flux, are fixed at their automatic model.
    """
    members = problem.members
    if not members or problem.pixels.count == 0:
        return automatic_fit(problem)
    fixed_ids = {member.id for member in members if has_few_pixels(member, problem.pixels, problem.data)}
    # twice, because the other members are fitted again after one without flux has been fixed
    for _ in range(2):
        best, retried_ids = _best_of_attempts(problem, fixed_ids)
        if best is None:
            return automatic_fit(problem)
        fitted = _blocks_by_member(best.blocks, members)
        without_flux = {m.id for m, blocks in zip(members, fitted, strict=True) if _has_no_flux(blocks)} - fixed_ids
        if not without_flux:
            return _group_fit(problem, best, fixed_ids, retried_ids)
        fixed_ids |= without_flux
    return automatic_fit(problem)


def _best_of_attempts(problem: Problem, fixed_ids: set[int]) -> tuple[ImfitSolution | None, set[int]]:
    """Return the best of up to four fits, and the members whose start values were changed for it.

    1. From the given start values.
    2. With the members on a bound rotated by 45 degrees and flattened, which helps nearly all that stay at ell = 0.
    3. With these members started as small exponential discs.
    4. With Nelder–Mead, which is 5–10 times slower, only if no fit has converged.
    """
    best: ImfitSolution | None = None
    retried_ids: set[int] = set()
    free_ids = {member.id for member in problem.members} - fixed_ids
    attempts = ((None, "LM"), (_rotated_and_flattened, "LM"), (_small_exponential_disc, "LM"), (None, "NM"))
    for new_values, solver in attempts:
        to_retry = free_ids if best is None else _ids_on_bound(best, problem.members) - fixed_ids
        if best is not None and not (problem.retries and to_retry and solver == "LM"):
            break
        starts = [_start_blocks(member, fixed_ids, to_retry, new_values) for member in problem.members]
        solution = fit_once([block for blocks in starts for block in blocks], problem, solver)
        if solution is None or not solution.converged:
            continue
        if best is None or _penalised_chi2(solution) < _penalised_chi2(best) - MIN_CHI2_GAIN:
            retried_ids = set() if new_values is None and solver == "LM" else to_retry
            best = solution
    return best, retried_ids


def fit_once(blocks: Sequence[Block], problem: Problem, solver: str = "LM") -> ImfitSolution | None:
    """Run IMFIT once on the blocks and the sky of the problem, or fit them with the exact model.

    Parameters
    ----------
    blocks : sequence of Block
        Start values and limits of all sources.
    problem : Problem
        Its sky, pixels, PSF, tolerance (of IMFIT) and `exact` are used.
    solver : {"LM", "NM"}
        Levenberg–Marquardt or Nelder–Mead. There is no Nelder–Mead with the exact model.

    Returns
    -------
    ImfitSolution or None
        None if there are no more pixels than free parameters, or if IMFIT fails.

    Raises
    ------
    MemoryError, OSError
        The machine has failed, not the fit.
    """
    blocks_and_sky = [*blocks, problem.sky]
    if problem.pixels.count <= sum(not parameter.fixed for parameter in parameters_of(blocks_and_sky)):
        return None
    if problem.exact and solver == "LM":
        return fit_exactly(blocks_and_sky, problem.exact_model)
    try:
        return minimise(blocks_and_sky, problem.pixels, problem.psf, ftol=problem.ftol, solver=solver)
    except (MemoryError, OSError):
        raise
    except Exception as failure:  # pyimfit raises plain Exceptions
        if not has_free_memory():
            raise MemoryError("IMFIT failed while memory was short") from failure
        log.warning("IMFIT failed: %s", failure)
        return None


def _penalised_chi2(solution: ImfitSolution) -> float:
    """Return chi2 plus 1 for every parameter on a bound, so that noise alone does not favour a fit on a bound."""
    return solution.chi2 + sum(parameter.on_bound for parameter in parameters_of(solution.blocks[:-1]))


def _ids_on_bound(solution: ImfitSolution, members: Sequence[MemberFit]) -> set[int]:
    """Return the members with a parameter on a bound."""
    pairs = zip(members, _blocks_by_member(solution.blocks, members), strict=True)
    return {member.id for member, blocks in pairs if any(p.on_bound for p in parameters_of(blocks))}


def _blocks_by_member(blocks: Sequence[Block], members: Sequence[MemberFit]) -> list[Blocks]:
    """Return the blocks of each member."""
    remaining = iter(blocks)
    return [tuple(next(remaining) for _ in member.automatic) for member in members]


def _has_no_flux(blocks: Blocks) -> bool:
    """Return whether the total flux of a model is not positive; False if a function has no known integral."""
    fluxes = [function_flux(function) for block in blocks for function in block.functions]
    known = [flux for flux in fluxes if flux is not None]
    return len(known) == len(fluxes) and not (math.isfinite(sum(known)) and sum(known) > 0)


def has_few_pixels(member: MemberFit, pixels: Pixels, data: GroupData) -> bool:
    """Return whether a source has fewer unmasked pixels in its segment than free parameters, too few for a fit.

    Parameters
    ----------
    member : MemberFit
        The source; the free parameters are those of its automatic model.
    pixels : Pixels
        The mask is used.
    data : GroupData
        The segmentation map is used.
    """
    count = int(np.count_nonzero((data.segments == member.id) & ~pixels.mask))
    return count < sum(not parameter.fixed for parameter in parameters_of(member.automatic))


# ---- start values ----------------------------------------------------------------------------------------------


def _start_blocks(
    member: MemberFit,
    fixed_ids: set[int],
    to_retry: set[int],
    new_values: Callable[[Values], Values] | None,
) -> Blocks:
    """Return the start values of one member for one attempt.

    Parameters
    ----------
    member : MemberFit
        The source.
    fixed_ids : set of int
        Members that are fixed at their automatic model.
    to_retry : set of int
        Members to start from new values.
    new_values : callable or None
        Gives the new values from the automatic ones; None starts all members as given.
    """
    if member.id in fixed_ids:
        return all_fixed(member.automatic)
    if new_values is not None and member.id in to_retry:
        return with_new_sersic_values(member.automatic, new_values)
    return member.start


def all_fixed(blocks: Blocks) -> Blocks:
    """Return the blocks with every parameter fixed."""
    return with_parameters(blocks, [replace(parameter, fixed=True) for parameter in parameters_of(blocks)])


def with_new_sersic_values(blocks: Blocks, new_values: Callable[[Values], Values]) -> Blocks:
    """Return the blocks with new values for the free parameters of their Sersic functions, inside the limits.

    Parameters
    ----------
    blocks : tuple of Block
        The blocks; functions other than Sersic are unchanged.
    new_values : callable
        Returns the new values, by name of the parameter, from all values of a function.
    """
    new_blocks = []
    for block in blocks:
        functions = []
        for function in block.functions:
            values = {parameter.name: parameter.value for parameter in function.parameters}
            if function.name == "Sersic":
                values |= new_values(values)
            parameters = (p if p.fixed else replace(p, value=values[p.name]).clipped() for p in function.parameters)
            functions.append(Function(function.name, tuple(parameters)))
        new_blocks.append(replace(block, functions=tuple(functions)))
    return tuple(new_blocks)


def _rotated_and_flattened(values: Values) -> Values:
    """Return the start values of a flatter profile, rotated by 45 degrees."""
    return {"ell": min(values["ell"] + 0.25, 0.8), "PA": values["PA"] + 45.0}


def _small_exponential_disc(values: Values) -> Values:
    """Return the start values of an exponential disc with 0.7 times the half-light radius."""
    return {"n": 1.0, "r_e": 0.7 * values["r_e"], "ell": 0.3}


def as_start_values(blocks: Blocks, automatic: Blocks) -> Blocks:
    """Return the values of a fit as start values of the next one, kept away from their limits.

    The distance from a limit is at least 5 % of the value or of its automatic start, but not more than 5 % of the
    range. For ell it is 0.05, because at ell = 0 its derivatives and those of PA vanish.

    Parameters
    ----------
    blocks : tuple of Block
        The fit.
    automatic : tuple of Block
        The automatic start; limits and fixed values are taken from it.
    """
    starts = []
    for parameter, limit in zip(parameters_of(blocks), parameters_of(automatic), strict=True):
        start = replace(limit, value=limit.value if limit.fixed else parameter.value, error=None)
        if not start.fixed and start.lower is not None and start.upper is not None:
            scale = 1.0 if start.name == "ell" else max(abs(start.value), abs(limit.value))
            margin = MIN_DISTANCE_FROM_LIMIT * min(start.upper - start.lower, scale)
            start = replace(start, value=min(max(start.value, start.lower + margin), start.upper - margin))
        starts.append(start)
    return with_parameters(automatic, starts)


def fitted_centre(automatic: Block, fitted: Block) -> tuple[Parameter | None, Parameter | None]:
    """Return Y0 and X0 of a fitted block with the limits of the automatic one; None where a block has no centre."""
    y0, x0 = (
        None if limits is None or found is None else replace(limits, value=found.value).clipped()
        for limits, found in ((automatic.y0, fitted.y0), (automatic.x0, fitted.x0))
    )
    return y0, x0


# ---- results ---------------------------------------------------------------------------------------------------


def with_variances(blocks: Blocks, variances: Sequence[float] | np.ndarray | None) -> Blocks:
    """Return the blocks with the square roots of `variances` as errors; with zero errors for None."""
    parameters = parameters_of(blocks)
    errors = np.zeros(len(parameters)) if variances is None else np.sqrt(variances)
    return with_parameters(blocks, [replace(p, error=float(e)) for p, e in zip(parameters, errors, strict=True)])


def _group_fit(problem: Problem, best: ImfitSolution, fixed_ids: set[int], retried_ids: set[int]) -> GroupFit:
    """Return the result of a joint fit, with the flags of fixed and of retried members."""
    members = []
    for member, blocks in zip(problem.members, _blocks_by_member(best.blocks, problem.members), strict=True):
        flags = Flag(member.flags) & ~Flag.FIT_REPLACED
        if member.id in fixed_ids:
            flags |= Flag.FIT_REPLACED
            blocks = with_variances(member.automatic, None)
        elif member.id in retried_ids:
            flags |= Flag.FIT_RETRIED
        members.append(replace(member, blocks=blocks, flags=int(flags)))
    return GroupFit(
        box=problem.pixels.box,
        members=tuple(members),
        sky=best.blocks[-1].functions[0]["I_sky"],
        sky_start=problem.sky.functions[0]["I_sky"],
        chi2=best.chi2,
        n_pixels=problem.pixels.count,
        n_free=sum(not parameter.fixed for parameter in parameters_of(best.blocks)),
        converged=best.converged,
        solver=best.solver,
        evaluations=best.evaluations,
    )


def automatic_fit(problem: Problem, flag: Flag = NO_FLAG) -> GroupFit:
    """Return a result in which every member has its automatic model, flagged as replaced and with `flag`."""
    members = [
        replace(
            member,
            blocks=with_variances(member.automatic, None),
            flags=int(member.flags | Flag.FIT_REPLACED | flag),
            covariance=(),
        )
        for member in problem.members
    ]
    start = problem.sky.functions[0]["I_sky"]
    return GroupFit(
        box=problem.pixels.box,
        members=tuple(members),
        sky=replace(start, error=0.0),
        sky_start=start,
        chi2=math.nan,
        n_pixels=problem.pixels.count,
        n_free=0,
        converged=False,
        solver="none",
        evaluations=0,
    )
