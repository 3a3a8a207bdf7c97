from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group, star
from unblend.core.types import Box
from unblend.fits.covariance import derivatives, linearise, parameter_covariance, safe_inverse
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import Pixels, evaluate_blocks, minimise, parameters_of, sky_block
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.sky_level import SkyLevel, held_sky

NAMES = ("PA", "ell", "n", "I_e", "r_e")


def sersic(y, x, pa, ell, n, i_e, r_e):
    limits = {"ell": (0.0, 0.95), "n": (0.1, 8.0), "I_e": (0.0, 1e4 * i_e), "r_e": (0.01, 30.0)}
    parameters = (Parameter(k, v, *limits.get(k, ())) for k, v in zip(NAMES, (pa, ell, n, i_e, r_e), strict=True))
    return Block(
        Parameter("Y0", y, y - 3, y + 3), Parameter("X0", x, x - 3, x + 3), (Function("Sersic", tuple(parameters)),)
    )


def test_the_covariance_of_a_flux_and_a_sky_agrees_with_the_textbook():
    # a point source at a known position and a sky level are a linear problem
    data = group([star(25.0, 26.0, 500.0)], rms=2.0)
    pixels = group_pixels(data)
    point = Block(
        Parameter("Y0", 125.0, fixed=True),
        Parameter("X0", 226.0, fixed=True),
        (Function("PointSource", (Parameter("I_tot", 500.0, 0.0, 1e6),)),),
    )
    matrix = parameter_covariance([point, sky_block(0.0, 6.0)], pixels, fitting_psf())
    profile = evaluate_blocks([point], BOX, fitting_psf()) / 500.0
    design = np.stack([profile.ravel(), np.ones(profile.size)])
    truth = 4.0 * np.linalg.inv(design @ design.T)
    assert np.allclose(matrix[np.ix_([2, 5], [2, 5])], truth, rtol=1e-6)
    # fixed parameters have no variance
    assert not matrix[[0, 1, 3, 4]].any()


def test_a_held_sky_keeps_the_error_of_its_prior_and_passes_it_on():
    data = group([star(25.0, 26.0, 500.0)], rms=2.0)
    point = Block(
        Parameter("Y0", 125.0, fixed=True),
        Parameter("X0", 226.0, fixed=True),
        (Function("PointSource", (Parameter("I_tot", 500.0, 0.0, 1e6),)),),
    )
    blocks = [point, held_sky(SkyLevel(0.0, 0.7))]
    profile = (evaluate_blocks([point], BOX, fitting_psf()) / 500.0).ravel()
    # a sky that is 1 higher lowers the flux by Σ p / Σ p²
    slope = -profile.sum() / (profile @ profile)
    pixels = group_pixels(data)
    matrix = parameter_covariance(blocks, pixels, fitting_psf(), {5: 0.7}, held=[5])
    expected = [[4.0 / (profile @ profile) + (0.7 * slope) ** 2, 0.49 * slope], [0.49 * slope, 0.49]]
    np.testing.assert_allclose(matrix[np.ix_([2, 5], [2, 5])], expected, rtol=1e-6)
    # otherwise 2700 pixels know the sky better than the prior
    assert parameter_covariance(blocks, pixels, fitting_psf(), {5: 0.7})[5, 5] < 0.01
    # correlated noise adds to the error of the flux, not to that of the sky
    smooth = parameter_covariance(blocks, replace(pixels, smoothing=0.7), fitting_psf(), {5: 0.7}, held=[5])
    assert smooth[5, 5] == pytest.approx(0.49) and smooth[2, 2] > matrix[2, 2]


def test_errors_agree_with_those_of_imfit():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.5, 4.0, 0.4, 30.0)])
    best = minimise(
        [sersic(124.3, 227.6, 30.0, 0.4, 1.5, 10.0, 4.0), sky_block(0.0, 3.0)], group_pixels(data), fitting_psf()
    )
    assert best is not None
    matrix = parameter_covariance(best.blocks, group_pixels(data), fitting_psf())
    imfit_errors = np.array([parameter.error for parameter in parameters_of(best.blocks)])
    free = imfit_errors > 0
    assert free.sum() == 8
    # both are finite differences of a model that IMFIT samples at points
    assert np.allclose(np.sqrt(np.diag(matrix))[free], imfit_errors[free], rtol=0.03)


