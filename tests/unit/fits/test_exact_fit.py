"""The minimum of the exact model: the measured sky as a prior, and the steps to it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from scipy.optimize import least_squares
from unblend.fits.exact_fit import (
    MAX_STEPS,
    Objective,
    Prior,
    _better_length,
    fit_exactly,
    lowest_point,
    sky_priors,
)
from unblend.fits.exact_model import ExactModel
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import parameters_of, sky_block, with_parameters
from unblend.fits.imfit_config import Parameter
from unblend.fits.result import sersic_block
from unblend.fits.sky_level import SKY_SIGMAS, SkyLevel, held_sky
from unblend.models.sersic import Sersic


def test_the_prior_of_an_index_is_one_of_its_logarithm_that_of_a_sky_one_of_its_value():
    assert Prior(1.3, 0.6).pull(Parameter("n", 1.3 * math.e**1.2)) == pytest.approx(2.0)
    assert Prior(-0.5, 0.1).pull(Parameter("I_sky", -0.7)) == pytest.approx(-2.0)


def test_the_sky_has_its_measured_level_and_error_as_prior():
    block = sersic_block(Sersic(20.0, 20.0, 0.0, 0.1, 1.0, 1.0, 3.0), 1, max_offset=2.0, r_e_range=(0.1, 9.0))
    blocks = [block, sky_block(0.3, SKY_SIGMAS * 0.05)]
    ((place, prior),) = sky_priors(blocks).items()
    assert parameters_of(blocks)[place].name == "I_sky"
    assert (prior.centre, prior.sigma) == pytest.approx((0.3, 0.05))
    assert not sky_priors([block, held_sky(SkyLevel(0.3, 0.05))])


def test_a_held_sky_is_fixed_and_its_limits_tell_its_error():
    level = held_sky(SkyLevel(0.3, 0.05)).functions[0]["I_sky"]
    assert level.fixed and (level.value, level.lower, level.upper) == pytest.approx((0.3, 0.2, 0.4))


@pytest.fixture(scope="module")
def skies() -> tuple[np.ndarray, np.ndarray]:
    """Return the measured and the fitted skies of 24 galaxies without background, in errors of the measured one."""
    light, error = galaxy(25.0, 25.0, 1500.0, 1.5, 5.0, 0.2, 30.0), 0.01
    rng = np.random.default_rng(7)
    start = sersic_block(Sersic(125.0, 225.0, 30.0, 0.2, 1.5, 5.0, 5.0), 1, max_offset=3.0, r_e_range=(0.1, 40.0))
    measured, fitted = rng.normal(0.0, error, 24), []
    for seed, level in enumerate(measured):
        pixels = replace(group_pixels(group([light], seed=seed)), box=BOX)
        found = fit_exactly([start, sky_block(float(level), SKY_SIGMAS * error)], ExactModel(pixels, fitting_psf()))
        assert found is not None and found.converged
        fitted.append(found.blocks[-1].functions[0]["I_sky"].value)
    return measured / error, np.array(fitted) / error


def test_the_fit_of_a_galaxy_does_not_spoil_a_measured_sky(skies):
    """Free between its limits, the sky of these fits has an rms of 1.8 errors, because it trades with the wings."""
    measured, fitted = skies
    assert np.sqrt(np.mean(fitted**2)) < 1.1 * np.sqrt(np.mean(measured**2))
    assert abs(np.mean(fitted)) < 3.0 / math.sqrt(24)
    assert np.max(np.abs(fitted - measured)) < 0.9 * SKY_SIGMAS


HARD = {
    "thin and unresolved across": (60.0, 1.1, 3.0, 0.93, 70.0),
    "nearly round and faint": (200.0, 1.5, 4.0, 0.03, 30.0),
    "as small as a pixel": (60.0, 3.0, 0.8, 0.4, 120.0),
    "steep": (400.0, 5.5, 3.0, 0.2, 10.0),
    "a point": (500.0, 1.0, 0.02, 0.1, 0.0),
}
"""Flux in units of the noise of a pixel, n, r_e in pixels, ell, PA."""


@pytest.mark.parametrize("name", HARD)
def test_no_other_search_finds_a_lower_chi2(name):
    """The comparison is SciPy's trust-region reflective algorithm on IMFIT's parameters, from the same start."""
    flux, n, r_e, ell, pa = HARD[name]
    pixels = replace(group_pixels(group([galaxy(25.0, 25.0, flux, n, r_e, ell, pa)], seed=3)), box=BOX)
    model = ExactModel(pixels, fitting_psf())
    start = sersic_block(Sersic(125.3, 224.8, 60.0, 0.3, 1.5, flux / 60.0, 3.0), 1, max_offset=3.0, r_e_range=(0.05, 9))
    blocks = [start, sky_block(0.0, SKY_SIGMAS * 0.001)]
    objective = Objective(model, sky_priors(blocks))
    found = lowest_point(objective, objective.at(blocks), MAX_STEPS)
    assert found is not None and found.at_minimum
    free = [p for p in parameters_of(blocks) if not p.fixed]
    sky = objective.priors[len(parameters_of(blocks)) - 1]

    def at(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        remaining = iter(values.tolist())
        moved = [p if p.fixed else replace(p, value=next(remaining)) for p in parameters_of(blocks)]
        _, jacobian, residual = model.linearise(with_parameters(blocks, moved), range(len(moved)))
        rows = jacobian[[k for k, p in enumerate(moved) if not p.fixed]]
        prior = np.append(np.zeros(len(free) - 1), 1.0 / sky.sigma)
        return np.append(residual, (sky.centre - values[-1]) / sky.sigma), np.vstack([-rows.T, -prior])

    limits = [
        (-math.inf, math.inf) if p.lower is None else (p.lower + 1e-7 * (p.upper - p.lower), p.upper) for p in free
    ]
    other = least_squares(
        lambda v: at(v)[0], [p.value for p in free], lambda v: at(v)[1], tuple(np.transpose(limits)), x_scale="jac"
    )
    assert found.point.objective < 2.0 * other.cost + 0.02


def test_the_length_of_a_step_is_that_of_the_lowest_point_of_the_parabola():
    # chi2 falls as −2 s t + c t²: with c = s the step is right, with 2 s twice too long, with s/2 half as long
    assert _better_length(1.0, 1.0) is None
    assert _better_length(1.0, 0.0) == pytest.approx(0.5)
    assert _better_length(1.0, 1.5) == pytest.approx(2.0)
    # no parabola open at the top, and no step that is tiny, or far beyond what is known
    assert _better_length(1.0, 2.5) == pytest.approx(4.0)
    assert _better_length(1.0, -100.0) is None
    assert _better_length(1.0, math.nan) is None
