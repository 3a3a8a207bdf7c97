"""Damped Gauss–Newton steps of parameters inside their limits (Levenberg's method)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .imfit import BRIGHTNESS_PARAMETERS, parameters_of
from .imfit_config import Block, Parameter

LOGARITHMIC_PARAMETERS = (BRIGHTNESS_PARAMETERS - {"I_sky"}) | {"n", "r_e", "h", "sigma", "fwhm"}
"""Parameters for which the step is taken in the logarithm; a sky level may be close to 0."""

MAX_LOGARITHMIC_STEP = math.log(2.0)
"""Maximum step in the logarithm: a factor of two."""

LIMIT_OFFSET = 1e-7
"""Distance from its limit, as a fraction of the range, at which a parameter on a limit is placed before a step. The
gradient then shows whether the parameter would move back into its range."""


@dataclass(frozen=True)
class StepEquations:
    """Normal equations of all free parameters, the sky last, in the units of `step_units`.

    Parameters
    ----------
    matrix : array (n, n)
        JᵀWJ, with 1 on the diagonal for parameters without effect on any pixel.
    gradient : array (n,)
        JᵀW(data − model).
    blocked : bool array (n,)
        True for parameters on a limit that would step beyond it, and for those without effect.
    """

    matrix: np.ndarray
    gradient: np.ndarray
    blocked: np.ndarray

    def step(self, damping: float) -> np.ndarray:
        """Return the damped Gauss–Newton step of all parameters; zero for the blocked ones."""
        scale = np.sqrt(np.diag(self.matrix))
        free = np.flatnonzero(~self.blocked)
        scaled = (self.matrix / np.outer(scale, scale))[np.ix_(free, free)]
        step = np.zeros(len(scale))
        step[free] = np.linalg.solve(scaled + damping * np.eye(len(free)), (self.gradient / scale)[free])
        return np.asarray(step / scale)


def is_logarithmic(p: Parameter) -> bool:
    """Return whether to step in the logarithm, in which the degeneracy of I_e, r_e and n is linear."""
    return p.name in LOGARITHMIC_PARAMETERS and p.value > 0.0


def inside_limit(p: Parameter) -> Parameter:
    """Return a parameter on a limit moved inside by `LIMIT_OFFSET` of its range; any other unchanged."""
    if not p.on_bound or p.lower is None or p.upper is None:
        return p
    offset = LIMIT_OFFSET * (p.upper - p.lower)
    lower = p.lower if _never_reaches_lower_limit(p) else p.lower + offset
    return replace(p, value=min(max(p.value, lower), p.upper - offset))


def limit_side(p: Parameter) -> float:
    """Return −1 for a parameter at its lower limit, +1 at its upper limit, 0 in between."""
    if p.lower is None or p.upper is None:
        return 0.0
    close = 2.0 * LIMIT_OFFSET * (p.upper - p.lower)
    is_low = p.value - p.lower <= close and not _never_reaches_lower_limit(p)
    return float(p.upper - p.value <= close) - float(is_low)


def _never_reaches_lower_limit(p: Parameter) -> bool:
    """Return whether the lower limit is 0 and the steps logarithmic, as for brightnesses.

    Their upper limit is a million times the start value, so that a value close to 0 in units of the range may be good.
    """
    return is_logarithmic(p) and p.lower is not None and p.lower <= 0.0


def step_unit(p: Parameter) -> float:
    """Return the change of a parameter in a step of 1."""
    return p.value if is_logarithmic(p) else 1.0


def step_units(blocks: Sequence[Block]) -> np.ndarray:
    """Return the change of every free parameter of the blocks in a step of 1."""
    return np.array([step_unit(p) for p in parameters_of(blocks) if not p.fixed_or_on_bound])


def limited_step(step: float) -> float:
    """Return a step in a logarithm, of a factor of two at most."""
    return min(max(step, -MAX_LOGARITHMIC_STEP), MAX_LOGARITHMIC_STEP)


def parameter_after_step(p: Parameter, step: float) -> Parameter:
    """Return a parameter after a step, inside its limits; sizes and brightnesses change by at most a factor of two."""
    if is_logarithmic(p):
        return replace(p, value=p.value * math.exp(limited_step(step))).clipped()
    return replace(p, value=p.value + step).clipped()
