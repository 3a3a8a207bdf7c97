from __future__ import annotations

import numpy as np
import pytest
from unblend.fits.damped_steps import (
    StepEquations,
    inside_limit,
    limit_side,
    parameter_after_step,
    step_unit,
    step_units,
)
from unblend.fits.imfit_config import Block, Function, Parameter


def equations(*blocked):
    return StepEquations(np.diag([4.0, 1.0]), np.array([2.0, 3.0]), np.isin([0, 1], blocked))


def test_the_step_without_damping_solves_the_normal_equations():
    assert equations().step(0.0).tolist() == [0.5, 3.0]
    coupled = StepEquations(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 3.0]), np.zeros(2, dtype=bool))
    np.testing.assert_allclose(coupled.step(0.0), [1.0, 1.0])


def test_damping_shortens_the_step():
    # the damping is added to the diagonal, which is scaled to 1: a damping of 1 halves the step
    assert equations().step(1.0).tolist() == [0.25, 1.5]


def test_a_blocked_parameter_does_not_move():
    assert equations(0).step(0.0).tolist() == [0.0, 3.0]
    assert equations(0, 1).step(0.0).tolist() == [0.0, 0.0]


def test_a_parameter_on_a_limit_is_placed_inside():
    upper, lower = Parameter("n", 8.0, 0.0, 8.0), Parameter("n", 0.0, 0.0, 8.0)
    assert inside_limit(upper).value == pytest.approx(8.0 - 8e-7, abs=1e-12)
    assert inside_limit(lower).value == pytest.approx(8e-7, abs=1e-12)
    assert not inside_limit(upper).on_bound


@pytest.mark.parametrize(
    "parameter", [Parameter("n", 4.0, 0.0, 8.0), Parameter("n", 8.0, 0.0, 8.0, fixed=True), Parameter("PA", 0.0)]
)
def test_other_parameters_are_not_changed(parameter):
    assert inside_limit(parameter) == parameter


def test_the_side_of_a_limit():
    assert limit_side(Parameter("n", 8.0, 0.0, 8.0)) == 1.0 and limit_side(Parameter("n", 0.0, 0.0, 8.0)) == -1.0
    assert limit_side(Parameter("n", 4.0, 0.0, 8.0)) == 0.0 and limit_side(Parameter("PA", 0.0)) == 0.0
    # it is still recognised after the parameter has been placed inside
    assert limit_side(inside_limit(Parameter("n", 8.0, 0.0, 8.0))) == 1.0


def test_a_brightness_never_reaches_zero():
    # the range is a million times the start value of 1
    low = Parameter("I_e", 0.01, 0.0, 1e6)
    assert limit_side(low) == 0.0 and inside_limit(low) == low
    assert limit_side(Parameter("I_e", 1e6, 0.0, 1e6)) == 1.0


def test_the_level_of_a_sky_changes_linearly():
    sky = Parameter("I_sky", 0.5, -1.0, 1.0)
    assert step_unit(sky) == 1.0 and parameter_after_step(sky, -0.75).value == -0.25
    assert step_unit(Parameter("I_e", 3.0, 0.0, 1e6)) == 3.0


def test_units_of_a_step():
    function = Function(
        "Sersic",
        (
            Parameter("PA", 30.0),
            Parameter("ell", 0.95, 0.0, 0.95),  # on its limit: no step
            Parameter("n", 4.0, fixed=True),  # fixed: no step
            Parameter("I_e", 0.0),  # no logarithm of zero
            Parameter("r_e", 3.0, 0.1, 10.0),
        ),
    )
    block = Block(Parameter("Y0", 5.0, 0.0, 9.0), Parameter("X0", 6.0, 0.0, 9.0), (function,))
    # X0, Y0, PA and I_e in their own units, r_e in its logarithm
    assert step_units([block]).tolist() == [1.0, 1.0, 1.0, 1.0, 3.0]


def test_a_step_of_a_size_is_at_most_a_factor_of_two():
    r_e = Parameter("r_e", 3.0, 0.1, 10.0)
    assert parameter_after_step(r_e, np.log(1.5)).value == pytest.approx(4.5)
    assert parameter_after_step(r_e, 5.0).value == pytest.approx(6.0)
    assert parameter_after_step(r_e, -5.0).value == pytest.approx(1.5)


def test_a_step_ends_at_the_limit():
    assert parameter_after_step(Parameter("r_e", 6.0, 0.1, 10.0), 1.0).value == 10.0
    assert parameter_after_step(Parameter("ell", 0.25, 0.0, 0.95), 0.5).value == 0.75
    assert parameter_after_step(Parameter("ell", 0.25, 0.0, 0.95), -0.5).value == 0.0
