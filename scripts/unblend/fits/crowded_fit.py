"""Fit crowded groups, such as the core of a cluster, in steps whose time is proportional to the number of sources.

IMFIT draws every source for every derivative, so that the time of its joint fit grows as the cube of their number.
In groups of more than `MAX_JOINT_SOURCES` each source is first fitted alone in its own cutout, the others masked. Then
chi2 is minimised over all parameters and the sky with damped Gauss–Newton steps. Their derivatives are those of the
exact model, or IMFIT draws them source by source. Sources with a parameter on a bound, unresolved ones and those with
their centre on another source are then fitted again one at a time, with the current models of all others subtracted and
with all retries of a small group. Finally chi2 is minimised over all parameters again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from .centre_check import members_off_segment
from .covariance import derivatives, safe_inverse
from .damped_steps import StepEquations, inside_limit, limit_side, parameter_after_step, step_units
from .imfit import flat_sky, in_half_turn, parameters_of, with_parameters
from .imfit_config import Block
from .joint_fit import Problem, as_start_values, fit_jointly, has_few_pixels, with_variances
from .result import GroupFit, MemberFit
from .single_source import single_source_problem, source_image

log = logging.getLogger(__name__)

MAX_JOINT_SOURCES = 8
"""Maximum number of sources that IMFIT fits together; larger groups are treated as crowded."""

SINGLE_SOURCE_FTOL = 1e-4
"""IMFIT's relative tolerance in the fits of single sources; the joint steps that follow improve on it."""

MAX_STEPS = 10
"""Maximum number of joint steps in one minimisation."""

FIRST_DAMPING, MIN_DAMPING, MAX_DAMPING = 1e-3, 1e-6, 1e6
"""Damping of the first step, smallest damping, and the damping at which steps are too short to change chi2. It is added
to the diagonal of the normal matrix, which is scaled to 1."""

COARSE_FTOL, MIN_FTOL = 1e-3, 1e-5
"""Relative decrease of chi2 in one joint step. Below the first the fit counts as converged, and the minimisation before
the single-source fits stops. The second is the smallest at which to stop: 0.1 in a chi2 of ten thousand."""

Refine = Callable[[Problem, GroupFit], GroupFit]
NeedsRefit = Callable[[MemberFit], bool]


def _unchanged(_: Problem, fit: GroupFit) -> GroupFit:
    """Return the fit as it is."""
    return fit


def _no_member(_: MemberFit) -> bool:
    """Return False for every member."""
    return False


def is_crowd(number: int) -> bool:
    """Return whether a group of this number of sources is fitted as a crowd."""
    return number > MAX_JOINT_SOURCES


def fit_group(problem: Problem, refine: Refine = _unchanged, needs_refit: NeedsRefit = _no_member) -> GroupFit:
    """Fit all members from their `start`: jointly, or in steps if the group is crowded.

    Parameters
    ----------
    problem : Problem
        Members at their start values, pixels and PSF.
    refine : callable
        Applied to every finished fit of a small group or of a single source, for example to try point sources.
        Takes the problem and its fit, and returns a fit.
    needs_refit : callable
        Tells whether a member of a crowd is to be fitted again by itself. Members with a parameter on a bound or a
        centre on another source always are.
    """
    if not is_crowd(len(problem.members)) or problem.pixels.count == 0:
        return refine(problem, fit_jointly(problem))
    crowd = _Crowd.at_start(problem)
    final_ftol = max(problem.ftol, MIN_FTOL)
    crowd.minimise_chi2(COARSE_FTOL if problem.retries else final_ftol)
    if problem.retries:
        ids = crowd.members_to_refit(needs_refit)
        log.info("Fitting %d of %d sources again one at a time: %s", len(ids), len(problem.members), ids)
        for id_ in ids:
            crowd.refit_member(id_, refine)
        crowd.minimise_chi2(final_ftol)
    return crowd.result()


