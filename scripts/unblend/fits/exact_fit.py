"""Minimise chi2 of the exact model by damped Gauss–Newton steps (Levenberg's method) inside the limits.

The derivatives are analytic. A step takes a third of the time of one image by IMFIT, which draws one image for every
parameter in every step. Both passes of groups of Sersic profiles and point sources are fitted in this way. The measured
level of the sky and its error are a prior (`sky_priors`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np

from .covariance import safe_inverse
from .damped_steps import MAX_LOGARITHMIC_STEP, StepEquations, is_logarithmic, limit_side, step_unit
from .exact_model import ExactModel
from .imfit import ImfitSolution, in_half_turn, parameters_of, with_parameters
from .imfit_config import Block, Blocks, Parameter
from .sky_level import SKY_SIGMAS
from .step_variables import blocks_after_step, blocks_inside_limits, limit_sides, parameters_by_variables

NEGLIGIBLE_DECREASE = 1e-3
"""Decrease of chi2 expected from a step below which the minimum is reached: parameters then change by less than 0.03
sigma."""
FIRST_DAMPING, MIN_DAMPING, MAX_DAMPING = 1e-4, 1e-8, 1e8
"""Damping of the first step, smallest damping, and that at which steps are too short to lower chi2. It is added to the
diagonal of the normal matrix, which is scaled to 1, divided by ten after a step to a lower chi2, and multiplied by ten
otherwise."""
MAX_STEPS = 100
"""Maximum number of steps of a fit from its start values, including corrected ones and those that do not lower chi2."""
COARSE_FTOL = 1e-4
"""Relative decrease of chi2 expected from the last of `MAX_STEPS` below which the fit counts as converged, as in IMFIT:
along a profile that shrinks to a point chi2 hardly changes."""

SHORT_STEP = MAX_LOGARITHMIC_STEP
"""Largest change of any variable in a step whose length is corrected (`_better_length`). chi2 is then close to a
parabola along the step, but not to that of the normal equations, which leave out the second derivatives of the model:
where the residual is large, or the source faint, steps would be half as long as they should, or twice, and oscillate. A
longer step ends at a limit of its length, or of a parameter."""
GOOD_LENGTHS = (0.75, 1.33)
"""Lengths of the minimum along a step, in units of the step, between which it is not corrected."""
SHORTEST, LONGEST = 0.25, 4.0
"""Limits of a corrected length."""
PRECISION = 0.01
"""A minimum is reached, too, if a step that is not shortened, and from which a decrease of less than this is expected,
raises chi2 by less than this: the exact model is interpolated in tables, and chi2 has steps of 1e-8 of its value."""


def fit_exactly(blocks: Sequence[Block], model: ExactModel) -> ImfitSolution | None:
    """Fit the blocks as `imfit.minimise` does, with the exact model; None if that is not finite at the start.

    Parameters
    ----------
    blocks : sequence of Block
        Start values and limits. All functions are drawn exactly (`exact_model.is_exact`).
    model : ExactModel
        The model on the pixels of the fit.
    """
    start = with_parameters(blocks, [parameter.clipped() for parameter in parameters_of(blocks)])
    objective = Objective(model, sky_priors(start))
    lowest = lowest_point(objective, objective.at(start), MAX_STEPS)
    if lowest is None:
        return None
    found = lowest.point
    converged = lowest.at_minimum or lowest.expected < COARSE_FTOL * found.objective
    change = parameters_by_variables(found.blocks)
    variances = iter(np.diag(change @ safe_inverse(found.equations.matrix) @ change.T))
    best = [
        replace(on_limit(p), error=0.0 if p.fixed else math.sqrt(next(variances)) * step_unit(p))
        for p in parameters_of(found.blocks)
    ]
    fitted = in_half_turn(with_parameters(start, best))
    return ImfitSolution(fitted, found.chi2, converged, "exact", lowest.evaluations)


def on_limit(p: Parameter) -> Parameter:
    """Return a parameter that is within the offset of `inside_limit` of a limit on that limit."""
    side = limit_side(p)
    if side == 0.0 or p.lower is None or p.upper is None:
        return p
    return replace(p, value=p.upper if side > 0 else p.lower)


@dataclass(frozen=True)
class Point:
    """A set of parameters and the model linearised there.

    `blocks` have their free parameters inside the limits, the sky last. `chi2` is that of the pixels, `objective`
    includes the priors.
    """

    blocks: Blocks
    chi2: float
    objective: float
    equations: StepEquations

    @property
    def is_finite(self) -> bool:
        """Whether the objective and its derivatives are finite."""
        return math.isfinite(self.objective) and bool(np.all(np.isfinite(self.equations.matrix)))


@dataclass(frozen=True)
class Prior:
    """A normal distribution of a parameter, or of its logarithm.

    Parameters
    ----------
    centre : float
        Most probable value of the parameter.
    sigma : float
        Standard deviation, in the units of `damped_steps.step_unit`: of the logarithm for sizes, indices and
        brightnesses, of the value itself for a sky.
    """

    centre: float
    sigma: float

    def pull(self, p: Parameter) -> float:
        """Return the deviation of a parameter from the centre in standard deviations."""
        deviation = math.log(p.value / self.centre) if is_logarithmic(p) else p.value - self.centre
        return deviation / self.sigma


def sky_priors(blocks: Sequence[Block]) -> dict[int, Prior]:
    """Return the prior of each free sky with limits, by its place in IMFIT's order.

    The limits are `SKY_SIGMAS` errors from the measured level. Without a prior the fit leaves the sky anywhere between
    them, because a profile whose wings are free says little about it: in a drawn field 23 of 59 skies ended on a limit,
    and their scatter was 1.6 errors where that of the measured levels is 0.8.
    """
    return {
        k: Prior(0.5 * (p.lower + p.upper), 0.5 * (p.upper - p.lower) / SKY_SIGMAS)
        for k, p in enumerate(parameters_of(blocks))
        if p.name == "I_sky" and not p.fixed and p.lower is not None and p.upper is not None and p.upper > p.lower
    }


@dataclass(frozen=True)
class Objective:
    """chi2 plus the priors as a function of the parameters.

    Parameters
    ----------
    model : ExactModel
    priors : mapping of int to Prior
        By place of the parameter in IMFIT's order.
    """

    model: ExactModel
    priors: Mapping[int, Prior] = field(default_factory=dict)

    def at(self, blocks: Sequence[Block]) -> Point:
        """Return the point of the given blocks."""
        inside = blocks_inside_limits(blocks)
        free = [(k, p) for k, p in enumerate(parameters_of(inside)) if not p.fixed]
        _, jacobian, residual = self.model.linearise(inside, [k for k, _ in free])
        design = jacobian
        design *= np.array([step_unit(p) for _, p in free])[:, None]
        matrix, gradient, chi2 = design @ design.T, design @ residual, float(residual @ residual)
        pulls = self._pulls(inside)
        for row, (k, _) in enumerate(free):
            if k in pulls:
                matrix[row, row] += self.priors[k].sigma ** -2
                gradient[row] -= pulls[k] / self.priors[k].sigma
        objective = _penalised(chi2, pulls)
        change = parameters_by_variables(inside)
        matrix, gradient = change.T @ matrix @ change, change.T @ gradient
        has_effect = np.diag(matrix) > 0
        matrix[np.diag_indices_from(matrix)] += np.where(has_effect, 0.0, 1.0)
        is_outward = limit_sides(inside) * gradient > 0
        return Point(inside, chi2, objective, StepEquations(matrix, gradient, is_outward | ~has_effect))

    def value(self, blocks: Sequence[Block]) -> float:
        """Return the objective of blocks inside their limits, in a fifth of the time of `at`."""
        pixels = self.model.pixels
        good = ~pixels.mask
        residual = (pixels.image - self.model.image(blocks))[good] / pixels.error[good]
        return _penalised(float(residual @ residual), self._pulls(blocks))

    def _pulls(self, blocks: Sequence[Block]) -> dict[int, float]:
        """Return the pull of every parameter with a prior, by its place in IMFIT's order."""
        return {k: self.priors[k].pull(p) for k, p in enumerate(parameters_of(blocks)) if k in self.priors}


