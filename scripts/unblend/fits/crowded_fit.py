"""A crowd, the core of a cluster, is fitted in a chain of steps whose time grows like the number of its sources.

IMFIT draws every source for every derivative, so that the time of its joint fit grows like the cube of their number.
Above `MAX_TOGETHER` sources each is fitted alone first, the others masked, in a cutout of its own. Then all parameters
and the sky go to the common minimum in damped Gauss–Newton steps, whose derivatives IMFIT draws source by source. What
then looks doubtful (on a bound, unresolved, astray) is fitted again by itself, the present models of all others
subtracted, with all retries that a small group has; and all go to the minimum again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from ..core.nouns import Box, cut
from .centre_check import misplaced
from .fft_size import good_box
from .group_data import GroupData
from .imfit import LINEAR, Pixels, derivatives, evaluate_blocks, parameters_of, safe_inverse, with_parameters
from .imfit_config import Block, Function, Parameter
from .joint_fit import Problem, fit_jointly, has_few_pixels, off_bounds, with_variances
from .result import GroupFit, MemberFit

log = logging.getLogger(__name__)

MAX_TOGETHER = 8
"""Most sources of one joint fit; more are fitted in pieces."""

FTOL_SINGLE = 1e-4
"""IMFIT's tolerance in the fits of single sources: the steps that follow do the rest."""

MAX_STEPS, MAX_DAMPING = 10, 1e6
"""Most steps of all sources together at a time, and the damping at which a step is too short to matter."""

REST, FTOL = 1e-3, 1e-5
"""Relative change of chi2 in a step at which the first steps end and below which the last ones count as converged, and
the least at which to stop: a tenth in a chi2 of ten thousand."""

LOGARITHMIC = LINEAR | {"n", "r_e", "h", "sigma", "fwhm"}
LONGEST = math.log(2.0)
"""Parameters that step in their logarithm, and the longest step."""

NUDGE = 1e-7
"""Of its range: how far off a limit a parameter is put to see whether it wants to leave."""

MARGIN_RADII, MIN_MARGIN = 0.5, 6
"""A piece's cutout holds the segments of its sources and as much around them: radii of the segment, at least pixels."""

Finish = Callable[[Problem, GroupFit], GroupFit]
Doubt = Callable[[MemberFit], bool]


def _as_it_is(_: Problem, fit: GroupFit) -> GroupFit:
    return fit


def _never(_: MemberFit) -> bool:
    return False


def is_crowd(number: int) -> bool:
    """Whether so many sources are fitted in pieces."""
    return number > MAX_TOGETHER


def fit_group(problem: Problem, finish: Finish = _as_it_is, doubtful: Doubt = _never) -> GroupFit:
    """Fit all members from their `start`: at once, or a crowd in steps.

    Parameters
    ----------
    problem : Problem
    finish : callable
        What is tried on a fit when it is done (points for stars …): from the problem and its fit to a fit.
    doubtful : callable
        Whether `finish` may have to do with a member of a crowd; those on a bound or astray are asked in any case.
    """
    if not is_crowd(len(problem.members)) or problem.pixels.count == 0:
        return finish(problem, fit_jointly(problem))
    crowd = _Crowd.at_start(problem)
    crowd.descend(REST if problem.retries else max(problem.ftol, FTOL))
    if problem.retries:
        again = crowd.doubtful(doubtful)
        log.info("%d of %d sources again, each by itself: %s", len(again), len(problem.members), again)
        for id_ in again:
            crowd.fit_single(id_, finish)
        crowd.descend(max(problem.ftol, FTOL))
    return crowd.result()


def light_of(blocks: Sequence[Block], box: Box, psf: np.ndarray, id_: int) -> np.ndarray:
    """Return the image of one source's blocks; zero where IMFIT cannot draw them."""
    image = evaluate_blocks(blocks, box, psf)
    if not np.all(np.isfinite(image)):
        log.warning("source %d: its model cannot be drawn", id_)
        return np.zeros(box.shape)
    return image


# ---- one source in its own cutout -------------------------------------------------------------------------------


