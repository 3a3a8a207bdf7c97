"""Galaxies of bulge and disc become two profiles where the pixels ask for it; smooth galaxies stay one."""

from __future__ import annotations

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits import bulge_disc
from unblend.fits.component_table import component_table
from unblend.fits.fit_settings import FitSettings
from unblend.fits.passes import fit_first_pass, fit_second_pass
from unblend.fits.result import GroupFit
from unblend.fits.sky_level import SkyLevel

SKY = SkyLevel(0.0, 0.02)
BULGE, DISC = (1800.0, 3.0, 1.5, 0.1, 60.0), (3000.0, 1.0, 5.0, 0.5, 40.0)
FLUX = BULGE[0] + DISC[0]


def light(y=25.2, x=24.7, parts=(BULGE, DISC)):
    return sum((galaxy(y, x, *part) for part in parts), np.zeros(()))


def fitted(lights, seed=1, components="auto", rms=1.0) -> GroupFit:
    data, psf = group(lights, rms, seed, sky_around=SKY), fitting_psf()
    return fit_second_pass(data, psf, fit_first_pass(data, psf, settings=FitSettings(components=components)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bulge_and_disc_are_found_and_their_flux_is_right(seed):
    member = fitted([light()], seed, rms=0.5).members[0]
    bulge, disc = member.components
    assert member.is_bulge_and_disc and not member.flags & Flag.FIT_POOR_CHI2
    assert (bulge.y, bulge.x) == pytest.approx((125.2, 224.7), abs=0.03)
    assert bulge.total_flux / member.flux == pytest.approx(BULGE[0] / FLUX, abs=0.1)
    assert disc.r_e == pytest.approx(DISC[2], rel=0.1) and bulge.r_e == pytest.approx(BULGE[2], rel=0.35)
    assert member.flux == pytest.approx(FLUX, rel=0.015)
    # one profile is 3 % too bright
    single = fitted([light()], seed, "single", rms=0.5).members[0]
    assert single.sersic is not None and single.flux > 1.025 * FLUX
    # and is what the table has
    assert member.one_profile[0].functions[0]["n"].value == pytest.approx(single.sersic.n, rel=0.15)


def test_errors_of_the_flux_and_the_shapes_are_right():
    pulls = []
    for seed in range(10, 22):
        fit = fitted([light()], seed)
        assert fit.members[0].is_bulge_and_disc
        row = component_table({1: fit}, {1: [1]}, set())[0]
        assert row["covariance"].shape == (10, 10) and row["n_err"][1] == 0.0
        pulls += [(row["r_e"][1] - DISC[2]) / row["r_e_err"][1], (row["ell"][1] - DISC[3]) / row["ell_err"][1]]
    # 24 pulls: their rms is known to 0.15
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.45)


@pytest.mark.parametrize("n", [0.6, 1.0, 2.5, 4.0])
def test_a_smooth_galaxy_stays_one_profile(n):
    for seed in (4, 5, 6):
        member = fitted([galaxy(25.2, 24.7, FLUX, n, 4.0, 0.4, 40.0)], seed).members[0]
        assert member.sersic is not None and not member.one_profile


def test_a_star_and_a_faint_galaxy_stay_as_they_are():
    assert not fitted([light(parts=((20_000.0, 1.0, 0.01, 0.0, 0.0),))]).members[0].one_profile
    faint = [light(parts=tuple((0.05 * part[0], *part[1:]) for part in (BULGE, DISC)))]
    assert not fitted(faint).members[0].one_profile


def test_the_other_members_of_a_group_are_fitted_with_it():
    other = galaxy(33.0, 38.0, 1500.0, 1.0, 2.5, 0.2, 10.0)
    fit = fitted([light(), other])
    assert fit.member(1).is_bulge_and_disc and fit.member(2).sersic is not None
    assert fit.member(1).flux == pytest.approx(FLUX, rel=0.04)
    assert fit.member(2).flux == pytest.approx(1500.0, rel=0.05)


def test_correlated_noise_asks_for_a_larger_gain():
    data, psf = group([light()], 1.0, 1, sky_around=SKY, smoothing=2.5), fitting_psf()
    # the sum of the autocorrelation is 79: the same chi2 says little
    assert not fit_first_pass(data, psf).members[0].one_profile


def test_a_fit_is_restored_from_its_file():
    fit = fitted([light()])
    assert GroupFit.from_dict(fit.to_dict()) == fit and fit.members[0].one_profile


def test_the_bulge_is_the_smaller_profile():
    fit = fitted([light()])
    block = fit.members[0].blocks[0]
    assert bulge_disc._is_bulge_in_disc(block)
    swapped = type(block)(block.y0, block.x0, block.functions[::-1], block.id)
    assert not bulge_disc._is_bulge_in_disc(swapped)


def test_knots_are_left_to_the_detail(monkeypatch):
    knots = [(20, 29), (30, 20), (19, 23), (31, 27)]
    clumpy = [light() + sum(galaxy(y, x, 250.0, 1.0, 0.7, 0.0, 0.0) for y, x in knots)]
    member = fitted(clumpy).members[0]
    assert not member.one_profile and member.flags & Flag.FIT_POOR_CHI2
    # chi2 alone asks for two profiles
    monkeypatch.setattr(bulge_disc, "MIN_EXPLAINED", 0.0)
    assert fitted(clumpy).members[0].one_profile


def test_an_index_on_its_limit_is_fixed_there():
    flat = (2500.0, 0.3, 3.0, 0.2, 60.0)  # as flat as a bar
    member = fitted([light(parts=(flat, (3000.0, 1.0, 7.0, 0.2, 40.0)))], rms=0.3).members[0]
    assert member.one_profile and not member.flags & Flag.FIT_ON_BOUND
    index = member.blocks[0].functions[0]["n"]
    assert (index.value, index.fixed, index.error) == (0.5, True, 0.0)
