from __future__ import annotations

import logging

import numpy as np
import pytest
from astropy.io import fits
from gaussians import gaussian_field
from template_battery import Grid, wcs_of
from unblend.core.errors import InputError
from unblend.core.shift_field import ShiftField
from unblend.core.types import Model
from unblend.field.band_data import StoredModels, error_of_shift, load_band_data
from unblend.field.weight_maps import read_weight
from unblend.io.files import write_json
from unblend.io.models import write_model
from unblend.photometry.linear_system import model_image
from unblend.photometry.weight_rescaling import rescale_weights

SIDE = 80
RNG = np.random.default_rng(21)
TEMPLATES, FLUX = gaussian_field(6, SIDE, RNG)
# the left half is three times as noisy
RMS = np.where(np.arange(SIDE) < SIDE // 2, 1.5, 0.5) * np.ones((SIDE, 1))
IMAGE = model_image(TEMPLATES, FLUX, (SIDE, SIDE), 3.0) + RMS * RNG.normal(size=(SIDE, SIDE))
KINDS = {"rms": RMS, "variance": RMS**2, "weight": RMS**-2}


def weight_of(folder, kind, factor=1.0, dead=0.0):
    values = (factor * KINDS[kind]).astype(np.float32)
    values[10, 10], values[11, 11] = dead, np.nan
    fits.writeto(folder / "map.fits", values)
    return read_weight({"file": str(folder / "map.fits"), "kind": kind}, (SIDE, SIDE))


def rescaled(weight, origin="map"):
    return rescale_weights(IMAGE, weight, TEMPLATES, fwhm=4.0, noise_origin=origin, name="k")


DEAD = np.zeros((SIDE, SIDE), dtype=bool)
DEAD[10, 10] = DEAD[11, 11] = True
EXPECTED = rescaled(np.where(DEAD, 0.0, RMS**-2)).solution


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_map_gives_the_same_fluxes_and_errors(kind, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        weight = weight_of(tmp_path, kind)
        found = rescaled(weight)
    assert not weight[DEAD].any()
    # float32 on disk
    assert found.solution.flux == pytest.approx(EXPECTED.flux, rel=1e-5)
    assert found.solution.err == pytest.approx(EXPECTED.err, rel=1e-5)
    assert np.abs((found.solution.flux - FLUX) / found.solution.err).max() < 4
    assert found.scale == 1.0 and not caplog.records


@pytest.mark.parametrize(("kind", "factor"), [("rms", 3.0), ("variance", 9.0), ("weight", 1 / 9.0)])
def test_a_map_is_scaled_to_the_scatter_with_a_warning_if_it_has_the_unit_of_the_image(kind, factor, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        found = rescaled(weight_of(tmp_path, kind, factor), "weights" if kind == "weight" else "map")
    # the robust scatter of 6000 pixels is good to 1.4 %
    assert found.scale == pytest.approx(1 / 3, rel=0.05)
    assert found.solution.err == pytest.approx(EXPECTED.err, rel=0.05)
    assert ("k: the source-free pixels scatter by" in caplog.text) == (kind != "weight")


def test_a_map_on_another_grid(tmp_path):
    fits.writeto(tmp_path / "map.fits", np.ones((5, 4), dtype=np.float32))
    with pytest.raises(InputError, match=r"map\.fits has 4 x 5 pixels and its image 80 x 80"):
        read_weight({"file": str(tmp_path / "map.fits"), "kind": "rms"}, (SIDE, SIDE))


def test_an_image_of_integers_is_not_taken_for_unmodelled_flux():
    """The median of the residual of integers is off by up to half a unit, which smoothing makes significant."""
    counts = np.rint(model_image(TEMPLATES, FLUX, (SIDE, SIDE), 100.3) + RNG.normal(size=(SIDE, SIDE)))
    found = rescale_weights(counts, np.ones(counts.shape), TEMPLATES, fwhm=4.0, noise_origin="image", name="k")
    assert found.masked_fraction < 0.1
    # with the noise of the rounding
    assert found.rms == pytest.approx(np.hypot(1.0, 12**-0.5), rel=0.05)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((6, 5), np.nan), r"bands.k: no pixel of .*k.fits can be used: all are not finite, not observed"),
        (np.full((6, 5), 4.0), r"bands.k: the noise of .*k.fits cannot be measured: most of its pixels have .* 4"),
    ],
)
def test_a_band_without_data_or_noise(tmp_path, image, words):
    folder = tmp_path / "bands" / "k"
    folder.mkdir(parents=True)
    fits.writeto(tmp_path / "k.fits", image)
    fits.writeto(folder / "background.fits", np.zeros(image.shape))
    fits.writeto(folder / "mask.fits", np.isnan(image).astype(np.uint8))
    spec = {"band": "k", "image": {"file": str(tmp_path / "k.fits")}, "weight": None, "rms": "auto"}
    with pytest.raises(InputError, match=words):
        load_band_data(spec, tmp_path)


def test_models_are_read_when_they_are_needed(tmp_path):
    folder = tmp_path / "imfit/models"
    folder.mkdir(parents=True)
    (tmp_path / "imfit/models.json").write_text('{"models": {"12": {}, "3": {}}}')
    for i in (3, 12):
        model = Model(np.full((3, 3), float(i)), (1.0, 1.0), (150.0, 2.0), 1e-2 * np.eye(2), 10.0 * i)
        write_model(folder / f"{i}.fits", model)
    models = StoredModels(tmp_path)
    assert list(models) == [3, 12] and len(models) == 2 and 3 in models and 4 not in models
    assert models[12].data[1, 1] == 12.0 and models.get(4) is None
    assert {i: outline.total for i, outline in models.outlines().items()} == {3: 30.0, 12: 120.0}
    with pytest.raises(KeyError, match="4"):
        models[4]


def found_shift(tmp_path, **content):
    write_json(tmp_path / "bands/k/astrometry.json", content)
    grid = Grid(scale=0.2, side=11)
    return wcs_of(grid), (11, 11)


def test_a_given_shift_has_no_error(tmp_path):
    assert error_of_shift({"band": "k", "shift": [0.1, 0.0]}, tmp_path, wcs_of(Grid()), (51, 51)) is None


def test_the_error_of_one_shift_in_pixels(tmp_path):
    place = found_shift(tmp_path, shift_error_arcsec=[0.02, 0.004])
    found = error_of_shift({"band": "k", "shift": "auto"}, tmp_path, *place)
    # 0.2 arcsec per pixel; dy comes first
    assert found.covariance.ravel() == pytest.approx([0.02**2, 0.1**2], rel=1e-4)
    assert not found.coefficients.any()


def test_the_error_of_a_field_of_shifts_is_its_own(tmp_path):
    field = ShiftField(1, (0.0, 0.0, 10.0, 10.0), np.zeros((2, 3)), np.stack([np.eye(3), 2.0 * np.eye(3)]))
    spec, place = {"band": "k", "shift": {"field": "auto"}}, found_shift(tmp_path, field=field.as_json())
    np.testing.assert_array_equal(error_of_shift(spec, tmp_path, *place).covariance, field.covariance)
    # too few sources for a field: the error of the one shift
    place = found_shift(tmp_path, field=None, shift_error_arcsec=[0.2, 0.2])
    assert error_of_shift(spec, tmp_path, *place).covariance.ravel() == pytest.approx([1.0, 1.0], rel=1e-4)


def test_the_error_of_a_shift_that_was_not_found_is_not_known(tmp_path):
    place = found_shift(tmp_path, shift_error_arcsec=None)
    assert np.isnan(error_of_shift({"band": "k", "shift": "auto"}, tmp_path, *place).covariance).all()
