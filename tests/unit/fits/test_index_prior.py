from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.group_data import group_starts
from unblend.fits.imfit import parameters_of, with_parameters
from unblend.fits.index_prior import (
    BOUND_SIGMAS,
    SIGMA_LN_N,
    TYPICAL_N,
    fit_indices_with_prior,
    prior_sigmas,
    with_fixed_index,
)
from unblend.fits.joint_fit import Problem, fit_jointly
from unblend.fits.overrides import parse_override
from unblend.fits.passes import fit_first_pass, fit_second_pass

FAINT = (24.3, 20.6, 90.0, 1.0, 4.0, 0.4, 30.0)


def faint_fit(rms=0.8, text=None):
    data = group([galaxy(*FAINT)], rms=rms, seed=4)
    overrides = {1: parse_override(text, "overrides/1.dat")} if text else {}
    return fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf(), overrides))


def test_a_faint_source_has_a_probable_index_and_its_uncertainty():
    member = faint_fit().members[0]
    assert member.flags & Flag.SHAPE_FIXED
    # within three sigma of the prior; the error is smaller than that of the prior alone
    assert abs(math.log(member.sersic.n / TYPICAL_N)) < 3 * SIGMA_LN_N
    index = np.array(member.covariance)[4]
    assert 0.1 * member.sersic.n < math.sqrt(index[4]) < SIGMA_LN_N * member.sersic.n
    assert member.blocks[0].functions[0]["n"].error == pytest.approx(math.sqrt(index[4]))
    # n is correlated with r_e and with the surface brightness there
    assert abs(index[5]) > 0 and abs(index[6]) > 0


def test_the_index_of_a_bright_source_is_fitted():
    member = faint_fit(rms=0.1).members[0]
    assert not member.flags & Flag.SHAPE_FIXED and not member.blocks[0].functions[0]["n"].fixed


def test_an_index_fixed_by_the_user_has_no_error():
    member = faint_fit(text="n 3 fixed").members[0]
    assert not member.flags & Flag.SHAPE_FIXED and member.sersic.n == 3.0
    assert not np.array(member.covariance)[4].any()


def test_the_index_minimises_the_sum_of_chi2_and_prior():
    data = group([galaxy(*FAINT)], rms=0.8, seed=4)
    first = fit_first_pass(data, fitting_psf())
    members, sky, pixels = group_starts(data, fitting_psf(), {})
    problem = Problem(tuple(members), sky, pixels, data, fitting_psf(), 1e-6, retries=False)

    def penalised(n):
        member = with_fixed_index(replace(first.members[0], flags=0), n)
        fit = fit_jointly(replace(problem, members=(replace(member, start=member.automatic),)))
        return fit.chi2 + (math.log(n / TYPICAL_N) / SIGMA_LN_N) ** 2, fit

    fitted = fit_indices_with_prior(problem, penalised(TYPICAL_N)[1])
    found = fitted.members[0].sersic.n
    least = penalised(found)[0]
    # the steps end within a quarter of the prior's sigma of the minimum, which changes the sum by less than 0.1
    assert least < penalised(found * 1.3)[0] + 0.1 and least < penalised(found / 1.3)[0] + 0.1
    assert min(penalised(found * 3.0)[0], penalised(found / 3.0)[0]) > least + 0.5


def with_values(member, flags=0, **values):
    """Return a member with parameters of its function replaced."""
    changed = [replace(p, value=values.get(p.name, p.value)) for p in parameters_of(member.automatic)]
    return replace(member, blocks=with_parameters(member.automatic, changed), flags=int(flags))


def test_parameters_on_a_bound_have_a_prior():
    (member,), _, _ = group_starts(group([galaxy(*FAINT)], rms=0.8, seed=4), fitting_psf(), {})
    assert prior_sigmas([with_values(member)]) == {}
    # X0, Y0, PA, ell, n, I_e, r_e
    assert prior_sigmas([with_values(member, n=8.0)]) == {4: 8.0 * SIGMA_LN_N}
    assert prior_sigmas([with_values(member, ell=0.0)]) == {3: BOUND_SIGMAS["ell"]}
    largest = member.automatic[0].functions[0]["r_e"].upper
    assert prior_sigmas([with_values(member, r_e=largest)]) == {6: 0.5 * largest}
    # the second of two members, and a replaced one, whose covariance is unknown
    assert list(prior_sigmas([with_values(member), with_values(member, n=8.0)])) == [11]
    assert prior_sigmas([with_values(member, Flag.FIT_REPLACED, n=8.0)]) == {}


def test_an_index_on_a_bound_has_a_finite_error():
    data = group([galaxy(24.3, 20.6, 8000.0, 6.0, 3.0, 0.2, 30.0)])
    overrides = {1: parse_override("n 2 0.1,2", "overrides/1.dat")}
    fit = fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf(), overrides))
    member = fit.members[0]
    assert member.flags & Flag.FIT_ON_BOUND and member.sersic.n == 2.0
    error = member.blocks[0].functions[0]["n"].error
    # without a bound the data would give n to a few per cent at this S/N
    assert 0.01 < error < 0.5 * SIGMA_LN_N * 2.0
