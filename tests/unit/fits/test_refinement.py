"""IMFIT's result refined with exact profiles; the galaxies are drawn by GalSim."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group, star
from unblend.core.flags import Flag
from unblend.fits import crowded_fit, refinement
from unblend.fits.exact_model import ExactModel
from unblend.fits.fit_settings import FitSettings
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import parameters_of, with_parameters
from unblend.fits.index_prior import SIGMA_LN_N, TYPICAL_N
from unblend.fits.overrides import parse_override
from unblend.fits.passes import fit_first_pass, fit_second_pass
from unblend.fits.refinement import exact_image, refined
from unblend.fits.result import GroupFit, function_flux
from unblend.fits.sky_level import SkyLevel

BY_IMFIT = FitSettings(refine="none")


def fitted(data, text=None, settings=FitSettings()):  # noqa: B008
    overrides = {1: parse_override(text, "overrides/1.dat")} if text else {}
    return fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf(), overrides), settings)


def one(n, r_e, snr=300.0, noise=0.0, seed=1):
    """Return the flux and the fit group of one galaxy; the error of a pixel is 1 also without noise."""
    light = galaxy(24.3, 20.6, 1.0, n, r_e, 0.4, 30.0)
    flux = snr / float(np.sqrt((light**2).sum()))
    data = group([flux * light], seed=seed, sky_around=SkyLevel(0.0, 0.01))
    return flux, replace(data, image=flux * light + noise * (data.image - flux * light))


def model_of(data):
    return ExactModel(group_pixels(data), fitting_psf())


def chi2_of(fit, data):
    """Return chi2 of a fit's parameters with exact profiles."""
    pixels = group_pixels(data)
    return float((((pixels.image - exact_image(fit, model_of(data))) / pixels.error)[~pixels.mask] ** 2).sum())


@pytest.mark.parametrize(
    ("n", "r_e", "bias"), [(4.0, 1.0, 0.005), (6.0, 1.0, 0.01), (6.0, 3.0, 0.005), (1.0, 0.7, 0.002)]
)
def test_the_core_of_a_steep_profile(n, r_e, bias):
    flux, data = one(n, r_e)
    fit = fitted(data)
    found, by_imfit = fit.members[0].sersic, fit.by_imfit.members[0].sersic
    assert abs(by_imfit.total_flux / flux - 1.0) > bias
    # 0.1 % of the light of the PSF is outside its crop
    assert found.total_flux == pytest.approx(flux, rel=3e-3)
    assert found.n == pytest.approx(n, rel=0.01) and found.r_e == pytest.approx(r_e, rel=0.005)
    assert (found.y - BOX.y0, found.x - BOX.x0) == pytest.approx((24.3, 20.6), abs=1e-3)


def test_the_refined_parameters_are_the_minimum_of_the_exact_chi2():
    data = one(4.0, 1.5, snr=100.0, noise=1.0)[1]
    fit = fitted(data)
    assert fit.exact_chi2 == pytest.approx(chi2_of(fit, data), abs=1e-6)
    assert fit.exact_chi2 < chi2_of(fit.by_imfit, data)
    assert fit.chi2 == fit.by_imfit.chi2 and fit.reduced_chi2 == fit.exact_chi2 / (fit.n_pixels - fit.n_free)
    # chi2 grows by 1 in a step of sigma of one parameter alone, divided by its correlation with all others
    blocks, level = fit.members[0].blocks, fit.sky
    for k, p in enumerate(parameters_of(blocks)):
        for sign in (1.0, -1.0):
            moved = [
                replace(q, value=q.value + sign * 0.2 * p.error * (j == k)) for j, q in enumerate(parameters_of(blocks))
            ]
            member = replace(fit.members[0], blocks=with_parameters(blocks, moved))
            assert chi2_of(replace(fit, members=(member,), sky=level), data) > fit.exact_chi2 - 1e-3, p.name


def test_the_covariance_is_that_of_the_refined_parameters():
    """Index and position of galaxies with a steep core scatter by their errors; IMFIT's x is off by 2.7 sigma."""
    pulls = []
    for seed in range(12):
        _, data = one(4.0, 1.5, snr=100.0, noise=1.0, seed=seed)
        member = fitted(data).members[0]
        assert len(member.covariance) == 7
        x, _, _, _, n, *_ = parameters_of(member.blocks)
        pulls.append([(n.value - 4.0) / n.error, (x.value - BOX.x0 - 20.6) / x.error])
    # of twelve the mean scatters by 0.29 and the rms by 0.2
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.9) and np.all(np.abs(np.std(pulls, axis=0) - 1.0) < 0.6)


