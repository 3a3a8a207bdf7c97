"""One joint fit of a group, and what to try when it goes wrong. A fit never stops the run.

A parameter on a bound, or a fit that does not converge, is tried again from other starts and with another solver.
What cannot be fitted keeps its automatic model from moments, with a flag.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from .group_data import GroupData
from .imfit import ImfitSolution, Pixels, minimise, parameters_of, with_parameters
from .imfit_config import Block, Function
from .result import GroupFit, MemberFit, function_flux

log = logging.getLogger(__name__)

Blocks = tuple[Block, ...]
NO_FLAG = Flag(0)


@dataclass(frozen=True)
class Problem:
    """What stays the same through all attempts at a group.

    `retries` is False where a fit on a bound has been tried from other starts before: then the ladder is only for fits
    that do not converge at all.
    """

    members: tuple[MemberFit, ...]
    sky: Block
    pixels: Pixels
    data: GroupData
    psf: np.ndarray
    ftol: float
    retries: bool = True


def fit_jointly(problem: Problem) -> GroupFit:
    """Fit all members from their `start`; those without light or pixels are held at their automatic model."""
    members = problem.members
    if not members or problem.pixels.count == 0:
        return replaced_fit(problem)
    frozen = {member.id for member in members if has_few_pixels(member, problem.pixels, problem.data)}
    # twice: a member that comes out without light is held, and the others fitted again
    for _ in range(2):
        best, retried = _best_of_ladder(problem, frozen)
        if best is None:
            return replaced_fit(problem)
        parts = _split(best.blocks, members)
        dark = {m.id for m, part in zip(members, parts, strict=True) if _is_dark(part)} - frozen
        if not dark:
            return _group_fit(problem, best, frozen, retried)
        frozen |= dark
    return replaced_fit(problem)


def _best_of_ladder(problem: Problem, frozen: set[int]) -> tuple[ImfitSolution | None, set[int]]:
    """Return the best of up to four fits, and the members whose start it changed.

    The ladder: as given; suspicious members turned by 45 degrees and flattened (cures nearly all that stick at
    ell = 0); the same as small discs; Nelder–Mead, 5–10 times slower, only where nothing else converged.
    """
    best: ImfitSolution | None = None
    retried: set[int] = set()
    everyone = {member.id for member in problem.members} - frozen
    for change, solver in ((None, "LM"), (_turned, "LM"), (_small_disc, "LM"), (None, "NM")):
        suspects = everyone if best is None else _on_bound(best, problem.members) - frozen
        if best is not None and not (problem.retries and suspects and solver == "LM"):
            break
        starts = [_start(member, frozen, suspects, change) for member in problem.members]
        solution = attempt([block for blocks in starts for block in blocks], problem, solver)
        if solution is None or not solution.converged:
            continue
        # 1e-3: the same minimum found again is no reason to call the fit retried
        if best is None or _score(solution) < _score(best) - 1e-3:
            retried = set() if change is None and solver == "LM" else suspects
            best = solution
    return best, retried


def attempt(blocks: Sequence[Block], problem: Problem, solver: str = "LM") -> ImfitSolution | None:
    """Run IMFIT once; None where there are fewer pixels than free parameters, or it fails."""
    everything = [*blocks, problem.sky]
    if problem.pixels.count <= sum(not parameter.fixed for parameter in parameters_of(everything)):
        return None
    try:
        return minimise(everything, problem.pixels, problem.psf, ftol=problem.ftol, solver=solver)
    except Exception as failure:  # pyimfit raises bare Exceptions
        log.warning("IMFIT failed: %s", failure)
        return None


def _score(solution: ImfitSolution) -> float:
    """Return chi2, plus 1 for every parameter on a bound: a bound must gain more than noise to win."""
    return solution.chi2 + sum(parameter.on_bound for parameter in parameters_of(solution.blocks[:-1]))


def _on_bound(solution: ImfitSolution, members: Sequence[MemberFit]) -> set[int]:
    """Return the members with a parameter on a bound."""
    pairs = zip(members, _split(solution.blocks, members), strict=True)
    return {member.id for member, blocks in pairs if any(p.on_bound for p in parameters_of(blocks))}


def _split(blocks: Sequence[Block], members: Sequence[MemberFit]) -> list[Blocks]:
    """Return the blocks of each member."""
    stream = iter(blocks)
    return [tuple(next(stream) for _ in member.automatic) for member in members]


def _is_dark(blocks: Blocks) -> bool:
    """Whether a model has no light, as far as we can integrate it."""
    fluxes = [function_flux(function) for block in blocks for function in block.functions]
    known = [flux for flux in fluxes if flux is not None]
    return len(known) == len(fluxes) and not (math.isfinite(sum(known)) and sum(known) > 0)


def has_few_pixels(member: MemberFit, pixels: Pixels, data: GroupData) -> bool:
    """Whether a source has fewer own pixels than free parameters: such a fit "converges" to anything."""
    own = int(np.count_nonzero((data.segments == member.id) & ~pixels.mask))
    return own < sum(not parameter.fixed for parameter in parameters_of(member.automatic))


# ---- starts ----------------------------------------------------------------------------------------------------


Change = Callable[[dict[str, float]], dict[str, float]]


def _start(member: MemberFit, frozen: set[int], suspects: set[int], change: Change | None) -> Blocks:
    """Return the start of one member in one attempt."""
    if member.id in frozen:
        return held(member.automatic)
    if change is not None and member.id in suspects:
        return changed(member.automatic, change)
    return member.start


def held(blocks: Blocks) -> Blocks:
    """Return the blocks with every parameter fixed."""
    return with_parameters(blocks, [replace(parameter, fixed=True) for parameter in parameters_of(blocks)])


def changed(blocks: Blocks, change: Change) -> Blocks:
    """Return the blocks with the free values of Sersic functions changed, inside their limits."""
    new = []
    for block in blocks:
        functions = []
        for function in block.functions:
            values = {parameter.name: parameter.value for parameter in function.parameters}
            if function.name == "Sersic":
                values |= change(values)
            moved = (p if p.fixed else replace(p, value=values[p.name]).clipped() for p in function.parameters)
            functions.append(Function(function.name, tuple(moved)))
        new.append(replace(block, functions=tuple(functions)))
    return tuple(new)


def _turned(values: dict[str, float]) -> dict[str, float]:
    """Return a flatter start at another angle."""
    return {"ell": min(values["ell"] + 0.25, 0.8), "PA": values["PA"] + 45.0}


def _small_disc(values: dict[str, float]) -> dict[str, float]:
    """Return an exponential disc of 0.7 times the size."""
    return {"n": 1.0, "r_e": 0.7 * values["r_e"], "ell": 0.3}


def off_bounds(blocks: Blocks, automatic: Blocks) -> Blocks:
    """Return a result as start values: limits and fixed values of `automatic`, at least 5 % away from a limit.

    5 % of the value or its automatic start, and never more than 5 % of the range; 0.05 for ell, whose
    derivatives vanish at 0 together with those of PA.
    """
    moved = []
    for parameter, limit in zip(parameters_of(blocks), parameters_of(automatic), strict=True):
        start = replace(limit, value=limit.value if limit.fixed else parameter.value, error=None)
        if not start.fixed and start.lower is not None and start.upper is not None:
            scale = 1.0 if start.name == "ell" else max(abs(start.value), abs(limit.value))
            margin = 0.05 * min(start.upper - start.lower, scale)
            start = replace(start, value=min(max(start.value, start.lower + margin), start.upper - margin))
        moved.append(start)
    return with_parameters(automatic, moved)


# ---- results ---------------------------------------------------------------------------------------------------


def with_variances(blocks: Blocks, variances: Sequence[float] | np.ndarray | None) -> Blocks:
    """Return the blocks with errors from variances, or 0 where there are none."""
    parameters = parameters_of(blocks)
    errors = np.zeros(len(parameters)) if variances is None else np.sqrt(variances)
    return with_parameters(blocks, [replace(p, error=float(e)) for p, e in zip(parameters, errors, strict=True)])


def _group_fit(problem: Problem, best: ImfitSolution, frozen: set[int], retried: set[int]) -> GroupFit:
    """Return the result of a joint fit."""
    members = []
    for member, blocks in zip(problem.members, _split(best.blocks, problem.members), strict=True):
        flags = Flag(member.flags) & ~Flag.FIT_REPLACED
        if member.id in frozen:
            flags |= Flag.FIT_REPLACED
            blocks = with_variances(member.automatic, None)
        elif member.id in retried:
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


def replaced_fit(problem: Problem, flag: Flag = NO_FLAG) -> GroupFit:
    """Return a group in which every member has its automatic model; nothing here can fail."""
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
