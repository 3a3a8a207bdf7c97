from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group, star
from unblend.core.errors import OverrideError
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.fit_settings import DEFAULTS, FitSettings
from unblend.fits.overrides import parse_override
from unblend.fits.passes import (
    evaluate_members,
    first_pass_as_final,
    fit_first_pass,
    fit_second_pass,
    replacement_fit,
)
from unblend.fits.result import GroupFit, best_config, block_sersic, function_flux, single_configs, start_config

BRIGHT = (24.3, 20.6, 3000.0, 1.0, 4.0, 0.4, 30.0)
FAINT = (30.0, 33.0, 2000.0, 2.0, 3.0, 0.2, 80.0)


def fitted(data, text=None):
    overrides = {1: parse_override(text, "overrides/1.dat")} if text else {}
    return fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf(), overrides))


@pytest.fixture(scope="module")
def pair():
    data = group([galaxy(*BRIGHT), galaxy(*FAINT)])
    return data, fit_first_pass(data, fitting_psf())


@pytest.fixture(scope="module")
def pair_fit(pair):
    return fit_second_pass(pair[0], fitting_psf(), pair[1])


def check(member, truth, sigmas=4.0):
    """Compare position, angle, shape and flux with the truth, in units of the errors of the fit."""
    y, x, flux, n, r_e, ell, pa = truth
    found = member.sersic
    error = np.sqrt(np.diag(member.covariance))
    values = np.array([found.x, found.y, found.pa, found.ell, found.n, found.r_e])
    expected = np.array([BOX.x0 + x, BOX.y0 + y, pa, ell, n, r_e])
    assert np.all(np.abs(values - expected) < sigmas * error[[0, 1, 2, 3, 4, 6]])
    assert found.total_flux == pytest.approx(flux, rel=0.05)


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_one_galaxy(n):
    truth = (24.3, 20.6, 3000.0, n, 4.0, 0.4, 30.0)
    fit = fitted(group([galaxy(*truth)]))
    assert fit.converged and fit.members[0].flags == 0
    assert fit.reduced_chi2 == pytest.approx(1.0, abs=0.1)  # 2700 pixels: 4 sigma
    check(fit.members[0], truth)
    assert not fit.members[0].single  # there is no other source to mask


def test_two_blended_galaxies(pair, pair_fit):
    assert pair_fit.converged
    check(pair_fit.member(1), BRIGHT)
    check(pair_fit.member(2), FAINT)
    # of the same pixels, to the tolerance of the minimum
    assert pair_fit.exact_chi2 <= pair[1].chi2 + 1e-3 < pair_fit.chi2 + 1.0
    assert pair_fit.names[0] == "1.X0" and pair_fit.names[7] == "2.X0" and pair_fit.names[-1] == "sky"
    whole = np.array(pair_fit.covariance)
    assert whole.shape == (15, 15)
    assert np.array_equal(whole[7:14, 7:14], np.array(pair_fit.member(2).covariance))
    assert np.allclose(whole, whole.T) and np.linalg.eigvalsh(whole).min() > 0
    assert pair_fit.sky.error == pytest.approx(np.sqrt(whole[-1, -1]))


def test_without_imfit_beside_it_the_fit_is_the_same(pair, pair_fit):
    fit = fit_second_pass(pair[0], fitting_psf(), pair[1], FitSettings(imfit=False))
    assert fit.by_imfit is None and np.isnan(fit.chi2) and np.isfinite(fit.reduced_chi2)
    assert replace(fit, chi2=0.0, evaluations=0, solver="") == replace(pair_fit, chi2=0.0, evaluations=0, solver="")


def test_the_fit_does_not_depend_on_the_order_of_members(pair, pair_fit):
    swapped = replace(pair[0], members=(2, 1))
    other = fit_second_pass(swapped, fitting_psf(), fit_first_pass(swapped, fitting_psf()))
    for id_ in (1, 2):
        # equal to much less than the errors, but not to the last bit because the order of sums differs
        assert other.member(id_).sersic.total_flux == pytest.approx(pair_fit.member(id_).sersic.total_flux, rel=1e-3)


def test_a_fit_is_restored_exactly_from_json(pair_fit):
    text = json.dumps(pair_fit.to_dict())
    again = GroupFit.from_dict(json.loads(text))
    assert again == pair_fit
    assert json.dumps(again.to_dict()) == text
    assert "seconds" not in text