def test_without_the_refinement_the_result_is_that_of_imfit():
    fit = fitted(one(4.0, 1.0)[1], settings=BY_IMFIT)
    assert fit.by_imfit is None and fit.exact_chi2 is None
    assert fit.final_chi2 == fit.chi2


def test_a_limit_is_kept_and_reached():
    _, data = one(4.0, 2.0)
    fit = fitted(data, "n 2.5 2,3\n")
    index = fit.members[0].blocks[0].functions[0]["n"]
    assert index.value == 3.0 and index.on_bound and (index.lower, index.upper) == (2.0, 3.0)
    assert fit.by_imfit is not None and fit.members[0].flags & Flag.FIT_ON_BOUND


def test_a_fixed_parameter_is_unchanged():
    fit = fitted(one(4.0, 2.0)[1], "n 3 fixed\nPA 25 fixed\n")
    profile = fit.members[0].sersic
    assert (profile.n, profile.pa) == (3.0, 25.0)
    assert fit.by_imfit is not None and profile.r_e != fit.by_imfit.members[0].sersic.r_e


def test_the_sky_stays_inside_its_limits():
    """Light that no profile has pushes the sky to its upper limit, against its prior."""
    _, data = one(4.0, 2.0)
    fit = fitted(data)
    tight = replace(fit.by_imfit.sky, value=-0.02, lower=-0.03, upper=-0.01, fixed=False)
    brighter = replace(data, image=data.image + 0.5)
    again = refined(replace(fit.by_imfit, sky=tight), model_of(brighter), brighter)
    assert again.by_imfit is not None and again.sky.value == -0.01


def test_an_index_that_starts_on_its_limit_may_leave_it():
    """IMFIT's samples of a profile smaller than a pixel may drive n to 0.1 (true: 1)."""
    light = galaxy(24.3, 20.6, 1.0, 1.0, 0.7, 0.4, 30.0)
    data = group([100.0 / np.sqrt((light**2).sum()) * light], seed=3)
    fit = fitted(data).by_imfit
    at_limit = [replace(p, value=p.lower) if p.name == "n" else p for p in parameters_of(fit.members[0].blocks)]
    member = replace(fit.members[0], blocks=with_parameters(fit.members[0].blocks, at_limit))
    assert member.sersic.n == pytest.approx(0.1)
    assert 1.0 < refined(replace(fit, members=(member,)), model_of(data), data).members[0].sersic.n < 3.0


def test_a_faint_source_keeps_the_prior_of_its_index():
    data = one(2.0, 2.5, snr=14.0, noise=1.0)[1]
    fit = fitted(data)
    member = fit.members[0]
    assert member.flags & Flag.SHAPE_FIXED and fit.by_imfit is not None
    index = member.blocks[0].functions[0]["n"]
    assert index.fixed and index.error > 0

    def objective(found):
        n = found.members[0].sersic.n
        return chi2_of(found, data) + (np.log(n / TYPICAL_N) / SIGMA_LN_N) ** 2

    assert objective(fit) <= objective(fit.by_imfit) + 1e-6
    # without the prior the best index is another one
    free = [replace(p, fixed=False, lower=0.2, upper=8.0) if p.name == "n" else p for p in parameters_of(member.blocks)]
    known = replace(member, blocks=with_parameters(member.blocks, free), flags=0)
    without = refined(replace(fit, members=(known,)), model_of(data), data)
    assert abs(np.log(without.members[0].sersic.n / TYPICAL_N)) > abs(np.log(member.sersic.n / TYPICAL_N))


def test_a_star_between_pixels():
    data = group([star(24.47, 20.52, 3000.0)])
    data = replace(data, image=star(24.47, 20.52, 3000.0))
    fit = fitted(data, "FUNCTION PointSource\n")
    assert fit.by_imfit is not None and fit.exact_chi2 < 0.1 * fit.chi2
    centre = fit.members[0].blocks[0]
    assert (centre.y0.value - BOX.y0, centre.x0.value - BOX.x0) == pytest.approx((24.47, 20.52), abs=1e-3)
    assert function_flux(centre.functions[0]) == pytest.approx(3000.0, rel=2e-3)


