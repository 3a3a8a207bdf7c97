"""The minimum of the exact model: the measured sky as a prior."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.fits.exact_fit import Prior, fit_exactly, sky_priors
from unblend.fits.exact_model import ExactModel
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import parameters_of, sky_block
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
