"""The amplitude of a detail in a band, fitted together with the flux."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unblend.core.types import Box, Template
from unblend.photometry.detail_amplitude import (
    AMPLITUDE_RANGE,
    FREE_SHARE_SIGMA,
    PRIOR_SIGMA,
    amplitude_errors,
    fit_amplitudes,
    with_amplitude,
)
from unblend.photometry.linear_system import solve_fluxes

SIDE, FLUX = 61, 5000.0
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)


def gaussian(y: float, x: float, sigma: float) -> np.ndarray:
    image = np.exp(-0.5 * ((Y - y) ** 2 + (X - x) ** 2) / sigma**2)
    return image / image.sum()


DISC, KNOTS = gaussian(30, 30, 7.0), 0.5 * gaussian(25, 36, 2.0) + 0.5 * gaussian(36, 27, 2.0)
SHARE = 0.2
GALAXY = Template(1, Box(0, 0, SIDE, SIDE), (1 - SHARE) * DISC + SHARE * KNOTS, 1.0, SHARE * KNOTS, SHARE)
OTHER = Template(2, Box(0, 0, SIDE, SIDE), gaussian(30, 50, 3.0), 1.0)


def image_of(amplitude: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return a galaxy of flux `FLUX` whose knots are `amplitude` times as strong relative to the disc."""
    light = (1 - SHARE) * DISC + amplitude * SHARE * KNOTS
    return FLUX * light / light.sum() + 2000.0 * OTHER.data + rng.normal(0.0, noise, light.shape)


def test_the_template_keeps_its_flux():
    changed = with_amplitude(GALAXY, 2.5)
    assert changed.data.sum() == pytest.approx(1.0) and changed.data.max() > GALAXY.data.max()
    assert with_amplitude(GALAXY, 1.0) is GALAXY and with_amplitude(OTHER, 2.0) is OTHER


@pytest.mark.parametrize("amplitude", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("claimed", [1.0, 1e-3])
def test_knots_of_another_colour_do_not_bias_the_flux(amplitude, claimed):
    """`claimed` is the noise that the weights claim, in units of the true one."""
    image = image_of(amplitude, 0.1, np.random.default_rng(1))
    weight = np.full(image.shape, (0.1 * claimed) ** -2)
    found = fit_amplitudes(image, weight, [GALAXY, OTHER])
    fluxes = solve_fluxes(image, weight, found.templates).flux
    assert fluxes == pytest.approx([FLUX, 2000.0], rel=0.003)
    assert found.value[1] == 1.0 and found.error[1] == 0.0
    # 0.4 % of the flux are five sigma: with the knots as in the stack it would be wrong by many more
    if amplitude != 1.0:
        assert abs(solve_fluxes(image, weight, [GALAXY, OTHER]).flux[0] / FLUX - 1.0) > 0.01


BULGE = gaussian(30, 30, 2.5)
PARTS = Template(1, Box(0, 0, SIDE, SIDE), 0.7 * BULGE + 0.3 * DISC, 1.0, 0.3 * DISC, 0.3, detail_free=True)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_free_components_have_their_own_share_in_each_band(share):
    rng, noise, pulls = np.random.default_rng(5), 0.5, []
    weight = np.full(DISC.shape, noise**-2)
    for _ in range(20):
        light = FLUX * (share * BULGE + (1.0 - share) * DISC) + 2000.0 * OTHER.data
        image = light + rng.normal(0.0, noise, DISC.shape)
        found = fit_amplitudes(image, weight, [PARTS, OTHER])
        shares, errors = found.first_component()
        assert np.isnan([shares[1], errors[1]]).all() and 0.0 <= shares[0] <= 1.0
        assert solve_fluxes(image, weight, found.templates).flux[0] == pytest.approx(FLUX, rel=0.02)
        pulls.append((shares[0] - share) / errors[0])
    if 0.0 < share < 1.0:
        assert np.std(pulls) == pytest.approx(1.0, abs=0.35) and abs(np.mean(pulls)) < 0.7
    else:  # about half of the values lie on the limit
        assert np.max(np.abs(pulls)) < 5.0 and 4 <= np.sum(np.abs(pulls) < 1e-6) <= 16
    # tied, the flux is wrong by many errors
    assert abs(solve_fluxes(image, weight, [PARTS, OTHER]).flux[0] / FLUX - 1.0) > 0.05


def test_free_components_of_a_faint_source_have_an_error_of_half():
    image = np.random.default_rng(6).normal(0.0, 500.0, DISC.shape) + FLUX * DISC
    found = fit_amplitudes(image, np.full(DISC.shape, 500.0**-2), [PARTS])
    _, error = found.first_component()
    assert error[0] == pytest.approx(FREE_SHARE_SIGMA, rel=0.3)


def test_a_noisy_band_keeps_the_amplitude_of_the_stack():
    rng, noise = np.random.default_rng(2), 50.0
    for _ in range(5):
        image = image_of(0.0, noise, rng)
        found = fit_amplitudes(image, np.full(image.shape, noise**-2), [GALAXY, OTHER])
        assert found.value[0] == pytest.approx(1.0, abs=0.6)
        # the prior is relative to the flux of the solution, the error to the one fitted with it
        assert 0.7 * PRIOR_SIGMA < found.error[0] < 1.3 * PRIOR_SIGMA


def test_errors_of_amplitude_and_flux_are_right():
    rng, noise = np.random.default_rng(3), 3.0
    pulls, plain = [], []
    for _ in range(100):
        amplitude = 1.0 + PRIOR_SIGMA * rng.normal()
        image = image_of(amplitude, noise, rng)
        weight = np.full(image.shape, noise**-2)
        found = fit_amplitudes(image, weight, [GALAXY, OTHER])
        solution = solve_fluxes(image, weight, found.templates)
        error = np.hypot(solution.err[0], amplitude_errors(found, solution.flux, weight)[0])
        pulls.append((solution.flux[0] - FLUX) / error)
        plain.append((solution.flux[0] - FLUX) / solution.err[0])
    # 100 pulls: their standard deviation scatters by 0.07
    assert np.std(pulls) == pytest.approx(1.0, abs=0.25) and np.std(plain) > np.std(pulls)


def test_a_band_without_pixels_at_the_source_keeps_the_stack_and_limits_hold():
    image = image_of(1.0, 0.1, np.random.default_rng(4))
    weight = np.where(X > 55, 100.0, 0.0)
    found = fit_amplitudes(image, weight, [replace(GALAXY, data=np.where(X > 55, 0.0, GALAXY.data)), OTHER])
    assert (found.value[0], found.error[0]) == (1.0, PRIOR_SIGMA)
    bright = image_of(30.0, 0.1, np.random.default_rng(5))
    assert fit_amplitudes(bright, np.full(bright.shape, 100.0), [GALAXY, OTHER]).value[0] == AMPLITUDE_RANGE[1]