def test_other_functions_of_the_user_stay_as_imfit_fitted_them():
    text = "FUNCTION Sersic\nn 4 fixed\nr_e 1.5 0.1,10\n"
    text += "FUNCTION Exponential\nPA 30 0,180\nell 0.4 0,0.9\nI_0 20 0,1e5\nh 3 0.1,20"
    light = galaxy(24.3, 20.6, 2000.0, 4.0, 1.5, 0.2, 80.0) + galaxy(24.3, 20.6, 3000.0, 1.0, 5.0, 0.5, 30.0)
    fit = fitted(group([light]), text)
    assert fit.by_imfit is not None
    ours, imfits = fit.members[0].blocks[0], fit.by_imfit.members[0].blocks[0]
    values = [[p.value for p in b.functions[1].parameters] + [b.y0.value, b.x0.value] for b in (ours, imfits)]
    assert values[0] == values[1]
    assert ours.functions[0]["r_e"].value != imfits.functions[0]["r_e"].value
    # their uncertainty stays in the covariance
    assert all(p.error > 0 for p in ours.functions[1].parameters)


class Unchanged(ExactModel):
    """A model whose residual does not follow its derivatives: it is the same for all parameters."""

    def linearise(self, blocks, extra=()):
        indices, jacobian, residual = super().linearise(blocks, extra)
        self.first = getattr(self, "first", residual)
        return indices, jacobian, self.first

    def image(self, blocks):
        self.blocks = getattr(self, "blocks", blocks)
        return super().image(self.blocks)


class NotFinite(ExactModel):
    def linearise(self, blocks, extra=()):
        indices, jacobian, residual = super().linearise(blocks, extra)
        return indices, jacobian, np.nan * residual


@pytest.mark.parametrize("kind", [Unchanged, NotFinite])
def test_where_chi2_cannot_be_lowered_the_result_is_that_of_imfit(kind, caplog):
    data = one(4.0, 1.0)[1]
    fit = fitted(data, settings=BY_IMFIT)
    assert refined(fit, kind(group_pixels(data), fitting_psf()), data) is fit
    assert "IMFIT's result is kept" in caplog.text


def test_a_centre_that_moves_onto_another_source_is_not_accepted(monkeypatch, caplog):
    data = one(4.0, 1.0)[1]
    fit = fitted(data, settings=BY_IMFIT)
    monkeypatch.setattr(refinement, "members_off_segment", lambda found, _: {1} if found.exact_chi2 else set())
    assert refined(fit, model_of(data), data) is fit
    assert "moved onto another source" in caplog.text


def test_a_failed_refinement_still_has_a_covariance(monkeypatch):
    monkeypatch.setattr(refinement, "members_off_segment", lambda found, _: {1} if found.exact_chi2 else set())
    fit = fitted(one(4.0, 2.0, snr=100.0, noise=1.0)[1])
    assert fit.by_imfit is None and len(fit.members[0].covariance) == 7 and fit.members[0].chi2_segment is not None


def test_a_replaced_member_is_not_changed():
    light = [galaxy(24.3, 20.6, 3000.0, 4.0, 2.0, 0.4, 30.0), galaxy(30.0, 33.0, 2000.0, 2.0, 3.0, 0.2, 80.0)]
    data = group(light)
    mask = data.segments == 2
    mask[30, 33] = False
    fit = fitted(replace(data, mask=mask))
    assert fit.member(2).flags & Flag.FIT_REPLACED and fit.by_imfit is not None
    assert fit.member(2).sersic == fit.by_imfit.member(2).sersic
    assert fit.member(1).sersic != fit.by_imfit.member(1).sersic


def test_a_crowd_is_refined_like_a_small_group(monkeypatch):
    lights = [galaxy(24.3, 18.6, 3000.0, 4.0, 2.0, 0.4, 30.0), galaxy(30.0, 33.0, 2000.0, 2.0, 3.0, 0.2, 80.0)]
    data = group(lights)
    joint = fitted(data)
    monkeypatch.setattr(crowded_fit, "MAX_JOINT_SOURCES", 1)
    crowd = fitted(data)
    assert (joint.solver, crowd.solver) == ("LM", "LM source by source")
    # the minimum is that of chi2 and the prior of the sky; chi2 alone still changes with the sky there
    assert crowd.exact_chi2 == pytest.approx(joint.exact_chi2, abs=0.1)
    assert crowd.sky.value == pytest.approx(joint.sky.value, abs=0.1 * joint.sky.error)
    for id_ in (1, 2):
        assert crowd.member(id_).sersic.total_flux == pytest.approx(joint.member(id_).sersic.total_flux, rel=2e-3)


def test_a_refined_fit_is_restored_from_json():
    fit = fitted(one(4.0, 1.0)[1])
    again = GroupFit.from_dict(json.loads(json.dumps(fit.to_dict())))
    assert again == fit and again.exact_chi2 == fit.exact_chi2
    # IMFIT's own result is in its files
    assert again.by_imfit is None