def test_the_same_fit_in_another_process_is_identical(pair_fit):
    code = (
        "import json, test_passes as t\n"
        "t.fitted(t.group([t.star(25.0, 25.0, 900.0)], seed=5))\n"  # another fit before it
        "data = t.group([t.galaxy(*t.BRIGHT), t.galaxy(*t.FAINT)])\n"
        "print(json.dumps(t.fitted(data).to_dict()))"
    )
    paths = [str(Path(__file__).parent), *(str(path) for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == json.dumps(pair_fit.to_dict())


def test_configuration_files_of_a_fit(pair, pair_fit):
    start, best = start_config(pair_fit), best_config(pair_fit)
    assert [block.id for block in start.blocks] == [1, 2, None]
    assert start.blocks[0].functions[0]["n"].error is None and start.blocks[0].functions[0]["n"].upper == 8.0
    assert best.blocks[0] == pair_fit.member(1).blocks[0]
    alone, alone_best = single_configs(pair_fit, 2)
    assert alone.blocks[0] == pair_fit.member(2).automatic[0]
    assert alone_best.blocks[0] == pair_fit.member(2).single[0]
    # the second pass starts from the result of the first
    assert block_sersic(start.blocks[1]).n == pytest.approx(pair[1].member(2).sersic.n)


def test_images_of_single_members_add_up(pair_fit):
    light = evaluate_members(pair_fit, fitting_psf(), BOX, ids=[2])
    # the errors of n and r_e at this signal-to-noise ratio change 2 % of the peak
    assert np.abs(light - galaxy(*FAINT)).max() < 0.03 * light.max()
    both = evaluate_members(pair_fit, fitting_psf(), BOX)
    assert np.allclose(both - light, evaluate_members(pair_fit, fitting_psf(), BOX, ids=[1]), atol=1e-10)
    assert not evaluate_members(pair_fit, fitting_psf(), BOX, ids=[]).any()


def test_a_fixed_parameter_is_unchanged(pair):
    fit = fitted(group([galaxy(24.3, 20.6, 3000.0, 3.0, 4.0, 0.4, 30.0)]), "n 6 fixed\nr_e 5 1,10")
    member = fit.members[0]
    assert member.sersic.n == 6.0
    # the wings of a wrong index push the sky to its limit, which the flag reports
    assert Flag(member.flags) == Flag.OVERRIDDEN | Flag.SKY_ON_BOUND
    assert member.covariance[4] == (0.0,) * 7 and member.covariance[6][6] > 0
    # the error of that sky is its distance from the measured one, and enters that of the profile
    start = fit.sky_start
    assert fit.sky.error == pytest.approx(0.5 * (start.upper - start.lower), rel=1e-6)
    assert abs(np.array(fit.covariance)[-1, 6]) > 0.5 * fit.sky.error * np.sqrt(member.covariance[6][6])


def test_a_point_source_on_request():
    fit = fitted(group([star(24.3, 20.6, 3000.0)]), "FUNCTION PointSource\n")
    member = fit.members[0]
    assert Flag(member.flags) == Flag.OVERRIDDEN | Flag.POINT_SOURCE
    assert member.sersic is None
    flux = function_flux(member.blocks[0].functions[0])
    error = member.blocks[0].functions[0]["I_tot"].error
    assert abs(flux - 3000.0) < 4 * error and error < 10.0
    assert member.blocks[0].x0.value == pytest.approx(220.6, abs=0.02)  # 4 sigma
    assert fit.reduced_chi2 == pytest.approx(1.0, abs=0.1)


def test_several_functions_for_one_source():
    text = "FUNCTION Sersic\nn 4 fixed\nr_e 2 0.1,10\n"
    text += "FUNCTION Exponential\nPA 30 0,180\nell 0.4 0,0.9\nI_0 20 0,1e5\nh 3 0.1,20"
    fit = fitted(group([galaxy(*BRIGHT)]), text)
    assert [function.name for function in fit.members[0].blocks[0].functions] == ["Sersic", "Exponential"]
    assert len(fit.members[0].covariance) == 2 + 5 + 4
    assert "1.PA_2" in fit.names
    assert fit.reduced_chi2 == pytest.approx(1.0, abs=0.1)


def test_a_centre_off_the_cutout_is_an_error():
    with pytest.raises(OverrideError, match="1-based pixels of det_stack"):
        fitted(group([galaxy(*BRIGHT)]), "X0 20\n")


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf])
def test_an_image_that_cannot_be_fitted_gives_a_flagged_model(value):
    data = group([galaxy(*BRIGHT)])
    fit = fitted(replace(data, image=np.full(data.image.shape, value)))
    member = fit.members[0]
    assert member.sersic.total_flux > 0
    assert Flag(member.flags) & (Flag.FIT_REPLACED | Flag.FIT_ON_BOUND | Flag.SHAPE_UNCERTAIN)
    assert GroupFit.from_dict(json.loads(json.dumps(fit.to_dict()))).members == fit.members


def test_a_source_with_fewer_pixels_than_parameters_is_fixed_and_the_other_is_fitted():
    data = group([galaxy(*BRIGHT), galaxy(*FAINT)])
    mask = data.segments == 2
    mask[30, 33] = False
    fit = fitted(replace(data, mask=mask))
    assert Flag(fit.member(2).flags) & Flag.FIT_REPLACED and fit.member(2).covariance == ()
    assert not Flag(fit.member(1).flags) & Flag.FIT_REPLACED and len(fit.member(1).covariance) == 7


