from __future__ import annotations

import logging

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.models.rendering import sersic_model
from unblend.registration.band_shift import FAR_PIXELS, Registration

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


SETTINGS = {"references": "auto", "radius": 1.2, "step": 0.06, "max_shift": 0.45}
TRUE_SHIFT = (0.12, -0.06)


def field_with_a_misplaced_source(rng):
    """Seven galaxies; the light of number 1, the brightest, lies 0.2 arcsec off: an undetected neighbour, say."""
    grid = Grid(scale=0.15, side=161)
    places = [(0.0, 0.0), (6.0, 5.0), (-7.0, 4.0), (5.0, -6.5), (-5.0, -6.0), (0.5, 8.5), (0.0, -8.5)]
    models = {
        i: sersic_model(
            n=1.0, r_e=4.0, ell=0.2, pa=20.0 * i, flux=1.0, pixel_to_sky=STACK, oversampling=5,
            sky=(SKY[0] + east / 3600.0 / np.cos(np.deg2rad(SKY[1])), SKY[1] + north / 3600.0),
        )
        for i, (east, north) in enumerate(places, start=1)
    }  # fmt: skip
    shape = (grid.side, grid.side)
    sizes = dict.fromkeys(models, 0.3)
    band = Registration(np.zeros(shape), np.ones(shape), wcs_of(grid), psf_of(Blur(3.0)), models, sizes)
    image = rng.normal(size=shape)
    for shift, ids in ((TRUE_SHIFT, [2, 3, 4, 5, 6, 7]), ((TRUE_SHIFT[0] + 0.2, TRUE_SHIFT[1]), [1])):
        for template in band.shifted(shift)[0](ids, band.shifted(shift)[1]):
            image[template.box.slices] += (3000.0 if template.id == 1 else 1500.0) * template.data
    band.image = image
    return band


def test_a_reference_that_no_other_source_agrees_with_is_dropped(caplog):
    band = field_with_a_misplaced_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    with caplog.at_level(logging.INFO, logger="unblend"):
        found, used, refined = band.find_shift(SETTINGS, [1, 2, 3], solution)
    assert used == [2, 3] and refined.message is None and "references 1 lie off" in caplog.text
    # 1500 at a noise of 1 and a FWHM of 3 pixels: 0.01 arcsec a source
    assert refined.shift == pytest.approx(TRUE_SHIFT, abs=0.015)
    assert band.to_arcsec(found.shift) == pytest.approx(TRUE_SHIFT, abs=0.03)


def test_references_that_the_user_names_are_not_questioned():
    band = field_with_a_misplaced_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    _, used, refined = band.find_shift(SETTINGS | {"references": [1]}, [1], solution)
    assert used == [1] and "choose other references" in refined.message
