from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fit_members import POINT, SERSIC, P, block, member, stack_wcs
from unblend.core.coordinates import pixel_to_sky
from unblend.fits.imfit_config import Block, Function
from unblend.fits.model_image import MAX_HALF_SIZE, centre_of, half_size_of, model_of

GAUSSIAN = Function("Gaussian", (P("PA", 30.0), P("ell", 0.4), P("I_0", 2.0), P("sigma", 3.0)))
EXPONENTIAL = Function("Exponential", (P("PA", 0.0), P("ell", 0.0), P("I_0", 1.0), P("h", 2.0)))


def test_a_sersic_profile_has_the_right_position_on_the_sky():
    fit = member(block(SERSIC))
    model = model_of(fit, stack_wcs(), 5)
    ra, dec = pixel_to_sky(stack_wcs(), 40.3, 49.8)
    assert model.sky == pytest.approx((ra[0], dec[0]), abs=1e-12) and model.pixel_integrated
    assert model.total == pytest.approx(fit.sersic.total_flux) and model.data.sum() == pytest.approx(
        model.total, rel=2e-3
    )
    np.testing.assert_allclose(model.pixel_to_sky, [[0.0, -0.012], [0.012, 0.0]], atol=1e-7)


def test_a_point_source():
    model = model_of(member(block(POINT)), stack_wcs(), 5)
    assert model.data.tolist() == [[50.0]] and not model.pixel_integrated and model.total == 50.0


def test_other_functions_are_drawn_by_imfit():
    model = model_of(member(block(GAUSSIAN)), stack_wcs(), 3)
    # 2 pi I_0 sigma² q in detection pixels
    assert model.total == pytest.approx(2 * np.pi * 2.0 * 9.0 * 0.6, rel=2e-3)
    assert np.unravel_index(np.argmax(model.data), model.data.shape) == model.centre
    y, x = np.indices(model.data.shape)
    centre = [float(np.average(grid, weights=model.data)) for grid in (y, x)]
    assert centre == pytest.approx(model.centre, abs=0.01)


def test_several_functions_keep_their_separation():
    two = member(block(GAUSSIAN), block(GAUSSIAN, y=44.3, x=52.8))
    model = model_of(two, stack_wcs(), 3)
    y, x = np.indices(model.data.shape)
    # equal light: the centroid lies half-way, 2 and 1.5 detection pixels from the first centre
    assert np.average(y, weights=model.data) - model.centre[0] == pytest.approx(6.0, abs=0.05)
    assert np.average(x, weights=model.data) - model.centre[1] == pytest.approx(4.5, abs=0.05)


def test_a_sersic_and_a_disc_around_one_centre():
    model = model_of(member(block(SERSIC, EXPONENTIAL)), stack_wcs(), 3)
    disc = 2 * np.pi * 1.0 * 4.0
    # 10 scale lengths contain 99.95 % of the flux of the disc
    assert model.total == pytest.approx(member(block(SERSIC)).sersic.total_flux + disc, rel=5e-3)


def test_free_components_are_drawn_apart():
    fit = member(block(SERSIC, EXPONENTIAL), block(POINT, y=44.3, x=52.8))
    together, apart = (model_of(fit, stack_wcs(), 3, free_components=free) for free in (False, True))
    assert together.detail is None and apart.detail is not None and apart.detail.free
    assert apart.total == pytest.approx(member(block(SERSIC)).sersic.total_flux) and apart.shape is not None
    assert apart.detail.total == pytest.approx(2 * np.pi * 1.0 * 4.0 + 50.0, rel=5e-3)
    assert apart.flux == pytest.approx(together.total, rel=5e-3)
    # the profile has its exact transform, the others lie where they lie
    nucleus = model_of(member(block(SERSIC), block(POINT, y=44.3, x=52.8)), stack_wcs(), 3, free_components=True)
    assert nucleus.detail is not None and not nucleus.detail.pixel_integrated and nucleus.detail.sky != nucleus.sky


def test_profiles_with_one_centre_are_drawn_as_exactly_as_one():
    disc = Function("Sersic", (P("PA", 80.0), P("ell", 0.6), P("n", 1.0), P("I_e", 0.5), P("r_e", 9.0)))
    alone = [model_of(member(block(function)), stack_wcs(), 3) for function in (SERSIC, disc)]
    both = model_of(member(block(SERSIC, disc)), stack_wcs(), 3)
    assert both.total == pytest.approx(alone[0].total + alone[1].total) and both.shape is None
    assert both.data.shape == tuple(max(model.data.shape[axis] for model in alone) for axis in (0, 1))
    y, x = map(int, both.centre)
    for dy, dx in ((0, 0), (7, -3), (-20, 15)):
        parts = (model.data[int(model.centre[0]) + dy, int(model.centre[1]) + dx] for model in alone)
        assert both.data[y + dy, x + dx] == pytest.approx(sum(parts))


def test_one_component_or_one_without_flux_cannot_be_free():
    assert model_of(member(block(SERSIC)), stack_wcs(), 3, free_components=True).detail is None
    dark = Function("Sersic", tuple(replace(p, value=0.0) if p.name == "I_e" else p for p in SERSIC.parameters))
    assert model_of(member(block(SERSIC, dark)), stack_wcs(), 3, free_components=True).detail is None


def test_functions_without_flux_are_an_error():
    without_flux = Function("Gaussian", (P("PA", 30.0), P("ell", 0.4), P("I_0", 0.0), P("sigma", 3.0)))
    with pytest.raises(ValueError, match="total flux of the model of source 7 is 0; expected a positive flux"):
        model_of(member(block(without_flux)), stack_wcs(), 3)


def test_a_member_without_a_position_is_an_error():
    with pytest.raises(ValueError, match="source 7 has no position"):
        centre_of(member(Block(None, None, (GAUSSIAN,), 7)))


def test_stamp_sizes():
    assert half_size_of((block(POINT),), 5) == 40
    assert half_size_of((block(GAUSSIAN),), 5) == 150
    assert half_size_of((block(GAUSSIAN), block(EXPONENTIAL)), 5) == 150
    huge = Function("Exponential", (P("PA", 0.0), P("ell", 0.0), P("I_0", 1.0), P("h", 1e4)))
    assert half_size_of((block(huge),), 5) == MAX_HALF_SIZE