def segment_box(data: GroupData, id_: int) -> Box:
    """Return the smallest box around a source's segment, in pixels of the detection image."""
    rows, columns = np.nonzero(data.segments == id_)
    top, left = int(rows.min()), int(columns.min())
    box = Box(top, left, int(rows.max()) + 1, int(columns.max()) + 1)
    return Box(box.y0 + data.box.y0, box.x0 + data.box.x0, box.y1 + data.box.y0, box.x1 + data.box.x0)


def cutout(data: GroupData, id_: int) -> Box:
    """Return the part of the group's box in which a source is fitted."""
    area = int(np.count_nonzero(data.segments == id_))
    margin = max(MIN_MARGIN, math.ceil(MARGIN_RADII * math.sqrt(area / math.pi)))
    box = segment_box(data, id_)
    return Box(box.y0 - margin, box.x0 - margin, box.y1 + margin, box.x1 + margin) & data.box


def part_of(problem: Problem, id_: int, light: np.ndarray | float = 0.0) -> Problem:
    """Return the problem of one member in its own cutout, `light` (on the group's box) taken off."""
    box = cutout(problem.data, id_)
    box = good_box(box, problem.psf.shape[0])
    data, pixels = problem.data, problem.pixels
    image = np.where(pixels.mask, np.nan, pixels.image - light)
    mask = cut(pixels.mask, box, True, outer=data.box)
    cut_data = replace(
        data,
        box=box,
        image=cut(image, box, np.nan, outer=data.box),
        error=cut(data.error, box, np.nan, outer=data.box),
        segments=cut(data.segments, box, 0, outer=data.box),
        mask=mask,
    )
    known = cut(np.where(pixels.mask, 0.0, image), box, 0.0, outer=data.box)
    cut_pixels = Pixels(box, known, cut(pixels.error, box, 1.0, outer=data.box), mask, pixels.smoothing)
    members = tuple(member for member in problem.members if member.id == id_)
    return replace(problem, members=members, pixels=cut_pixels, data=cut_data)


# ---- the state of the chain ------------------------------------------------------------------------------------


