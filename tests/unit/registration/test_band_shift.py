from __future__ import annotations

import logging

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.core.errors import ShiftError
from unblend.models.rendering import sersic_model
from unblend.registration.band_shift import MAX_PHASE_SHIFT_PIXELS, Registration

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
def test_templates_at_a_shift_equal_those_of_an_engine_with_that_shift(shift):
    band = registration()
    band.templates((0.0, 0.0))
    found = band.templates(shift)
    assert [template.id for template in found] == [3, 7]
    for template in found:
        expected = band.engine(shift).template(template.id, band.models[template.id])
        # the stamp is cut one pixel further: 1e-4 of the peak
        assert np.abs(drawn(template) - drawn(expected)).max() < 2e-4 * expected.data.max()


def test_transforms_are_computed_once_for_small_shifts():
    band = registration()
    first = band.template_maker((0.0, 0.0))[0]
    assert band.template_maker((0.1, -0.1))[0] is first
    assert band.template_maker((0.15 * (MAX_PHASE_SHIFT_PIXELS + 1.0), 0.0))[0] is not first


SETTINGS = {"references": "auto", "radius": 1.2, "step": 0.06, "max_shift": 0.45}
TRUE_SHIFT = (0.12, -0.06)


def field_with_one_offset_source(rng):
    """Return seven galaxies, of which the brightest is offset by another 0.2 arcsec, as by an undetected neighbour."""
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
        for template in band.template_maker(shift)[0](ids, band.template_maker(shift)[1]):
            image[template.box.slices] += (3000.0 if template.id == 1 else 1500.0) * template.data
    band.image = image
    return band


def test_a_reference_that_disagrees_with_the_other_sources_is_dropped(caplog):
    band = field_with_one_offset_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    with caplog.at_level(logging.INFO, logger="unblend"):
        found, used, refined = band.find_shift(SETTINGS, [1, 2, 3], solution)
    assert used == [2, 3] and refined.message is None and "references 1 disagree" in caplog.text
    # 1500 at a noise of 1 and a FWHM of 3 pixels: 0.01 arcsec a source
    assert refined.shift == pytest.approx(TRUE_SHIFT, abs=0.015)
    assert band.to_arcsec(found.shift) == pytest.approx(TRUE_SHIFT, abs=0.03)


def test_references_named_by_the_user_are_kept():
    band = field_with_one_offset_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    _, used, refined = band.find_shift(SETTINGS | {"references": [1]}, [1], solution)
    assert used == [1] and "choose other references" in refined.message


def test_flagged_fits_are_references_only_if_there_are_too_few_others():
    band = field_with_one_offset_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    everything = band.references("auto", 1.2, solution)
    assert sorted(everything) == [1, 2, 3, 4, 5, 6, 7] and everything[0] == 1
    band.flagged = frozenset({1, 2, 3, 4})
    assert sorted(band.references("auto", 1.2, solution)) == [5, 6, 7]
    # two good fits are not enough
    band.flagged = frozenset({1, 2, 3, 4, 5})
    assert band.references("auto", 1.2, solution) == everything


def test_fewer_references_than_wanted_are_used():
    band = field_with_one_offset_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    band.r_e_arcsec = {1: 0.3, 2: 0.3}
    assert band.references("auto", 1.2, solution) == [1, 2]
    # of the selections only those with flagged fits find any
    band.flagged = frozenset({1, 2})
    assert band.references("auto", 1.2, solution) == [1, 2]


def test_errors_of_references():
    band = field_with_one_offset_source(np.random.default_rng(2))
    _, solution = band.solved((0.0, 0.0))
    assert band.references([7, 2], 1.2, solution) == [7, 2]
    with pytest.raises(ShiftError, match=r"Source 99 in astrometry\.references does not exist: IDs run from 1 to 7"):
        band.references([2, 99], 1.2, solution)
    band.r_e_arcsec = {}
    with pytest.raises(ShiftError, match=r"No source can be an astrometric reference: none is isolated, has S/N > 20"):
        band.references("auto", 1.2, solution)


def test_transforms_that_do_not_fit_into_memory_are_made_again(monkeypatch):
    band, small = registration(), registration()
    made = []

    class Read(dict):
        def __getitem__(self, i):
            made.append(i)
            return super().__getitem__(i)

    small.models, small.placed = Read(small.models), dict(small.models)
    monkeypatch.setattr("unblend.registration.band_shift.MAX_CACHED_FREQUENCIES", 1)
    for shift in ((0.0, 0.0), (0.1, 0.05)):
        for kept, again in zip(band.templates(shift), small.templates(shift), strict=True):
            np.testing.assert_array_equal(kept.data, again.data)
            assert again.data.dtype == np.float32
    assert made == [3, 7, 3, 7]


@pytest.mark.parametrize("blur", [Blur(3.0), Blur(1.3, oversampling=3.0)])
def test_kept_transforms_are_good_to_single_precision(blur):
    band = registration()
    band.psf = psf_of(blur)
    band.templates((0.0, 0.0))
    maker, pixels = band.template_maker((0.05, -0.02))
    for template in band.templates((0.05, -0.02)):
        whole = maker.engine.spectrum(band.models[template.id])
        assert whole.fold == (1 if blur.fwhm > 2 else 3)
        stamp = whole.stamp(pixels)
        expected = maker.engine.clipped(template.id, stamp, whole.box)
        assert np.abs(template.data - expected.data).max() < 1e-6 * stamp.max()
