"""The variables of the steps of a fit, in which chi2 of a Sersic profile is closest to a parabola.

IMFIT's parameters of a profile depend on each other: with I_e fixed, the flux changes with n, r_e and ell, and at a
small ell the position angle has no meaning, so that steps oscillate. The steps are therefore taken in

- ln F in place of ln I_e, where F is the total flux;
- the change of the shear −ln q, q = 1 − ell, along the major axis and at 45 degrees to it, in place of ell and PA. A
  profile passes through ell = 0 like through any other place;
- ln n, ln r_e and the logarithms of other brightnesses; all others as they are.

Parameters for which the user has set limits of their own keep their own variable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..models.sersic import intensity_from_flux, slope_of_ln_k_n, total_flux
from .damped_steps import inside_limit, limit_side, limited_step, parameter_after_step, step_unit
from .imfit import parameters_of, with_parameters
from .imfit_config import Block, Function, Parameter

MIN_SHEAR = 1e-4
"""Shear of a profile that counts as round: the position angle has no meaning below it."""


def parameters_by_variables(blocks: Sequence[Block]) -> np.ndarray:
    """Return the change of every free parameter, in units of `step_unit`, with every variable, a square matrix.

    Parameters
    ----------
    blocks : sequence of Block
        The model. The free parameters are in IMFIT's order, and each has the variable that replaces it in its place.
    """
    free = [p for p in parameters_of(blocks) if not p.fixed]
    matrix = np.eye(len(free))
    first = 0
    for block in blocks:
        first += sum(not p.fixed for p in block.parameters) - sum(
            not p.fixed for f in block.functions for p in f.parameters
        )
        for function in block.functions:
            names = [p.name for p in function.parameters if not p.fixed]
            place = {name: first + k for k, name in enumerate(names)}
            first += len(names)
            if _has_shear(function):
                shear = _shear(function)
                matrix[place["ell"], place["ell"]] = math.exp(-shear)
                matrix[place["PA"], place["PA"]] = math.degrees(0.5 / shear)
            if _has_flux(function):
                row = matrix[place["I_e"]]
                for name, slope in _slopes_of_brightness(function).items():
                    if name in place:
                        row[place[name]] = slope
    return matrix


def _slopes_of_brightness(function: Function) -> dict[str, float]:
    """Return the derivatives of ln I_e at a constant flux by the variables of n, r_e and ell."""
    n, ell = function["n"], function["ell"]
    return {
        "n": -slope_of_ln_k_n(n.value) * step_unit(n),
        "r_e": -2.0 / function["r_e"].value * step_unit(function["r_e"]),
        "ell": 1.0 if _has_shear(function) else step_unit(ell) / (1.0 - ell.value),
    }


def blocks_after_step(blocks: Sequence[Block], step: np.ndarray) -> tuple[Block, ...]:
    """Return the blocks after a step of all variables, inside their limits.

    Parameters
    ----------
    blocks : sequence of Block
    step : array (n free parameters,)
        Sizes, fluxes and axis ratios change by at most a factor of two.
    """
    changes = iter(step.tolist())

    def moved(p: Parameter | None) -> Parameter | None:
        return p if p is None or p.fixed else parameter_after_step(p, next(changes))

    result = []
    for block in blocks:
        x0, y0 = moved(block.x0), moved(block.y0)
        functions = []
        for function in block.functions:
            own = {p.name: next(changes) for p in function.parameters if not p.fixed}
            functions.append(_function_after_step(function, own))
        result.append(Block(y0, x0, tuple(functions), block.id))
    return tuple(result)


def _function_after_step(function: Function, step: dict[str, float]) -> Function:
    """Return a function after a step of the variables of its free parameters."""
    new = {p.name: p if p.fixed else parameter_after_step(p, step[p.name]) for p in function.parameters}
    if _has_shear(function):
        along, across = (limited_step(step[name]) for name in ("ell", "PA"))
        along += _shear(function)
        ell = 1.0 - math.exp(-math.hypot(along, across))
        turn = 0.5 * math.degrees(math.atan2(across, along))
        new["ell"] = replace(function["ell"], value=ell).clipped()
        new["PA"] = replace(function["PA"], value=function["PA"].value + turn)
    if _has_flux(function):
        before = (function[name].value for name in ("n", "r_e", "ell", "I_e"))
        flux = total_flux(*before) * math.exp(limited_step(step["I_e"]))
        n, r_e, ell = (new[name].value for name in ("n", "r_e", "ell"))
        new["I_e"] = replace(function["I_e"], value=intensity_from_flux(n, r_e, ell, flux)).clipped()
    return Function(function.name, tuple(new[p.name] for p in function.parameters))


def _shear(function: Function) -> float:
    """Return −ln q of a profile, at least `MIN_SHEAR`."""
    return max(-math.log1p(-function["ell"].value), MIN_SHEAR)


def _has_shear(function: Function) -> bool:
    """Return whether the shear replaces ell and PA: a profile that may become round and turn freely."""
    if function.name != "Sersic" or function["PA"].fixed or function["ell"].fixed:
        return False
    return function["PA"].lower is None and function["ell"].lower == 0.0


def _has_flux(function: Function) -> bool:
    """Return whether the flux replaces I_e: a positive brightness that has no limits of the user."""
    if function.name != "Sersic":
        return False
    brightness = function["I_e"]
    return not brightness.fixed and brightness.value > 0.0 and brightness.lower == 0.0


def blocks_inside_limits(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks with parameters on a limit placed slightly inside, so that their derivatives have a meaning."""
    inside = with_parameters(blocks, [p if p.fixed else inside_limit(p) for p in parameters_of(blocks)])
    return tuple(
        replace(block, functions=tuple(_not_round(f) if _has_shear(f) else f for f in block.functions))
        for block in inside
    )


def _not_round(function: Function) -> Function:
    """Return a profile with a shear of at least `MIN_SHEAR`."""
    ell = 1.0 - math.exp(-_shear(function))
    return Function(function.name, tuple(replace(p, value=ell) if p.name == "ell" else p for p in function.parameters))


def limit_sides(blocks: Sequence[Block]) -> np.ndarray:
    """Return −1 for each free parameter at its lower limit, +1 at its upper limit, 0 in between.

    A round profile is not at a limit where the shear replaces ell.
    """
    sides = []
    for block in blocks:
        centre = [p for p in (block.x0, block.y0) if p is not None and not p.fixed]
        sides += [limit_side(p) for p in centre]
        for function in block.functions:
            sides += [
                max(limit_side(p), 0.0) if p.name == "ell" and _has_shear(function) else limit_side(p)
                for p in function.parameters
                if not p.fixed
            ]
    return np.array(sides)
