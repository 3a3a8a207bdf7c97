from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy, star
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits import crowded_fit
from unblend.fits.crowded_fit import fit_group
from unblend.fits.group_data import GroupData, group_starts
from unblend.fits.imfit import parameters_of, with_parameters
from unblend.fits.joint_fit import Problem
from unblend.fits.passes import evaluate_members, fit_first_pass, fit_second_pass

PLACES = [(14.0, 14.0), (15.0, 30.0), (30.0, 14.5), (33.0, 34.0), (46.0, 24.0)]
SIDE = 60


def crowd(places, seed=3, side=SIDE):
    """Return the true parameters and the fit group of galaxies with S/N 50 to 300 and r_e of 2 to 3 pixels."""
    rng = np.random.default_rng(seed)
    fluxes = np.linspace(2500.0, 700.0, len(places))
    shapes = [
        (rng.uniform(0.8, 2.0), rng.uniform(2.0, 3.0), rng.uniform(0.1, 0.5), rng.uniform(0, 180)) for _ in places
    ]
    truth = [(y, x, flux, *shape) for (y, x), flux, shape in zip(places, fluxes, shapes, strict=True)]
    lights = np.array([galaxy(*t, shape=(side, side)) for t in truth])
    image = lights.sum(axis=0) + rng.normal(0.0, 1.0, (side, side))
    segments = np.where(lights.max(axis=0) > 1.5, lights.argmax(axis=0) + 1, 0)
    box = Box(0, 0, side, side)
    return truth, GroupData(box, image, np.ones(image.shape), segments, tuple(range(1, len(places) + 1)))


@pytest.fixture(scope="module")
def five():
    return crowd(PLACES)


@pytest.fixture(scope="module")
def both_ways(five):
    """Return fits of the same five galaxies, jointly by IMFIT and as a crowd, and the image of the latter."""
    data, psf = five[1], fitting_psf()
    joint = fit_second_pass(data, psf, fit_first_pass(data, psf))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowded_fit, "MAX_JOINT_SOURCES", 4)
        crowded = fit_second_pass(data, psf, fit_first_pass(data, psf))
        light = evaluate_members(crowded, psf, data.box)
    return joint, crowded, light


def test_a_crowd_reaches_the_minimum_of_the_joint_fit(both_ways):
    joint, crowded, _ = both_ways
    assert (joint.solver, crowded.solver) == ("LM", "LM source by source") and crowded.converged
    # a tenth of the change of chi2 by one sigma of one parameter
    assert crowded.chi2 == pytest.approx(joint.chi2, abs=0.1)
    assert crowded.n_free == joint.n_free == 36 and crowded.names == joint.names
    for own, other in zip(crowded.members, joint.members, strict=True):
        assert own.flags == other.flags == 0
        for p, q in zip(parameters_of(own.blocks), parameters_of(other.blocks), strict=True):
            away = (p.value - q.value + 90.0) % 180.0 - 90.0 if p.name == "PA" else p.value - q.value
            assert abs(away) < 0.1 * q.error, p.name
            # derivatives drawn source by source agree with those of all sources together
            assert p.error == pytest.approx(q.error, rel=0.02)


def test_the_image_of_a_crowd_is_the_sum_of_its_sources(both_ways, five):
    _, crowded, light = both_ways
    assert np.allclose(light, evaluate_members(crowded, fitting_psf(), five[1].box), atol=1e-6)


def problem_of(data, **more):
    members, sky, pixels = group_starts(data, fitting_psf(), {})
    return Problem(tuple(members), sky, pixels, data, fitting_psf(), 1e-4, **more)


def test_an_unresolved_member_of_a_crowd_is_fitted_again_by_itself(five, monkeypatch):
    """A star between galaxies becomes a point source."""
    monkeypatch.setattr(crowded_fit, "MAX_JOINT_SOURCES", 4)
    data = five[1]
    lone = star(46.3, 24.6, 5000.0, shape=(SIDE, SIDE)) - galaxy(*five[0][4], shape=(SIDE, SIDE))
    fit = fit_first_pass(GroupData(**{**data.__dict__, "image": data.image + lone}), fitting_psf())
    assert fit.members[4].flags & Flag.POINT_SOURCE
    # S/N 800: four sigma are 0.5 %
    assert fit.members[4].blocks[0].functions[0]["I_tot"].value == pytest.approx(5000.0, rel=5e-3)
    assert all(member.sersic is not None for member in fit.members[:4])


def test_a_member_without_pixels_is_fixed_and_the_others_are_fitted(five, monkeypatch):
    monkeypatch.setattr(crowded_fit, "MAX_JOINT_SOURCES", 2)
    data = five[1]
    mask = data.segments == 5
    mask[46, 24] = False
    problem = problem_of(GroupData(**{**data.__dict__, "mask": mask}))
    fit = fit_group(problem)
    assert fit.members[4].flags & Flag.FIT_REPLACED and fit.members[4].blocks[0].functions[0]["n"].error == 0.0
    assert fit.converged and not any(member.flags & Flag.FIT_REPLACED for member in fit.members[:4])


def test_limits_are_kept(five, monkeypatch):
    """A source with narrow limits ends inside them."""
    monkeypatch.setattr(crowded_fit, "MAX_JOINT_SOURCES", 2)
    problem = problem_of(five[1], retries=False)
    blocks = problem.members[0].automatic
    tight = [replace(p, lower=2.9, upper=3.1, value=3.0) if p.name == "n" else p for p in parameters_of(blocks)]
    first = replace(problem.members[0], start=with_parameters(blocks, tight))
    fit = fit_group(replace(problem, members=(first, *problem.members[1:])))
    assert 2.9 <= fit.members[0].sersic.n <= 3.1
