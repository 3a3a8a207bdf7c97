"""A PSF that is rotated or mirrored is found from bright sources; symmetric PSFs and other misfits are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import Blur, Grid, inclined_discs, psf_of, wcs_of
from unblend.models.templates import TemplateEngine
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.psf_orientation import Orientation, compare_orientations, orientation_warning, rotated

GRID = Grid(scale=0.15, side=121)
SHAPE = (GRID.side, GRID.side)
PLACES = [(0.0, 0.0), (6.0, 5.0), (-6.0, 4.0), (5.0, -5.5), (-5.0, -6.0)]
FWHM = 3.0


def lobed(angle_deg=0.0, mirrored=False, share=0.3):
    """Return a PSF with a wide side lobe on the right and a small one below, in some orientation."""
    round_one = psf_of(Blur(FWHM))
    data = np.array(round_one.data)
    data = (1.0 - share) * data + share * (0.75 * np.roll(data, 3, axis=1) + 0.25 * np.roll(data, -4, axis=0))
    return rotated(replace(round_one, data=data), Orientation(angle_deg, mirrored))


def compared(true_psf, given_psf, flux=4000.0, offset=(0.0, 0.0)):
    models = inclined_discs(PLACES)
    drawn, engine = (
        TemplateEngine(wcs_of(GRID), SHAPE, true_psf, offset),
        TemplateEngine(wcs_of(GRID), SHAPE, given_psf),
    )
    truth = [drawn.template(i, model) for i, model in models.items()]
    image = model_image(truth, np.full(len(models), flux), SHAPE, 3.0)
    image += np.random.default_rng(1).normal(size=SHAPE)
    templates, weight = [engine.template(i, model) for i, model in models.items()], np.ones(SHAPE)
    return compare_orientations(weight, templates, solve_fluxes(image, weight, templates), engine, models)


@pytest.mark.parametrize(("angle", "mirrored"), [(180, False), (90, False), (0, True), (60, False)])
def test_the_orientation_is_found(angle, mirrored):
    found = compared(lobed(angle, mirrored), lobed(), offset=(0.01, 0.02))
    assert found.best == Orientation(angle, mirrored) and found.agreeing == found.compared == len(PLACES)
    said = orientation_warning(found, "k")
    assert said is not None and said.startswith(
        f"k: the PSF fits 5 of 5 bright sources much better when it is {found.best}:"
    )


def test_an_angle_between_the_steps_is_found_to_a_step():
    found = compared(lobed(0), lobed(135)).best
    assert found is not None and not found.mirrored and abs(found.angle_deg - 225) <= 15


def test_the_right_psf_is_left_alone():
    found = compared(lobed(), lobed())
    assert found.best is None and found.compared == 0 and orientation_warning(found, "k") is None


def test_a_misfit_of_another_kind_is_no_orientation():
    for true_psf, given in ((psf_of(Blur(2.2)), psf_of(Blur(FWHM))), (psf_of(Blur(FWHM)), lobed())):
        found = compared(true_psf, given)
        assert found.best is None and found.compared == len(PLACES)


def test_faint_sources_say_nothing():
    assert compared(lobed(180), lobed(), flux=60.0).compared == 0


def test_quarter_turns_and_mirrors_are_exact():
    data = np.random.default_rng(2).random((7, 9))
    psf = replace(psf_of(Blur(FWHM)), data=data, centre=(3.0, 4.0))
    square = np.pad(data, ((1, 1), (0, 0)))
    # from X to Y: with y upwards the light on the right comes to the top
    np.testing.assert_allclose(rotated(psf, Orientation(90, False)).data, np.rot90(square, -1), atol=1e-12)
    np.testing.assert_allclose(rotated(psf, Orientation(180, False)).data, np.rot90(square, 2), atol=1e-12)
    np.testing.assert_allclose(rotated(psf, Orientation(0, True)).data, square[:, ::-1], atol=1e-12)
    assert rotated(psf, Orientation(30, False)).centre == (4.0, 4.0)
    assert str(Orientation(0, True)) == "mirrored along X"
    assert str(Orientation(90, True)) == "mirrored along X and rotated by 90 degrees (from X to Y)"