def test_a_fit_that_ran_out_of_time_is_replaced_by_the_automatic_models():
    data = group([galaxy(*BRIGHT), galaxy(*FAINT)])
    fit = replacement_fit(data, fitting_psf(), flag=Flag.FIT_TIMED_OUT)
    assert not fit.converged and np.isnan(fit.chi2)
    for member, truth in zip(fit.members, (BRIGHT, FAINT), strict=True):
        assert Flag(member.flags) == Flag.FIT_TIMED_OUT | Flag.FIT_REPLACED
        assert member.sersic.total_flux == pytest.approx(truth[2], rel=0.25)  # a start, not a fit


def test_a_first_pass_in_place_of_the_second_has_all_that_later_stages_need(pair, pair_fit):
    data, first = pair
    fit = first_pass_as_final(data, fitting_psf(), first, Flag.FIT_TIMED_OUT)
    assert fit.converged and fit.names == pair_fit.names and fit.n_free == pair_fit.n_free
    assert fit.chi2 == pytest.approx(first.chi2, rel=1e-6) and fit.n_pixels == pair_fit.n_pixels
    for member, own in zip(fit.members, first.members, strict=True):
        assert member.flags == own.flags | Flag.FIT_TIMED_OUT
        assert member.sersic == own.sersic
        final = pair_fit.member(member.id)
        assert member.chi2_segment == pytest.approx(final.chi2_segment, rel=0.01)
        np.testing.assert_allclose(np.diag(member.covariance), np.diag(final.covariance), rtol=0.1)
    # with the neighbours subtracted the background level differs, and chi2 is that of the new pixels
    brighter = first_pass_as_final(replace(data, image=data.image + 1.0), fitting_psf(), first, Flag.FIT_RETRIED)
    assert brighter.chi2 > fit.chi2 + 1000.0 and brighter.members[0].flags & Flag.FIT_RETRIED
    assert GroupFit.from_dict(json.loads(json.dumps(fit.to_dict()))) == fit


def test_the_second_pass_recovers_from_a_replaced_first_one():
    data = group([galaxy(*BRIGHT)])
    fit = fit_second_pass(data, fitting_psf(), replacement_fit(data, fitting_psf()))
    assert not fit.members[0].flags & Flag.FIT_REPLACED
    check(fit.members[0], BRIGHT)


def test_a_group_of_custom_models_only():
    fit = fitted(group([galaxy(*BRIGHT)], members=(), subtracted=(1,)))
    assert fit.members == () and not evaluate_members(fit, fitting_psf(), BOX).any()


def test_an_undetected_blend_is_flagged():
    data = group([galaxy(24.0, 20.0, 3000.0, 1.0, 3.0, 0.3, 30.0) + star(28.0, 24.0, 900.0)])
    assert fitted(data).members[0].flags & Flag.FIT_POOR_CHI2


def test_a_round_galaxy_does_not_end_at_zero_ellipticity():
    found = []
    for seed in range(3):
        fit = fitted(group([galaxy(24.3, 20.6, 3000.0, 1.0, 4.0, 0.06, 30.0)], seed=seed))
        found.append(fit.members[0].sersic.ell)
    # error of ell 0.012
    assert all(abs(ell - 0.06) < 0.05 for ell in found)


def test_the_box_may_extend_beyond_the_image():
    data = group([galaxy(*BRIGHT)])
    data.image[:5] = np.nan
    data.error[:5] = np.nan
    moved = replace(data, box=Box(-5, -7, 47, 45))
    assert fitted(moved).members[0].sersic.y == pytest.approx(19.3, abs=0.1)


def test_a_star_becomes_a_point_source_and_a_compact_galaxy_does_not():
    found = fitted(group([star(24.3, 20.6, 5000.0)]))
    assert found.members[0].flags & Flag.POINT_SOURCE
    # S/N 800: four sigma are 0.5 %
    assert function_flux(found.members[0].blocks[0].functions[0]) == pytest.approx(5000.0, rel=5e-3)
    compact = fitted(group([galaxy(24.3, 20.6, 3000.0, 1.0, 1.0, 0.2, 30.0)]))
    assert compact.members[0].sersic is not None and not compact.members[0].flags & Flag.POINT_SOURCE


def test_a_faint_source_does_not_become_a_point_source():
    """A small faint galaxy would lose flux as a point source, and at S/N 14 noise decides which chi2 is lower."""
    faint = fitted(group([star(24.3, 20.6, 150.0)])).members[0]
    assert faint.sersic is not None and faint.sersic.r_e < DEFAULTS.unresolved_r_e
    assert not faint.flags & Flag.POINT_SOURCE