@dataclass
class _Crowd:
    """State of the fit of a crowd: models of all members, their images on the group's box, and the level of the sky.

    `images` are convolved with the PSF. `variances` are those of all free parameters, the sky last.
    """

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
        members = {m.id: _member_at_start(m, problem) for m in problem.members}
        images = {i: _image(problem, m) for i, m in members.items()}
        return cls(problem, members, images, problem.sky.functions[0]["I_sky"].value)

    def summed_images(self, ids: Iterable[int]) -> np.ndarray:
        """Return the sum of the images of some members."""
        return sum((self.images[id_] for id_ in ids), np.zeros(self.problem.data.box.shape))

    def residual(self) -> np.ndarray:
        """Return (data − model) / error in the unmasked pixels."""
        pixels = self.problem.pixels
        return ((pixels.image - self.summed_images(self.images) - self.sky) / pixels.error)[~pixels.mask]

    def chi2(self) -> float:
        """Return the sum of the squared residual over the unmasked pixels."""
        return float((self.residual() ** 2).sum())

    def members_to_refit(self, needs_refit: NeedsRefit) -> list[int]:
        """Return the members that are to be fitted again one at a time."""
        off_segment = members_off_segment(self.result(), self.problem.data)
        too_small = {
            member.id
            for member in self.problem.members
            if has_few_pixels(member, self.problem.pixels, self.problem.data)
        }
        return [
            id_
            for id_, member in self.members.items()
            if id_ not in too_small
            and (id_ in off_segment or needs_refit(member) or any(p.on_bound for p in parameters_of(member.blocks)))
        ]

    def refit_member(self, id_: int, refine: Refine) -> None:
        """Fit one member with the current models of all others subtracted and the sky fixed."""
        others = self.summed_images(other for other in self.images if other != id_)
        single = single_source_problem(self.problem, id_, others + self.sky)
        member = self.members[id_]
        fixed_sky = replace(single.sky.functions[0]["I_sky"], value=0.0, fixed=True)
        single = replace(
            single,
            members=(replace(member, start=as_start_values(member.blocks, member.automatic)),),
            sky=flat_sky(fixed_sky),
            ftol=max(single.ftol, SINGLE_SOURCE_FTOL),
        )
        fit = refine(single, fit_jointly(single))
        self.evaluations += fit.evaluations
        if fit.converged:
            (self.members[id_],) = fit.members
            self.images[id_] = _image(self.problem, fit.members[0])

    def minimise_chi2(self, ftol: float) -> None:
        """Minimise chi2 over all parameters with damped Gauss–Newton steps (Levenberg's method) inside the limits.

        Stop when the relative decrease of chi2 in a step is below `ftol`, or after `MAX_STEPS`.
        """
        damping, chi2 = FIRST_DAMPING, self.chi2()
        for number in range(MAX_STEPS):
            start = self._inside_limits()
            equations = start._normal_equations()
            # one image for each derivative except that of the sky, and one for each member
            self.evaluations += len(equations.gradient) - 1 + len(start._fitted_members())
            self.variances = np.diag(safe_inverse(equations.matrix)) * start._all_step_units() ** 2
            trial, damping = start._step_to_lower_chi2(chi2, equations, damping)
            if trial is None:
                # no step lowers chi2: this is the minimum to the precision of the derivatives
                self.converged = True
                return
            self.members, self.images, self.sky = trial.members, trial.images, trial.sky
            previous_chi2, chi2 = chi2, self.chi2()
            damping = max(0.1 * damping, MIN_DAMPING)
            log.info("Step %d for %d sources: chi2 %.1f, damping %.0e", number + 1, len(self.members), chi2, damping)
            self.converged = previous_chi2 - chi2 < COARSE_FTOL * chi2
            if previous_chi2 - chi2 < ftol * chi2:
                return

    def _step_to_lower_chi2(self, chi2: float, equations: StepEquations, damping: float) -> tuple[_Crowd | None, float]:
        """Return the crowd after a step to a lower chi2, and its damping, which is raised until such a step is found.

        Parameters
        ----------
        chi2 : float
            The present chi2.
        equations : StepEquations
            Normal equations at the present parameters.
        damping : float
            The damping to try first.

        Returns
        -------
        crowd : _Crowd or None
            None if no step below `MAX_DAMPING` lowers chi2.
        damping : float
            The damping of the step.
        """
        while damping < MAX_DAMPING:
            trial = self._after_step(equations.step(damping))
            if trial.chi2() < chi2:
                return trial, damping
            damping *= 10.0
        return None, damping

    def _fitted_members(self) -> list[MemberFit]:
        """Return the members that are not fixed at their automatic model."""
        return [member for member in self.members.values() if not member.flags & Flag.FIT_REPLACED]

    def _inside_limits(self) -> _Crowd:
        """Return the crowd with the parameters on a limit placed slightly inside it, so that they can leave it."""
        members = dict(self.members)
        for member in self._fitted_members():
            inside = [inside_limit(p) for p in parameters_of(member.blocks)]
            members[member.id] = replace(member, blocks=with_parameters(member.blocks, inside))
        return replace(self, members=members)

    def _normal_equations(self) -> StepEquations:
        """Return the normal equations of all free parameters, from derivatives drawn source by source."""
        pixels = self.problem.pixels
        jacobians = [
            _derivatives(self.problem, member) * step_units(member.blocks)[:, None] for member in self._fitted_members()
        ]
        design = np.concatenate([*jacobians, (1.0 / pixels.error[~pixels.mask])[None]])
        matrix, gradient = design @ design.T, design @ self.residual()
        sides = [
            limit_side(p)
            for member in self._fitted_members()
            for p in parameters_of(member.blocks)
            if not p.fixed_or_on_bound
        ]
        sky = replace(self.problem.sky.functions[0]["I_sky"], value=self.sky)
        sides.append(limit_side(inside_limit(sky)))
        blocked = (np.array(sides) * gradient > 0) | (np.diag(matrix) == 0)
        blocked[-1] |= sky.fixed
        matrix[np.diag_indices_from(matrix)] += np.where(np.diag(matrix) > 0, 0.0, 1.0)
        return StepEquations(matrix, gradient, blocked)

    def _after_step(self, step: np.ndarray) -> _Crowd:
        """Return the crowd after a step of all free parameters and the sky, inside all limits."""
        changes = iter(step)
        members, images = dict(self.members), dict(self.images)
        for member in self._fitted_members():
            parameters = [
                p if p.fixed_or_on_bound else parameter_after_step(p, float(next(changes)))
                for p in parameters_of(member.blocks)
            ]
            members[member.id] = replace(member, blocks=with_parameters(member.blocks, parameters))
            images[member.id] = _image(self.problem, members[member.id])
        limits = self.problem.sky.functions[0]["I_sky"]
        sky = replace(limits, value=self.sky + float(next(changes))).clipped().value
        return replace(self, members=members, images=images, sky=sky)

    def _all_step_units(self) -> np.ndarray:
        """Return the change of each free parameter, the sky last, in a step of 1."""
        return np.concatenate([*(step_units(member.blocks) for member in self._fitted_members()), [1.0]])

    def _errors(self) -> dict[int, list[float]]:
        """Return the errors of all parameters from the last step; 0 for fixed ones and before the first step."""
        variances = iter([] if self.variances is None else self.variances)
        return {
            m.id: [0.0 if p.fixed else math.sqrt(next(variances, 0.0)) for p in parameters_of(m.blocks)]
            for m in self._fitted_members()
        }

    def result(self) -> GroupFit:
        """Return the fit of the whole group."""
        problem, errors = self.problem, self._errors()
        members = tuple(self.members[m.id] for m in problem.members)
        n_free = sum(not p.fixed for m in self._fitted_members() for p in parameters_of(m.blocks))
        start = problem.sky.functions[0]["I_sky"]
        return GroupFit(
            box=problem.pixels.box,
            members=tuple(replace(m, blocks=_with_errors(m.blocks, errors.get(m.id))) for m in members),
            sky=replace(start, value=self.sky, error=0.0),
            sky_start=start,
            chi2=self.chi2(),
            n_pixels=problem.pixels.count,
            n_free=n_free + (not start.fixed),
            converged=self.converged,
            solver="LM source by source",
            evaluations=self.evaluations,
        )


