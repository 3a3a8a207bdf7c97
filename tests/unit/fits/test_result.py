from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.result import (
    GroupFit,
    MemberFit,
    as_matrix,
    best_config,
    block_sersic,
    function_flux,
    sersic_block,
    single_configs,
    start_config,
)
from unblend.models.sersic import Sersic

P = Parameter
PROFILE = Sersic(125.0, 225.0, 30.0, 0.5, 1.0, 10.0, 4.0)
AUTOMATIC = sersic_block(PROFILE, 7, max_offset=3.0, r_e_range=(0.02, 20.0))
POINT = Function("PointSource", (P("I_tot", 50.0, 0.0, 1e3),))
SKY = P("I_sky", 0.25, -3.0, 3.0, error=0.125)


def point_block(id_=9):
    return Block(P("Y0", 110.0, 107.0, 113.0), P("X0", 210.0, 207.0, 213.0), (POINT,), id_)


def group_fit(*members, chi2=110.0, n_pixels=108, n_free=8, **more):
    start = P("I_sky", 0.0, -3.0, 3.0)
    return GroupFit(Box(100, 200, 150, 250), members, SKY, start, chi2, n_pixels, n_free, True, "LM", 50, **more)


def two_members():
    first = MemberFit(
        7, (AUTOMATIC,), (AUTOMATIC,), (AUTOMATIC,), single=(AUTOMATIC,), single_sky=0.5, flags=int(Flag.FIT_RETRIED),
        chi2_segment=1 / 3, covariance=((1.0, 0.1), (0.1, 2.0)),
    )  # fmt: skip
    second = MemberFit(9, (point_block(),), (point_block(),), (point_block(),))
    return group_fit(first, second, names=("7.n", "sky"), covariance=((0.1, 0.2), (0.2, 1 / 7)), seconds=2.5)


# The objects --------------------------------------------------------------------------------------------------------


def test_reduced_chi2():
    assert group_fit().reduced_chi2 == pytest.approx(1.1)
    assert math.isnan(group_fit(n_pixels=8).reduced_chi2) and math.isnan(group_fit(chi2=math.nan).reduced_chi2)


def test_a_member_is_found_by_its_id():
    fit = two_members()
    assert fit.member(9) is fit.members[1]


def test_the_profile_of_a_member():
    fit = two_members()
    assert fit.member(7).sersic == PROFILE and fit.member(9).sersic is None
    two_blocks = MemberFit(7, (AUTOMATIC, AUTOMATIC), (), ())
    assert two_blocks.sersic is None


def test_the_flux_of_a_member_is_the_sum_of_its_functions():
    member = MemberFit(7, (AUTOMATIC, point_block()), (), ())
    assert member.flux == pytest.approx(PROFILE.total_flux + 50.0)
    unknown = Block(P("Y0", 110.0), P("X0", 210.0), (POINT, Function("Exponential", (P("h", 3.0),))))
    assert math.isnan(replace(member, blocks=(unknown,)).flux)


def test_a_fit_is_restored_exactly_from_json():
    fit = two_members()
    text = json.dumps(fit.to_dict())
    restored = GroupFit.from_dict(json.loads(text))
    assert restored == fit and json.dumps(restored.to_dict()) == text
    assert restored.member(7).chi2_segment == 1 / 3 and restored.covariance[1][1] == 1 / 7


def test_the_processor_time_is_not_stored():
    assert "seconds" not in two_members().to_dict()
    assert GroupFit.from_dict(two_members().to_dict()).seconds == 0.0


def test_the_reduced_chi2_of_refined_models():
    fit = replace(two_members(), chi2=120.0, n_pixels=110, n_free=10)
    assert (fit.final_chi2, fit.reduced_chi2) == (120.0, 1.2)
    refined = replace(fit, exact_chi2=90.0, by_imfit=fit)
    assert (refined.chi2, refined.final_chi2, refined.reduced_chi2) == (120.0, 90.0, 0.9)
    assert "by_imfit" not in refined.to_dict() and GroupFit.from_dict(refined.to_dict()) == refined


def test_a_matrix_is_made_of_python_floats():
    matrix = as_matrix([[1, 2], [3, 4]])
    assert matrix == ((1.0, 2.0), (3.0, 4.0)) and all(type(value) is float for row in matrix for value in row)


# Profiles and fluxes ------------------------------------------------------------------------------------------------


def test_limits_of_a_profile():
    assert AUTOMATIC.y0 == P("Y0", 125.0, 122.0, 128.0) and AUTOMATIC.x0 == P("X0", 225.0, 222.0, 228.0)
    limits = {p.name: (p.lower, p.upper) for p in AUTOMATIC.functions[0].parameters}
    assert limits == {"PA": (None, None), "ell": (0.0, 0.95), "n": (0.1, 8.0), "I_e": (0.0, 1e7), "r_e": (0.02, 20.0)}


def test_start_values_are_moved_inside_the_limits():
    function = sersic_block(
        Sersic(1, 2, 3, 0.99, 9.0, 10.0, 40.0), 7, max_offset=3.0, r_e_range=(0.02, 20.0)
    ).functions[0]
    assert (function["ell"].value, function["n"].value, function["r_e"].value) == (0.95, 8.0, 20.0)


def test_a_block_with_other_functions_has_no_profile():
    assert block_sersic(AUTOMATIC) == PROFILE
    assert block_sersic(point_block()) is None
    assert block_sersic(Block(AUTOMATIC.y0, AUTOMATIC.x0, (AUTOMATIC.functions[0], POINT), 7)) is None
    assert block_sersic(Block(None, AUTOMATIC.x0, AUTOMATIC.functions, 7)) is None


def test_total_fluxes():
    # an exponential disc: I_e = I_0 exp(-b) and r_e = b h with b = 1.678347, so that the flux is 2 pi h² q I_0
    b = 1.6783469900166605
    expected = 2 * math.pi * (4.0 / b) ** 2 * 0.5 * 10.0 * math.exp(b)
    assert function_flux(AUTOMATIC.functions[0]) == pytest.approx(expected, rel=1e-6)
    assert function_flux(POINT) == 50.0
    assert function_flux(Function("Gaussian", (P("I_0", 1.0),))) is None


# Configuration files ------------------------------------------------------------------------------------------------


def test_the_configuration_of_the_start():
    config = start_config(two_members())
    assert [block.id for block in config.blocks] == [7, 9, None]
    assert config.blocks[0] == AUTOMATIC
    assert config.blocks[2].functions[0]["I_sky"] == P("I_sky", 0.0, -3.0, 3.0)


def test_the_configuration_of_the_best_fit_has_errors():
    sky = best_config(two_members()).blocks[2]
    assert sky.functions[0]["I_sky"] == SKY
    # the centre of the sky is fixed, with an error of zero as IMFIT writes it
    assert sky.x0 == P("X0", 0.0, fixed=True, error=0.0)


def test_the_configurations_of_a_source_fitted_alone():
    start, best = single_configs(two_members(), 7)
    assert [block.id for block in start.blocks] == [7, None]
    assert best.blocks[1].functions[0]["I_sky"].value == 0.5 and best.blocks[1].functions[0]["I_sky"].error == 0.0


def test_a_source_without_a_fit_of_its_own_has_the_configurations_of_its_group():
    fit = two_members()
    assert single_configs(fit, 9) == (start_config(fit), best_config(fit))
