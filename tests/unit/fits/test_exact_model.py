from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.fits.covariance import linearise, parameter_covariance
from unblend.fits.exact_model import ExactModel, is_exact
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import evaluate_blocks, parameters_of, sky_block, with_parameters
from unblend.fits.imfit_config import Block, Function, Parameter

NAMES = ("PA", "ell", "n", "I_e", "r_e")
LIMITS = {
    "ell": (0.0, 0.95),
    "n": (0.1, 8.0),
    "I_e": (0.0, 1e4),
    "r_e": (0.01, 30.0),
    "h": (0.1, 20.0),
    "I_0": (0.0, 1e4),
}


def function(name, **values):
    return Function(name, tuple(Parameter(k, v, *LIMITS.get(k, ())) for k, v in values.items()))


def sersic(n=1.5, r_e=4.0):
    return function("Sersic", PA=30.0, ell=0.4, n=n, I_e=10.0, r_e=r_e)


EXPONENTIAL = function("Exponential", PA=70.0, ell=0.3, I_0=20.0, h=3.0)


def block(*functions, y=124.3, x=227.6):
    return Block(Parameter("Y0", y, y - 3, y + 3), Parameter("X0", x, x - 3, x + 3), functions, 1)


@pytest.fixture(scope="module")
def pixels():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.5, 4.0, 0.4, 30.0)])
    mask = np.zeros(BOX.shape, dtype=bool)
    mask[:4] = True
    return group_pixels(replace(data, mask=mask))


@pytest.fixture(scope="module")
def model(pixels):
    return ExactModel(pixels, fitting_psf())


def test_a_smooth_profile_is_that_of_imfit(model):
    blocks = [block(sersic(1.0, 5.0)), sky_block(2.0, 3.0)]
    expected = evaluate_blocks(blocks, BOX, fitting_psf())
    assert np.abs(model.image(blocks) - expected).max() < 2e-3 * expected.max()


def test_functions_without_an_exact_image_are_drawn_by_imfit(model):
    together = model.image([block(sersic(), EXPONENTIAL)])
    expected = model.image([block(sersic())]) + evaluate_blocks([block(EXPONENTIAL)], BOX, fitting_psf())
    np.testing.assert_allclose(together, expected, atol=1e-9)


def test_which_functions_are_exact():
    assert is_exact(sersic()) and is_exact(function("PointSource", I_tot=3.0)) and not is_exact(EXPONENTIAL)
    # an index may reach values without a table
    assert not is_exact(function("Sersic", PA=0.0, ell=0.4, n=9.0, I_e=1.0, r_e=2.0))
    wide = replace(
        sersic(), parameters=tuple(replace(p, upper=10.0) if p.name == "n" else p for p in sersic().parameters)
    )
    assert not is_exact(wide)


def test_the_linear_model_has_the_order_of_imfit(model, pixels):
    blocks = [block(sersic()), block(EXPONENTIAL, x=210.0), sky_block(2.0, 3.0)]
    found, by_imfit = model.linearise(blocks), linearise(blocks, pixels, fitting_psf())
    assert found[0] == by_imfit[0] == [*range(13), 15]
    assert found[1].shape == by_imfit[1].shape == (14, pixels.count)
    for k, (own, other) in enumerate(zip(found[1], by_imfit[1], strict=True)):
        assert np.linalg.norm(own - other) < 0.03 * np.linalg.norm(other), k
    np.testing.assert_allclose(found[2], ((pixels.image - model.image(blocks)) / pixels.error)[~pixels.mask])


STEPS = {"X0": 0.01, "Y0": 0.01, "PA": 0.5, "ell": 0.002, "n": 0.01, "I_e": 0.1, "r_e": 0.01, "I_tot": 1.0}


@pytest.mark.parametrize(
    "blocks", [[block(sersic(4.0, 1.0))], [block(function("PointSource", I_tot=50.0))], [block(sersic(), EXPONENTIAL)]]
)
def test_the_derivatives_are_those_of_the_image(model, pixels, blocks):
    indices, jacobian, _ = model.linearise(blocks)
    parameters = parameters_of(blocks)
    for row, k in zip(jacobian, indices, strict=True):
        step = STEPS.get(parameters[k].name, 0.01 * parameters[k].value)
        ends = []
        for sign in (1.0, -1.0):
            moved = [replace(p, value=p.value + sign * step * (j == k)) for j, p in enumerate(parameters)]
            ends.append(model.image(with_parameters(blocks, moved)))
        expected = ((ends[0] - ends[1]) / (2.0 * step) / pixels.error)[~pixels.mask]
        # the common centre of a function that IMFIT draws has IMFIT's derivative, over 0.04 pixel
        assert np.abs(row - expected).max() < 0.01 * np.abs(expected).max(), parameters[k].name


def test_fixed_parameters_are_left_out_unless_they_are_asked_for(model):
    function_ = sersic()
    fixed = replace(function_, parameters=tuple(replace(p, fixed=p.name == "n") for p in function_.parameters))
    assert model.linearise([block(fixed)])[0] == [0, 1, 2, 3, 5, 6]
    assert model.linearise([block(fixed)], [4])[0] == [0, 1, 2, 3, 4, 5, 6]


def test_the_covariance_from_exact_derivatives(model, pixels):
    blocks = [block(sersic()), sky_block(0.0, 3.0)]
    exact = parameter_covariance(blocks, pixels, fitting_psf(), exact=model.linearise)
    by_imfit = parameter_covariance(blocks, pixels, fitting_psf())
    free = np.diag(by_imfit) > 0
    # IMFIT samples the core at points, which changes the derivatives of the position most
    np.testing.assert_allclose(np.diag(exact)[free], np.diag(by_imfit)[free], rtol=0.1)


def test_a_function_without_a_centre_is_an_error(model):
    with pytest.raises(ValueError, match="has no centre"):
        model.image([Block(None, None, (sersic(),), 1)])