def _image(problem: Problem, member: MemberFit) -> np.ndarray:
    """Return the convolved image of a member on the group's box, from the exact model or by IMFIT."""
    if problem.exact:
        return problem.exact_model.image(member.blocks)
    return source_image(member.blocks, problem.data.box, problem.psf, member.id)


def _derivatives(problem: Problem, member: MemberFit) -> np.ndarray:
    """Return the derivatives of a member's image by its free parameters, divided by the error (unmasked pixels)."""
    if problem.exact:
        return problem.exact_model.linearise(member.blocks)[1]
    return derivatives(member.blocks, problem.pixels, problem.psf, one_sided=True)


def _member_at_start(member: MemberFit, problem: Problem) -> MemberFit:
    """Return a member at its start; one with fewer pixels than parameters is fixed at its automatic model."""
    if has_few_pixels(member, problem.pixels, problem.data):
        fixed = with_variances(member.automatic, None)
        return replace(member, blocks=fixed, flags=int(member.flags | Flag.FIT_REPLACED))
    return replace(member, blocks=member.start, flags=int(Flag(member.flags) & ~Flag.FIT_REPLACED))


def _with_errors(blocks: Sequence[Block], errors: Sequence[float] | None) -> tuple[Block, ...]:
    """Return the blocks with their errors, and free position angles in 0 … 180 degrees, as `imfit.minimise` does."""
    parameters = parameters_of(blocks)
    if errors is not None:
        parameters = [replace(p, error=e) for p, e in zip(parameters, errors, strict=True)]
    return in_half_turn(with_parameters(blocks, parameters))
