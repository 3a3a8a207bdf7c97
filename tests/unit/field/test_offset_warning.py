"""The user is told of a band whose light lies beside its models: the offset, and what to set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.core.shift_field import ShiftField
from unblend.field.offset_warning import describe_offset, describe_rotation
from unblend.field.shift_measurement import MeasuredShift
from unblend.models.rendering import sersic_model
from unblend.registration.band_shift import Registration
from unblend.registration.rotation import Rotation

PLACES = [(0.0, 0.0), (6.0, 5.0), (-7.0, 4.0), (5.0, -6.5), (-5.0, -6.0), (0.5, 7.0), (0.0, -7.5)]
GRID = Grid(scale=0.15, side=161)
SHAPE = (GRID.side, GRID.side)
FWHM = 3.0


def band_at(true_shift, noise=1.0, flux=1500.0, places=PLACES, field=None):
    """Return a band of galaxies whose light is at a shift (x, y) in arcsec, and a field of shifts, from the models."""
    models = {
        i: sersic_model(
            n=1.0, r_e=4.0, ell=0.2, pa=20.0 * i, flux=1.0, pixel_to_sky=np.array([[0.0, -0.06], [0.06, 0.0]]),
            oversampling=5, sky=(SKY[0] + east / 3600.0 / np.cos(np.deg2rad(SKY[1])), SKY[1] + north / 3600.0),
        )
        for i, (east, north) in enumerate(places, start=1)
    }  # fmt: skip
    sizes = dict.fromkeys(models, 0.3)
    band = Registration(np.zeros(SHAPE), np.full(SHAPE, noise**-2), wcs_of(GRID), psf_of(Blur(FWHM)), models, sizes)
    image = noise * np.random.default_rng(2).normal(size=SHAPE)
    for template in replace(band, shift_field=field).templates(true_shift):
        image[template.box.slices] += flux * template.data
    return replace(band, image=image)


def sentence(true_shift, adopted=(0.0, 0.0), searched=False, **field):
    band = band_at(true_shift, **field)
    templates, solution = band.solved(adopted)
    found = MeasuredShift(band, adopted, templates, solution)
    return describe_offset("k", found, band.offsets(adopted, templates, solution), FWHM, searched=searched)


@pytest.mark.parametrize("shift", [(0.45, 0.0), (-1.2, 0.75), (0.0, 0.09)])
def test_an_offset_is_measured_and_what_to_set_is_said(shift):
    said = sentence(shift)
    assert said is not None and said.startswith("bands.k: the sources lie ")
    x, y = (float(part) for part in said.partition("shift: [")[2].partition("]")[0].split(", "))
    # a twentieth of a pixel: 0.3 % of the flux
    assert (x, y) == pytest.approx(shift, abs=0.008)
    assert "or shift: auto, or correct the world coordinates of the image or psf_centre." in said


def test_the_offset_is_added_to_the_shift_that_the_band_has():
    said = sentence((0.45, 0.3), (0.45, -0.3), searched=True)
    assert said is not None and "along image X and +0.60" in said and "; set shift: [0.450, 0.30" in said
    assert "auto" not in said


def test_nothing_is_said_of_small_offsets_and_faint_bands():
    assert sentence((0.0, 0.0)) is None
    assert sentence((0.03, 0.03)) is None  # 0.1 FWHM: 1 % of the flux
    assert sentence((0.0, 0.0), flux=60.0) is None
    assert sentence((0.45, 0.0), flux=20.0) is None  # S/N of 3: nothing is known


def test_offsets_that_change_over_the_image_are_a_distortion():
    half = GRID.side - 1.0
    places = [(e, n) for e in (-9.0, -4.4, 0.1, 4.6, 9.0) for n in (-9.0, -4.6, 0.2, 4.5, 9.0)]
    # dx grows with the square of x, by a pixel from the middle to the outermost sources
    bowl = np.array([[0.0] * 6, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    truth = ShiftField(2, (0.0, 0.0, half, half), bowl, np.zeros((2, 6, 6)))
    band = band_at((0.0, 0.0), places=places, field=truth)
    templates, solution = band.solved((0.0, 0.0))
    offsets = band.offsets((0.0, 0.0), templates, solution)
    said = describe_offset("k", MeasuredShift(band, (0.0, 0.0), templates, solution), offsets, FWHM, searched=False)
    assert said is not None and said.startswith("bands.k: the offsets of ") and "change over the image" in said
    assert "set shift: {field: auto}, or correct the distortion in the header" in said


def test_a_rotation_is_named_and_what_to_correct():
    turned = Rotation(2.0, 0.1, (0.001, 0.03), (0.002, 0.002), 1.6, 41)
    assert describe_rotation("ks", turned, 4.0) == (
        "bands.ks: the offsets of 41 bright sources from their models fit a rotation of +2.00 ± 0.10 degrees (from X "
        "to Y) and pixels that the header makes 3.00 ± 0.20 % too large along Y, up to 1.6 pixels (0.40 FWHM of the "
        "PSF), and the fluxes are wrong; correct CROTA2, CDELT, PC or CD in the header of the image, or set shift: "
        "{field: auto}."
    )
    assert describe_rotation("ks", turned, 2.0).endswith("in the header of the image.")