def _penalised(chi2: float, pulls: Mapping[int, float]) -> float:
    """Return chi2 plus the squared pulls of the priors."""
    for pull in pulls.values():
        chi2 += pull**2
    return chi2


@dataclass(frozen=True)
class Lowest:
    """The lowest point of a search, and how the search ended.

    Parameters
    ----------
    point : Point
    at_minimum : bool
        Whether this is the minimum; False if the search ended after its number of steps.
    expected : float
        Decrease of the objective expected from the last step.
    evaluations : int
        Number of points at which chi2 was computed.
    """

    point: Point
    at_minimum: bool
    expected: float
    evaluations: int


def lowest_point(objective: Objective, start: Point, max_steps: int) -> Lowest | None:
    """Return the lowest point found, the start included; None if the model is not finite at the start.

    Parameters
    ----------
    objective : Objective
    start : Point
    max_steps : int
        Maximum number of steps, including those that do not lower the objective.
    """
    if not start.is_finite:
        return None
    point, damping, was_lower, expected, evaluations = start, FIRST_DAMPING, True, math.inf, 1
    while evaluations <= max_steps:
        equations = point.equations
        step = equations.step(damping)
        slope = float(step @ equations.gradient)
        expected = 2.0 * slope - float(step @ equations.matrix @ step)
        # a step that was shortened because a longer one failed does not show the minimum
        if (was_lower and expected < NEGLIGIBLE_DECREASE) or damping > MAX_DAMPING:
            return Lowest(point, True, expected, evaluations)
        value, trial = _after_step(objective, point, step)
        evaluations += 1
        length = _better_length(slope, point.objective - value) if np.abs(step).max() < SHORT_STEP else None
        if length is not None:
            value, trial = min((value, trial), _after_step(objective, point, length * step), key=itemgetter(0))
            evaluations += 1
        was_lower = value < point.objective
        if was_lower:
            moved = objective.at(trial)
            was_lower = moved.is_finite
            point = moved if was_lower else point
        elif damping <= FIRST_DAMPING and expected < PRECISION and value < point.objective + PRECISION:
            return Lowest(point, True, expected, evaluations)
        damping = max(0.1 * damping, MIN_DAMPING) if was_lower else 10.0 * damping
    return Lowest(point, False, expected, evaluations)


def _after_step(objective: Objective, point: Point, step: np.ndarray) -> tuple[float, Blocks]:
    """Return the objective after a step of all variables, infinite where it is not finite, and the blocks there."""
    blocks = blocks_inside_limits(blocks_after_step(point.blocks, step))
    value = objective.value(blocks)
    return (value if math.isfinite(value) else math.inf), blocks


def _better_length(slope: float, decrease: float) -> float | None:
    """Return the place of the minimum of chi2 along a step, in units of the step; None if the step is good enough.

    Parameters
    ----------
    slope : float
        Half the decrease of chi2 along the step that its derivative at the start gives.
    decrease : float
        Decrease that the step has brought; with the slope it determines a parabola. Not finite: None is returned.
    """
    if not math.isfinite(decrease):
        return None
    length = slope / max(2.0 * slope - decrease, slope / LONGEST)
    return length if length >= SHORTEST and not GOOD_LENGTHS[0] < length < GOOD_LENGTHS[1] else None