@dataclass
class _Crowd:
    """Present models of all members, their images on the group's box, and the level of the sky."""

    problem: Problem
    members: dict[int, MemberFit]
    images: dict[int, np.ndarray]
    sky: float
    converged: bool = False
    evaluations: int = 0
    variances: np.ndarray | None = None

    @classmethod
    def at_start(cls, problem: Problem) -> _Crowd:
        """Return the crowd with every member at its start."""
        members = {m.id: _start_of(m, problem) for m in problem.members}
        images = {i: light_of(m.blocks, problem.data.box, problem.psf, i) for i, m in members.items()}
        return cls(problem, members, images, problem.sky.functions[0]["I_sky"].value)

    def light(self, ids: Iterable[int]) -> np.ndarray:
        """Return the sum of the present images of some members."""
        return sum((self.images[id_] for id_ in ids), np.zeros(self.problem.data.box.shape))

    def deviates(self) -> np.ndarray:
        """Return (data − model) / error in the pixels that take part."""
        pixels = self.problem.pixels
        return ((pixels.image - self.light(self.images) - self.sky) / pixels.error)[~pixels.mask]

    def doubtful(self, doubt: Doubt) -> list[int]:
        """Return the members that are to be fitted again by themselves."""
        astray = misplaced(self.result(), self.problem.data)
        frozen = {
            member.id
            for member in self.problem.members
            if has_few_pixels(member, self.problem.pixels, self.problem.data)
        }
        return [
            id_
            for id_, member in self.members.items()
            if id_ not in frozen
            and (id_ in astray or doubt(member) or any(p.on_bound for p in parameters_of(member.blocks)))
        ]

    def fit_single(self, id_: int, finish: Finish) -> None:
        """Fit one member by itself, all others subtracted at their present models and the sky held."""
        others = self.light(other for other in self.images if other != id_)
        part = part_of(self.problem, id_, others + self.sky)
        member = self.members[id_]
        held = replace(part.sky.functions[0]["I_sky"], value=0.0, fixed=True)
        part = replace(
            part,
            members=(replace(member, start=off_bounds(member.blocks, member.automatic)),),
            sky=replace(part.sky, functions=(Function("FlatSky", (held,)),)),
            ftol=max(part.ftol, FTOL_SINGLE),
        )
        fit = finish(part, fit_jointly(part))
        self.evaluations += fit.evaluations
        if fit.converged:
            (self.members[id_],) = fit.members
            self.images[id_] = light_of(fit.members[0].blocks, self.problem.data.box, self.problem.psf, id_)

    def descend(self, ftol: float) -> None:
        """Go to the common minimum of all parameters by Levenberg's steps inside the limits."""
        damping, chi2 = 1e-3, float((self.deviates() ** 2).sum())
        for number in range(MAX_STEPS):
            start = self._off_limits()
            normal, gradient, blocked = start._normal_equations()
            self.evaluations, self.converged = start.evaluations, False
            self.variances = np.diag(safe_inverse(normal)) * start._all_units() ** 2
            scale, before = np.sqrt(np.diag(normal)), chi2
            free = np.flatnonzero(~blocked)
            scaled = (normal / np.outer(scale, scale))[np.ix_(free, free)]
            while damping < MAX_DAMPING:
                step = np.zeros(len(scale))
                step[free] = np.linalg.solve(scaled + damping * np.eye(len(free)), (gradient / scale)[free])
                trial = start._moved(step / scale)
                chi2 = float((trial.deviates() ** 2).sum())
                if chi2 < before:
                    break
                damping *= 10.0
            else:
                # no step leads down: this is the minimum, to the precision of the derivatives
                self.converged = True
                return
            self.members, self.images, self.sky = trial.members, trial.images, trial.sky
            damping = max(0.1 * damping, 1e-6)
            log.info("step %d of %d sources: chi2 %.1f, damping %.0e", number + 1, len(self.members), chi2, damping)
            self.converged = before - chi2 < REST * chi2
            if before - chi2 < ftol * chi2:
                return

    def _free(self) -> list[MemberFit]:
        return [member for member in self.members.values() if not member.flags & Flag.FIT_REPLACED]

    def _off_limits(self) -> _Crowd:
        """Return the crowd with every free parameter a little inside its limits, so that it can leave them."""
        members = dict(self.members)
        for member in self._free():
            inside = [_nudged(p) for p in parameters_of(member.blocks)]
            members[member.id] = replace(member, blocks=with_parameters(member.blocks, inside))
        return replace(self, members=members)

    def _normal_equations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return JᵀWJ, JᵀW(data − model) of all free parameters, the sky last, and which of them press on a limit."""
        pixels, psf = self.problem.pixels, self.problem.psf
        rows = [
            derivatives(member.blocks, pixels, psf, one_sided=True) * _units(member.blocks)[:, None]
            for member in self._free()
        ]
        self.evaluations += sum(len(part) + 1 for part in rows)
        design = np.concatenate([*rows, (1.0 / pixels.error[~pixels.mask])[None]])
        normal, gradient = design @ design.T, design @ self.deviates()
        sides = [_side(p) for member in self._free() for p in parameters_of(member.blocks) if not p.held]
        blocked = (np.array([*sides, 0.0]) * gradient > 0) | (np.diag(normal) == 0)
        normal[np.diag_indices_from(normal)] += np.where(np.diag(normal) > 0, 0.0, 1.0)
        return normal, gradient, blocked

    def _moved(self, step: np.ndarray) -> _Crowd:
        """Return the crowd after a step, inside all limits."""
        changes = iter(step)
        members, images = dict(self.members), dict(self.images)
        for member in self._free():
            values = [p if p.held else _stepped(p, float(next(changes))) for p in parameters_of(member.blocks)]
            members[member.id] = replace(member, blocks=with_parameters(member.blocks, values))
            images[member.id] = light_of(members[member.id].blocks, self.problem.data.box, self.problem.psf, member.id)
        limits = self.problem.sky.functions[0]["I_sky"]
        sky = replace(limits, value=self.sky + float(next(changes))).clipped().value
        return replace(self, members=members, images=images, sky=sky)

    def _all_units(self) -> np.ndarray:
        return np.concatenate([*(_units(member.blocks) for member in self._free()), [1.0]])

    def _errors(self) -> dict[int, list[float]]:
        """Return the errors of all parameters from the last step; 0 where held or before the first."""
        variances = iter([] if self.variances is None else self.variances)
        return {
            m.id: [0.0 if p.fixed else math.sqrt(next(variances, 0.0)) for p in parameters_of(m.blocks)]
            for m in self._free()
        }

    def result(self) -> GroupFit:
        """Return the fit of the whole group."""
        problem, errors = self.problem, self._errors()
        members = tuple(self.members[m.id] for m in problem.members)
        turned = {m.id: _finished(m.blocks, errors.get(m.id)) for m in members}
        free = sum(not p.fixed for m in self._free() for p in parameters_of(m.blocks))
        start = problem.sky.functions[0]["I_sky"]
        return GroupFit(
            box=problem.pixels.box,
            members=tuple(replace(m, blocks=turned[m.id]) for m in members),
            sky=replace(start, value=self.sky, error=0.0),
            sky_start=start,
            chi2=float((self.deviates() ** 2).sum()),
            n_pixels=problem.pixels.count,
            n_free=free + 1,
            converged=self.converged,
            solver="LM source by source",
            evaluations=self.evaluations,
        )


def _start_of(member: MemberFit, problem: Problem) -> MemberFit:
    """Return a member at its start; one with fewer pixels than parameters keeps its automatic model."""
    if has_few_pixels(member, problem.pixels, problem.data):
        held = with_variances(member.automatic, None)
        return replace(member, blocks=held, flags=int(member.flags | Flag.FIT_REPLACED))
    return replace(member, blocks=member.start, flags=int(Flag(member.flags) & ~Flag.FIT_REPLACED))


def _is_logarithmic(p: Parameter) -> bool:
    """Whether to step in the logarithm: the valley in which I_e, r_e and n go together is straight there."""
    return p.name in LOGARITHMIC and p.value > 0.0


def _nudged(p: Parameter) -> Parameter:
    """Return a free parameter that is on a limit moved off it by `NUDGE` of its range."""
    if not p.on_bound or p.lower is None or p.upper is None:
        return p
    away = NUDGE * (p.upper - p.lower)
    return replace(p, value=min(max(p.value, p.lower + away), p.upper - away))


def _side(p: Parameter) -> float:
    """Return −1 for a parameter at its lower limit, +1 at its upper, 0 between."""
    if p.lower is None or p.upper is None:
        return 0.0
    close = 2.0 * NUDGE * (p.upper - p.lower)
    return float(p.upper - p.value <= close) - float(p.value - p.lower <= close)


def _units(blocks: Sequence[Block]) -> np.ndarray:
    """Return what a unit step is of every parameter that can move."""
    return np.array([p.value if _is_logarithmic(p) else 1.0 for p in parameters_of(blocks) if not p.held])


def _stepped(p: Parameter, step: float) -> Parameter:
    """Return a parameter after a step, inside its limits; a size or brightness at most doubles."""
    if _is_logarithmic(p):
        return replace(p, value=p.value * math.exp(min(max(step, -LONGEST), LONGEST))).clipped()
    return replace(p, value=p.value + step).clipped()


def _finished(blocks: Sequence[Block], errors: Sequence[float] | None) -> tuple[Block, ...]:
    """Return the blocks with their errors, and free position angles in 0 … 180 degrees, as `minimise` gives them."""
    parameters = parameters_of(blocks)
    if errors is not None:
        parameters = [replace(p, error=e) for p, e in zip(parameters, errors, strict=True)]
    turned = [
        replace(p, value=p.value % 180.0) if p.name == "PA" and p.lower is None and not p.fixed else p
        for p in parameters
    ]
    return with_parameters(blocks, turned)


def summed_light(members: Sequence[tuple[int, Sequence[Block]]], box: Box, psf: np.ndarray) -> np.ndarray:
    """Return the light of several sources, each drawn for itself: what a chain has fitted."""
    return sum((light_of(blocks, box, psf, id_) for id_, blocks in members), np.zeros(box.shape))
