"""Fits of a whole group: start values by hand, and the order of attempts with a stand-in for IMFIT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits import joint_fit
from unblend.fits.group_data import GroupData, group_pixels
from unblend.fits.imfit import ImfitSolution, parameters_of, sky_block, with_parameters
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.joint_fit import (
    Problem,
    all_fixed,
    as_start_values,
    automatic_fit,
    fit_jointly,
    fit_once,
    has_few_pixels,
    with_new_sersic_values,
    with_variances,
)
from unblend.fits.result import MemberFit, sersic_block
from unblend.models.sersic import Sersic


def block(id_, **values):
    """Return the automatic block of a source, with values of its Sersic function replaced."""
    automatic = sersic_block(
        Sersic(105.0, 205.0, 30.0, 0.5, 2.0, 10.0, 4.0), id_, max_offset=3.0, r_e_range=(0.5, 20.0)
    )
    return with_values(automatic, **values)


def with_values(automatic, **values):
    return automatic.with_parameters([replace(p, value=values.get(p.name, p.value)) for p in automatic.parameters])


def problem_of(*ids, retries=True, mask=None):
    """Return the problem of sources with 25 pixels each."""
    segments = np.repeat(np.arange(1, 5), 25).reshape(10, 10)
    data = GroupData(Box(100, 200, 110, 210), np.ones((10, 10)), np.ones((10, 10)), segments, (1, 2, 3, 4), mask=mask)
    members = tuple(MemberFit(i, (block(i),), (block(i),), (block(i),)) for i in ids)
    return Problem(members, sky_block(0.0, 3.0), group_pixels(data), data, np.ones((1, 1)), 1e-4, retries)


class Solver:
    """Stands in for IMFIT: returns prepared results in turn and keeps the calls."""

    def __init__(self, monkeypatch, *results):
        self.results, self.calls = list(results), []
        monkeypatch.setattr(joint_fit, "minimise", self)

    def __call__(self, blocks, pixels, psf, *, ftol, solver):
        self.calls.append((tuple(blocks), solver))
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        if result is None:
            return None
        chi2, converged, values = result
        changed = [with_values(b, **values.get(b.id, {})) for b in blocks]
        return ImfitSolution(tuple(changed), chi2, converged, solver, 10)

    @property
    def solvers(self):
        return [solver for _, solver in self.calls]

    def start(self, call, member=0):
        return {p.name: p.value for p in parameters_of([self.calls[call][0][member]])}


# Attempts -----------------------------------------------------------------------------------------------------------


def test_a_fit_without_problems_is_run_once(monkeypatch):
    solver = Solver(monkeypatch, (90.0, True, {1: {"n": 1.5}}))
    fit = fit_jointly(problem_of(1))
    assert solver.solvers == ["LM"] and fit.chi2 == 90.0 and fit.converged
    assert fit.member(1).sersic.n == 1.5 and fit.member(1).flags == 0
    # 7 parameters of the source and the level of the sky
    assert (fit.n_pixels, fit.n_free, fit.evaluations) == (100, 8, 10)


def test_a_member_on_a_bound_is_fitted_again_from_a_rotated_flatter_start(monkeypatch):
    solver = Solver(monkeypatch, (90.0, True, {1: {"ell": 0.0}}), (90.0, True, {1: {"ell": 0.25}, 2: {"n": 1.0}}))
    fit = fit_jointly(problem_of(1, 2))
    assert solver.solvers == ["LM", "LM"]
    assert (solver.start(1)["ell"], solver.start(1)["PA"]) == (0.75, 75.0)
    # the other member starts as before
    assert solver.start(1, member=1) == solver.start(0, member=1)
    assert fit.member(1).flags == Flag.FIT_RETRIED and fit.member(2).flags == 0 and fit.member(1).sersic.ell == 0.25


def test_the_third_attempt_starts_from_a_small_disc(monkeypatch):
    solver = Solver(monkeypatch, *[(90.0, True, {1: {"ell": 0.0}})] * 3)
    fit = fit_jointly(problem_of(1))
    assert solver.solvers == ["LM", "LM", "LM"]
    start = solver.start(2)
    assert (start["n"], start["r_e"], start["ell"]) == (1.0, pytest.approx(2.8), 0.3)
    # the same minimum three times: the first is kept
    assert fit.member(1).flags == 0 and fit.member(1).sersic.ell == 0.0


def test_nelder_mead_is_tried_only_if_nothing_converges(monkeypatch):
    solver = Solver(monkeypatch, None, (95.0, False, {}), RuntimeError("pyimfit"), (91.0, True, {}))
    fit = fit_jointly(problem_of(1))
    assert solver.solvers == ["LM", "LM", "LM", "NM"]
    assert fit.solver == "NM" and fit.member(1).flags == Flag.FIT_RETRIED


@pytest.mark.parametrize("error", [MemoryError("no memory"), OSError(28, "No space left on device")])
def test_a_failure_of_the_machine_is_not_one_of_the_fit(monkeypatch, error):
    Solver(monkeypatch, error)
    with pytest.raises(type(error), match=r"no memory|No space left"):
        fit_jointly(problem_of(1))


def test_a_fit_that_fails_while_memory_is_short_has_not_failed_itself(monkeypatch):
    """IMFIT ends a fit without a result where it is refused memory."""
    Solver(monkeypatch, RuntimeError("pyimfit"))
    monkeypatch.setattr(joint_fit, "has_free_memory", lambda: False)
    with pytest.raises(MemoryError, match="IMFIT failed while memory was short"):
        fit_jointly(problem_of(1))


def test_a_bound_is_accepted_if_chi2_is_lower_by_more_than_one(monkeypatch):
    on_bound, free = {1: {"ell": 0.0}}, {1: {"ell": 0.25}}
    Solver(monkeypatch, (90.0, True, on_bound), (91.5, True, free), (91.5, True, free))
    assert fit_jointly(problem_of(1)).chi2 == 90.0
    Solver(monkeypatch, (90.0, True, on_bound), (90.5, True, free))
    assert fit_jointly(problem_of(1)).chi2 == 90.5


def test_without_retries_a_fit_on_a_bound_is_kept(monkeypatch):
    solver = Solver(monkeypatch, (90.0, True, {1: {"ell": 0.0}}))
    assert fit_jointly(problem_of(1, retries=False)).member(1).sersic.ell == 0.0
    assert len(solver.calls) == 1


def test_if_all_attempts_fail_the_automatic_models_are_used(monkeypatch):
    Solver(monkeypatch, *[None] * 4)
    fit = fit_jointly(problem_of(1, 2))
    assert not fit.converged and np.isnan(fit.chi2) and fit.solver == "none"
    assert all(member.flags == Flag.FIT_REPLACED for member in fit.members)
    assert fit.member(1).sersic == MemberFit(1, (block(1),), (), ()).sersic


def test_a_member_without_flux_is_fixed_and_the_others_are_fitted_again(monkeypatch):
    # a surface brightness of zero is on its bound, so that all three starts are tried first
    solver = Solver(monkeypatch, *[(90.0, True, {1: {"I_e": 0.0}})] * 3, (91.0, True, {2: {"n": 1.0}}))
    fit = fit_jointly(problem_of(1, 2))
    assert all(p.fixed for p in parameters_of([solver.calls[3][0][0]]))
    assert fit.member(1).flags == Flag.FIT_REPLACED and fit.member(2).flags == 0
    assert fit.member(1).sersic.i_e == 10.0 and fit.member(2).sersic.n == 1.0 and fit.n_free == 8


def test_a_member_with_few_pixels_is_fixed(monkeypatch):
    mask = np.zeros((10, 10), dtype=bool)
    mask.flat[6:25] = True
    problem = problem_of(1, 2, mask=mask)
    # 6 pixels for 7 parameters
    assert has_few_pixels(problem.members[0], problem.pixels, problem.data)
    assert not has_few_pixels(problem.members[1], problem.pixels, problem.data)
    solver = Solver(monkeypatch, (90.0, True, {}))
    fit = fit_jointly(problem)
    assert all(p.fixed for p in parameters_of([solver.calls[0][0][0]]))
    assert fit.member(1).flags == Flag.FIT_REPLACED and fit.member(1).blocks[0].functions[0]["n"].error == 0.0


def test_a_group_without_pixels_or_members_is_not_fitted(monkeypatch):
    solver = Solver(monkeypatch)
    assert not fit_jointly(problem_of(1, mask=np.ones((10, 10), dtype=bool))).converged
    assert fit_jointly(problem_of()).members == () and not solver.calls


def test_a_fit_needs_more_pixels_than_parameters(monkeypatch):
    solver = Solver(monkeypatch, (1.0, True, {}))
    mask = np.ones((10, 10), dtype=bool)
    mask.flat[:8] = False
    assert fit_once([block(1)], problem_of(1, mask=mask)) is None and not solver.calls
    mask.flat[8] = False
    assert fit_once([block(1)], problem_of(1, mask=mask)) is not None


def test_a_failure_of_imfit_is_logged(monkeypatch, caplog):
    Solver(monkeypatch, RuntimeError("no memory"))
    assert fit_once([block(1)], problem_of(1)) is None
    assert "IMFIT failed: no memory" in caplog.text


# Start values -------------------------------------------------------------------------------------------------------


def started(name, value):
    """Return a parameter of the next start after a fit that ended at `value`."""
    (start,) = as_start_values((block(1, **{name: value}),), (block(1),))
    return next(p.value for p in start.parameters if p.name == name)


def test_a_value_far_from_its_limits_is_the_next_start():
    assert started("n", 3.0) == 3.0 and started("PA", 500.0) == 500.0


def test_a_value_on_a_limit_starts_inside():
    # 5 % of the range of 7.9 for a value of 8, and of the automatic start of 2 for a value of 0.1
    assert started("n", 8.0) == pytest.approx(8.0 - 0.395) and started("n", 0.1) == pytest.approx(0.1 + 0.1)
    # ell: 5 % of 1, or of the range if that is smaller
    assert started("ell", 0.0) == pytest.approx(0.05 * 0.95)
    # X0: 5 % of the range of 6 pixels, not of the value of 205
    assert started("X0", 208.0) == pytest.approx(208.0 - 0.3)


def test_limits_and_fixed_values_are_those_of_the_automatic_start():
    automatic = block(1)
    automatic = automatic.with_parameters(
        [replace(p, fixed=True, lower=None, upper=None) if p.name == "n" else p for p in automatic.parameters]
    )
    (start,) = as_start_values((with_variances((block(1, n=3.0, r_e=5.0),), None)[0],), (automatic,))
    assert start.functions[0]["n"] == Parameter("n", 2.0, fixed=True)
    assert start.functions[0]["r_e"] == Parameter("r_e", 5.0, 0.5, 20.0)


def test_new_values_are_given_to_free_parameters_of_sersic_functions_only():
    point = Function("PointSource", (Parameter("I_tot", 5.0),))
    sersic = Function("Sersic", (Parameter("n", 4.0, fixed=True), Parameter("r_e", 3.0, 0.1, 5.0)))
    (found,) = with_new_sersic_values(
        (Block(None, None, (sersic, point)),), lambda values: {"n": 1.0, "r_e": 3.0 * values["r_e"]}
    )
    assert found.functions[0]["n"].value == 4.0 and found.functions[0]["r_e"].value == 5.0
    assert found.functions[1] == point


def test_all_parameters_can_be_fixed():
    (fixed,) = all_fixed((block(1),))
    assert all(p.fixed for p in fixed.parameters) and fixed.functions[0]["n"].value == 2.0


# Results ------------------------------------------------------------------------------------------------------------


def test_errors_are_the_roots_of_the_variances():
    blocks = (Block(None, None, (Function("Moffat", (Parameter("fwhm", 3.0), Parameter("beta", 2.0))),)),)
    assert [p.error for p in parameters_of(with_variances(blocks, [4.0, 0.25]))] == [2.0, 0.5]
    assert [p.error for p in parameters_of(with_variances(blocks, None))] == [0.0, 0.0]


def test_automatic_models_carry_the_reason():
    problem = problem_of(1)
    member = replace(problem.members[0], flags=int(Flag.OVERRIDDEN), covariance=((1.0,),))
    fit = automatic_fit(replace(problem, members=(member,)), Flag.FIT_TIMED_OUT)
    assert Flag(fit.member(1).flags) == Flag.OVERRIDDEN | Flag.FIT_REPLACED | Flag.FIT_TIMED_OUT
    assert fit.member(1).covariance == () and fit.sky.error == 0.0 and fit.n_free == 0


def test_parameters_keep_their_blocks():
    blocks = (block(1), block(2))
    assert with_parameters(blocks, parameters_of(blocks)) == blocks