def test_degenerate_parameters_have_a_large_error():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)])
    twin = sersic(124.3, 227.6, 30.0, 0.4, 1.0, 10.0, 4.0)
    alone = parameter_covariance([twin, sky_block(0.0, 3.0)], group_pixels(data), fitting_psf())
    both = parameter_covariance([twin, twin, sky_block(0.0, 3.0)], group_pixels(data), fitting_psf())
    assert np.all(np.isfinite(both))
    assert both[5, 5] > 1e4 * alone[5, 5]


POINT_PSF = np.pad([[1.0]], 1)
"""A PSF of a single pixel."""


def flat(value=5.0, error=2.0, side=4):
    """Return the pixels of a flat image with a constant error, the first pixel masked."""
    mask = np.zeros((side, side), dtype=bool)
    mask[0, 0] = True
    return Pixels(Box(0, 0, side, side), np.full((side, side), value), np.full((side, side), error), mask)


def fixed_sky(value):
    return Block(
        Parameter("Y0", 0.0, fixed=True),
        Parameter("X0", 0.0, fixed=True),
        (Function("FlatSky", (Parameter("I_sky", value, fixed=True),)),),
    )


def test_the_derivative_of_a_sky_level_is_one_over_the_error():
    found = derivatives([sky_block(1.0, 3.0)], flat(), POINT_PSF)
    assert found.shape == (1, 15) and np.allclose(found, 0.5)
    # a linear parameter has the same one-sided derivative
    assert np.allclose(derivatives([sky_block(1.0, 3.0)], flat(), POINT_PSF, one_sided=True), 0.5)


def test_without_free_parameters_there_are_no_derivatives():
    assert derivatives([fixed_sky(1.0)], flat(), POINT_PSF).shape == (0, 15)


def test_linearising_a_sky_level():
    indices, jacobian, residual = linearise([sky_block(1.0, 3.0)], flat(), POINT_PSF)
    # X0 and Y0 of the sky are fixed; the residual is (5 - 1) / 2
    assert indices == [2] and np.allclose(jacobian, 0.5) and np.allclose(residual, 2.0)
    assert linearise([fixed_sky(1.0)], flat(), POINT_PSF, [2])[0] == [2]


def test_blocks_drawn_separately_give_the_same_linear_model():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.5, 4.0, 0.4, 30.0)])
    blocks = [sersic(124.3, 227.6, 30.0, 0.4, 1.5, 10.0, 4.0), sersic(120.0, 240.0, 0.0, 0.2, 1.0, 5.0, 3.0)]
    together = linearise(blocks, group_pixels(data), fitting_psf(), [0])
    separately = linearise(blocks, group_pixels(data), fitting_psf(), [0], block_by_block=True)
    assert together[0] == separately[0] == list(range(14))
    np.testing.assert_allclose(separately[1], together[1], atol=1e-6)
    np.testing.assert_allclose(separately[2], together[2], atol=1e-6)


def test_the_prior_of_a_fixed_parameter_enters_its_variance():
    assert not parameter_covariance([fixed_sky(1.0)], flat(), POINT_PSF).any()
    variance = parameter_covariance([fixed_sky(1.0)], flat(), POINT_PSF, {2: 0.3})[2, 2]
    # 15 pixels of error 2, and a prior of sigma 0.3
    assert variance == pytest.approx(1.0 / (15 / 4.0 + 1.0 / 0.09))


def test_the_inverse_of_small_matrices():
    np.testing.assert_allclose(safe_inverse(np.array([[2.0, 1.0], [1.0, 2.0]])), np.array([[2, -1], [-1, 2]]) / 3.0)
    # a parameter without effect has no variance
    assert safe_inverse(np.diag([4.0, 0.0])).tolist() == [[0.25, 0.0], [0.0, 0.0]]
    assert not safe_inverse(np.zeros((2, 2))).any()


def test_the_inverse_of_a_singular_matrix_is_large_but_finite():
    inverse = safe_inverse(np.ones((2, 2)))
    # eigenvalues 2 and 0, the latter raised to 1e-10
    np.testing.assert_allclose(inverse, [[0.25 + 0.5e10, 0.25 - 0.5e10], [0.25 - 0.5e10, 0.25 + 0.5e10]])
