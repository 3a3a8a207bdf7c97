"""The variables of the steps of a fit: their derivatives, and the blocks after a step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from unblend.fits.damped_steps import step_unit
from unblend.fits.imfit import parameters_of, sky_block
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.result import function_flux, sersic_block
from unblend.fits.step_variables import (
    MIN_SHEAR,
    blocks_after_step,
    blocks_inside_limits,
    limit_sides,
    parameters_by_variables,
)
from unblend.models.sersic import Sersic

NAMES = ["X0", "Y0", "PA", "ell", "n", "I_e", "r_e"]


def profile(ell: float = 0.3, n: float = 2.0, r_e: float = 4.0, pa: float = 30.0) -> Block:
    return sersic_block(Sersic(20.0, 21.0, pa, ell, n, 3.0, r_e), 1, max_offset=3.0, r_e_range=(0.1, 30.0))


def with_parameter(block: Block, name: str, **changes: object) -> Block:
    return block.with_parameters(replace(p, **changes) if p.name == name else p for p in block.parameters)


def step_of(block: Block, **changes: float) -> np.ndarray:
    """Return a step of the variables in the places of the named parameters."""
    names = [p.name for p in block.parameters if not p.fixed]
    assert changes.keys() <= set(names)
    return np.array([changes.get(name, 0.0) for name in names])


def value(block: Block, name: str) -> float:
    return next(p.value for p in block.parameters if p.name == name)


USERS = with_parameter(profile(), "I_e", lower=1.0)
TURNED = with_parameter(profile(), "PA", lower=0.0, upper=90.0)
FIXED_N = with_parameter(profile(), "n", fixed=True)
DISC_AND_POINT = replace(
    profile(n=1.0),
    functions=(*profile(n=1.0).functions, Function("PointSource", (Parameter("I_tot", 50.0, 0.0, 1e6),))),
)


@pytest.mark.parametrize("block", [profile(), profile(ell=0.02), USERS, TURNED, FIXED_N, DISC_AND_POINT])
def test_the_derivatives_are_those_of_a_small_step(block):
    blocks = [block, sky_block(0.1, 0.05)]
    matrix, small = parameters_by_variables(blocks), 1e-6
    free = [p for p in parameters_of(blocks) if not p.fixed]
    for column in range(len(free)):
        step = np.zeros(len(free))
        step[column] = small
        after = [p for p in parameters_of(blocks_after_step(blocks, step)) if not p.fixed]
        change = [(new.value - p.value) / step_unit(p) / small for new, p in zip(after, free, strict=True)]
        # a small ell: the step of 1e-6 turns the profile by more than an infinitesimal angle
        np.testing.assert_allclose(change, matrix[:, column], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["ell", "PA", "n", "r_e"])
def test_a_step_of_a_shape_keeps_the_flux(name):
    block = profile()
    after = blocks_after_step([block], step_of(block, **{name: 0.4}))[0]
    assert value(after, "I_e") != value(block, "I_e")
    assert function_flux(after.functions[0]) == pytest.approx(function_flux(block.functions[0]), rel=1e-9)


def test_a_step_of_the_flux_changes_nothing_else_and_is_at_most_a_factor_of_two():
    block = profile()
    after = blocks_after_step([block], step_of(block, I_e=3.0))[0]
    assert value(after, "I_e") == pytest.approx(2.0 * value(block, "I_e"))
    assert [value(after, name) for name in NAMES if name != "I_e"] == pytest.approx(
        [value(block, name) for name in NAMES if name != "I_e"]
    )


def test_a_profile_passes_through_round():
    """A step of −2 η along the major axis: the profile ends with the same ell, turned by 90 degrees."""
    block = profile(ell=0.2, pa=30.0)
    after = blocks_after_step([block], step_of(block, ell=2.0 * math.log(0.8)))[0]
    assert value(after, "ell") == pytest.approx(0.2)
    assert value(after, "PA") % 180.0 == pytest.approx(120.0)


def test_a_step_at_45_degrees_turns_a_nearly_round_profile_no_further_than_that():
    block = profile(ell=0.001, pa=10.0)
    after = blocks_after_step([block], step_of(block, PA=0.5))[0]
    assert value(after, "PA") == pytest.approx(10.0 + 45.0, abs=0.2)
    assert value(after, "ell") == pytest.approx(1.0 - math.exp(-0.5), abs=1e-3)


def test_limits_hold():
    block = with_parameter(profile(ell=0.92), "r_e", upper=5.0)
    after = blocks_after_step([block], step_of(block, ell=0.69, r_e=0.5, X0=9.0))[0]
    assert (value(after, "ell"), value(after, "r_e"), value(after, "X0")) == (0.95, 5.0, 24.0)


def test_parameters_with_limits_of_the_user_keep_their_own_variable():
    after = blocks_after_step([USERS], step_of(USERS, n=0.3))[0]
    assert value(after, "I_e") == value(USERS, "I_e")
    after = blocks_after_step([TURNED], step_of(TURNED, PA=100.0))[0]
    assert (value(after, "PA"), value(after, "ell")) == (90.0, 0.3)


def test_a_round_profile_is_not_at_a_limit_and_has_a_direction():
    round_one = with_parameter(profile(), "ell", value=0.0)
    inside = blocks_inside_limits([round_one])
    assert value(inside[0], "ell") == pytest.approx(MIN_SHEAR, rel=1e-3)
    assert limit_sides(inside)[NAMES.index("ell")] == 0.0
    flat = with_parameter(profile(), "ell", value=0.95)
    assert limit_sides(blocks_inside_limits([flat]))[NAMES.index("ell")] == 1.0
    held = with_parameter(with_parameter(profile(), "ell", value=0.0), "PA", fixed=True)
    sides = limit_sides(blocks_inside_limits([held]))
    assert sides[[p.name for p in held.parameters if not p.fixed].index("ell")] == -1.0
