from __future__ import annotations

import blurred_band as band
import numpy as np
import pytest
from unblend.core.shift_field import ShiftField
from unblend.core.types import Box
from unblend.models.point_templates import point_and_gradients, point_at, point_template, sky_of
from unblend.models.templates import TemplateEngine


@pytest.mark.parametrize("place", [(40.0, 50.0), (40.37, 49.61), (2.5, 93.2)])
def test_a_point_source_is_where_galsim_draws_it(place):
    template = point_template(band.engine(), -1, *place)
    truth = band.drawn(band.point(), *place)
    assert template.id == -1
    # the PSF is sampled with one pixel per pixel: 3 pixels in its FWHM give 1e-3 of the peak
    np.testing.assert_allclose(template.data, truth[template.box.slices], atol=2e-3 * truth.max())


def test_a_shift_leads_to_the_position_on_the_sky_of_the_detection():
    engine = band.engine()
    ra, dec = sky_of(engine, 40.37, 49.61)
    assert engine.position(point_at(engine, 40.37, 49.61)) == pytest.approx((40.37, 49.61), abs=1e-6)
    unshifted = TemplateEngine(band.wcs(), band.SHAPE, band.psf())
    # 0.3" along X and -0.6" along Y are 0.5 and -1 pixels
    assert unshifted.position(point_at(unshifted, 41.37, 49.11)) == pytest.approx((41.37, 49.11), abs=1e-6)
    assert sky_of(unshifted, 41.37, 49.11) == pytest.approx((ra, dec), abs=1e-9)


def test_a_shift_that_varies_is_undone(monkeypatch):
    monkeypatch.setattr(ShiftField, "at", lambda _, y, x: (0.3 + 0.01 * y, -0.2 + 0.01 * x))
    engine = TemplateEngine(band.wcs(), band.SHAPE, band.psf(), (0.3, -0.6), object.__new__(ShiftField))
    assert engine.position(point_at(engine, 40.37, 49.61)) == pytest.approx((40.37, 49.61), abs=1e-4)


def test_gradients_are_differences_of_shifted_points():
    engine = band.engine()
    spectrum = engine.spectrum(point_at(engine, 40.2, 49.7))
    assert spectrum is not None
    box = Box(30, 40, 51, 60)
    here, along_y, along_x = point_and_gradients(spectrum, (0.1, -0.2), box)
    step = 1e-3
    for gradient, (dy, dx) in ((along_y, (step, 0.0)), (along_x, (0.0, step))):
        after = point_and_gradients(spectrum, (0.1 + dy, -0.2 + dx), box)[0]
        np.testing.assert_allclose(gradient, (after - here) / step, atol=1e-3 * np.abs(gradient).max())


def test_a_box_beyond_the_stamp_is_empty_there():
    engine = band.engine()
    spectrum = engine.spectrum(point_at(engine, 40.0, 50.0))
    assert spectrum is not None
    images = point_and_gradients(spectrum, (0.0, 0.0), Box(0, 0, *band.SHAPE))
    assert images.shape == (3, *band.SHAPE)
    assert not images[:, :2, :2].any()
    assert images[0].sum() == pytest.approx(1.0, abs=2e-3)
