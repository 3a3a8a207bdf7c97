from __future__ import annotations

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.registration import FAR_PIXELS, Registration
from unblend.rendering import sersic_model

STACK = np.array([[0.0, -0.06], [0.06, 0.0]])
GRID = Grid(scale=0.15, side=61, rotation=20.0)


def registration():
    ra = SKY[0] + 1.5 / 3600.0 / np.cos(np.deg2rad(SKY[1]))
    models = {
        i: sersic_model(n=1.0, r_e=4.0, ell=0.3, pa=30.0, flux=5.0, sky=sky, pixel_to_sky=STACK, oversampling=5)
        for i, sky in ((7, SKY), (3, (ra, SKY[1])))
    }
    shape = (GRID.side, GRID.side)
    return Registration(np.zeros(shape), np.ones(shape), wcs_of(GRID), psf_of(Blur(3.0)), models, {3: 0.3, 7: 0.3})


def drawn(template):
    image = np.zeros((GRID.side, GRID.side))
    image[template.box.slices] = template.data
    return image


@pytest.mark.parametrize("shift", [(0.05, -0.11), (0.9, 0.0)])
def test_templates_at_a_shift_are_those_of_an_engine_with_that_shift(shift):
    band = registration()
    band.templates((0.0, 0.0))
    found = band.templates(shift)
    assert [template.id for template in found] == [3, 7]
    for template in found:
        expected = band.engine(shift).template(template.id, band.models[template.id])
        # a stamp that is cut one pixel on: 1e-4 of the peak
        assert np.abs(drawn(template) - drawn(expected)).max() < 2e-4 * expected.data.max()


def test_transforms_are_made_once_for_shifts_that_are_close():
    band = registration()
    first = band.shifted((0.0, 0.0))[0]
    assert band.shifted((0.1, -0.1))[0] is first
    assert band.shifted((0.15 * (FAR_PIXELS + 1.0), 0.0))[0] is not first
