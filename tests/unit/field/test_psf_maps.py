"""The PSF of a band whose PSF changes: maps that are drawn and real, each PSF held to what a single one is."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import galsim.des
import numpy as np
import pytest
from astropy.io import fits
from changing_psf import FWHM, SHAPE, drawn_grid, drawn_psf, image_header, write_psfex, write_stdpsf
from unblend.core.coordinates import pixel_to_sky
from unblend.core.errors import InputError
from unblend.core.field_psf import PixelGrid, Polygons
from unblend.field.prepared_psf import prepared_psf, psf_of
from unblend.images.psf import centroid
from unblend.io.images import read_wcs

UDS = Path(os.environ.get("UNBLEND_TEST_DATA", Path(__file__).resolve().parents[4] / "shared/data"))
KEYS = {"name": "k", "kind": "effective", "oversampling": 2.0, "sum": "unit", "centre": "centroid"}
CELLS = [(30.0, 50.0), (30.0, 150.0), (90.0, 50.0), (90.0, 150.0)]
"""Middles (y, x) of four rectangles that cover the image."""


@pytest.fixture
def image(tmp_path):
    fits.writeto(tmp_path / "image.fits", np.zeros(SHAPE), image_header())
    return {"file": f"{tmp_path}/image.fits"}


def spec_of(image, psf, **changes):
    return {**KEYS, "psf": {"file": str(psf)}, "image": image, **changes}


@pytest.fixture
def with_polygons(tmp_path, image):
    """Return a function that writes four PSFs, or those given, and rectangles where they hold; it returns a spec."""

    def write(images=None, **changes):
        cube = np.array([drawn_psf(*cell) for cell in CELLS]) if images is None else images
        fits.writeto(tmp_path / "cube.fits", cube, overwrite=True)
        wcs, features = read_wcs(image["file"]), []
        for k, (y, x) in enumerate(CELLS):
            corners = np.array([(y - 30, x - 50), (y - 30, x + 50), (y + 30, x + 50), (y + 30, x - 50)]) - 0.5
            ring = np.column_stack(pixel_to_sky(wcs, *corners.T)).tolist()
            features.append({"properties": {"psf_key": k}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
        (tmp_path / "map.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return spec_of(image, tmp_path / "cube.fits", polygons={"file": f"{tmp_path}/map.geojson"}, **changes)

    return write


def test_each_polygon_has_its_own_psf(with_polygons):
    psf, widths = prepared_psf(with_polygons())
    assert isinstance(psf.places, Polygons) and psf.oversampling == 2.0
    for k, cell in enumerate(CELLS):
        np.testing.assert_allclose(psf.at(*cell).data, drawn_psf(*cell), atol=1e-6)
        assert psf.at(*cell) is psf.psfs[k]
    # the PSF with the pixel is a little wider than the drawn one
    assert widths / 2.0 == pytest.approx(FWHM * np.array([0.9675, 1.0425, 0.9675, 1.0425]), rel=0.05)


def test_one_line_sums_the_map_up(with_polygons, caplog):
    with caplog.at_level(logging.INFO, logger="unblend"):
        prepared_psf(with_polygons())
    (line,) = caplog.messages
    assert line.startswith("k: 4 PSFs, FWHM 0.30") and "oversampling 2), sums of the file 1–1 (set to 1)" in line


def test_every_psf_is_centred_and_of_unit_sum(with_polygons):
    moved = [np.roll(3.0 * drawn_psf(*cell), k, axis=1) for k, cell in enumerate(CELLS)]
    psf, _ = prepared_psf(with_polygons(np.array(moved)))
    assert len({one.data.shape for one in psf.psfs}) == 1
    for one in psf.psfs:
        assert one.data.sum() == pytest.approx(1.0, abs=1e-12) and one.original_sum == pytest.approx(3.0)
        assert centroid(one.data) == pytest.approx(one.centre, abs=1e-3)


def test_sums_and_centres_are_kept_on_request(with_polygons):
    moved = np.array([np.roll((0.9 + 0.02 * k) * drawn_psf(*cell), 1, axis=1) for k, cell in enumerate(CELLS)])
    psf, _ = prepared_psf(with_polygons(moved, sum="given", centre="given"))
    assert [one.data.sum() for one in psf.psfs] == pytest.approx([0.9, 0.92, 0.94, 0.96])
    assert {one.centre for one in psf.psfs} == {(20.0, 20.0)}
    assert np.unravel_index(np.argmax(psf.psfs[0].data), (41, 41)) == (20, 21)


def test_a_bad_psf_is_named(with_polygons):
    images = np.array([drawn_psf(*cell) for cell in CELLS])
    images[2, 5, 5:8] = np.nan
    with pytest.raises(InputError, match=r"cube.fits\[\*,\*,3\] has 3 of 1681 pixels that are not finite"):
        psf_of(with_polygons(images))
    images[2] = -1.0
    with pytest.raises(InputError, match=r"cube.fits\[\*,\*,3\] has the sum -1681; expected a positive PSF"):
        psf_of(with_polygons(images))


def test_a_psf_that_no_polygon_names_does_not_matter(with_polygons):
    images = np.array([*(drawn_psf(*cell) for cell in CELLS), np.full((41, 41), np.nan)])
    assert len(psf_of(with_polygons(images)).psfs) == 4


def test_pedestals_and_odd_centres_are_one_warning_each(with_polygons, caplog):
    images = np.array([drawn_psf(*cell) for cell in CELLS])
    images[:2] += 1e-4
    images[3] = np.roll(images[3], 3, axis=0)
    prepared_psf(with_polygons(images))
    pedestal, astray = caplog.messages
    assert "2 of 4 PSFs do not fall as the wings of a PSF do ([*,*,1], [*,*,2])" in pedestal
    assert "the centroids of 1 of 4 PSFs ([*,*,4]) are more than a pixel from the middle" in astray


def test_undersampled_psfs_are_counted(with_polygons, image, caplog):
    narrow = [drawn_psf(*cell, sampling=0.9 if k else 1.5) for k, cell in enumerate(CELLS)]
    prepared_psf(with_polygons(np.array(narrow), oversampling=1.0))
    assert "k: 1 of 4 PSFs have a FWHM" not in caplog.text and "k: 1 of 4" not in caplog.text
    coarse = [drawn_psf(*cell, sampling=0.7 if k == 1 else 1.2) for k, cell in enumerate(CELLS)]
    caplog.clear()
    prepared_psf(with_polygons(np.array(coarse), oversampling=1.0))
    assert "k: 1 of 4 PSFs have a FWHM of down to 2." in caplog.text


def test_a_psfex_file_follows_the_psf_over_the_image(tmp_path, image):
    write_psfex(tmp_path / "k.psf", 1)
    psf, _ = prepared_psf(spec_of(image, tmp_path / "k.psf"))
    truth = galsim.des.DES_PSFEx(str(tmp_path / "k.psf"))
    assert isinstance(psf.places, PixelGrid) and psf.oversampling == 2.0
    for place in ((0.0, 0.0), (60.0, 100.0), (100.0, 30.0)):
        expected = truth.getPSFArray(galsim.PositionD(place[1] + 1.0, place[0] + 1.0))
        # the interpolation between the nodes is good to 1e-3 of the light
        assert 0.5 * np.abs(psf.at(*place).data - expected / expected.sum()).sum() < 1e-3


def test_a_grid_states_its_sampling(tmp_path, image):
    write_stdpsf(tmp_path / "psf.fits", [0.0, 119.0], [0.0, 199.0])
    with pytest.raises(InputError, match=r"has 4 PSF pixels per image pixel by its format, but .* set it to 4.000"):
        prepared_psf(spec_of(image, tmp_path / "psf.fits"))
    psf, _ = prepared_psf(spec_of(image, tmp_path / "psf.fits", oversampling=4.0))
    assert psf.oversampling == 4.0 and len(psf.psfs) == 4
    assert psf.psfs[0].original_sum == pytest.approx(16.0)


def test_pixels_of_another_image_are_refused(tmp_path, image):
    write_stdpsf(tmp_path / "psf.fits", [0.0, 119.0], [0.0, 199.0])
    spec = spec_of(image, tmp_path / "psf.fits", oversampling=4.0, other_grid=True)
    with pytest.raises(InputError, match=r"models.psf: the PSFs of band k have places in the pixels of its image"):
        psf_of(spec)


def test_several_psfs_without_places_are_refused(tmp_path, image):
    fits.writeto(tmp_path / "cube.fits", drawn_grid([0.0], [0.0, 9.0]))
    with pytest.raises(InputError, match=r"nothing says where in the image each of them holds; expected the polygons"):
        psf_of(spec_of(image, tmp_path / "cube.fits"))


@pytest.mark.parametrize(
    ("band", "cube", "polygons", "oversampling", "number"),
    [
        ("f444w", "f444w-psf.fits", "uds-test-f444w_psf.geojson", 2.0, 20),
        ("f770w", "f770w80-psf.fits", "uds-test-80mas-f770w_psf.geojson", 1.0, 2),
    ],
)
def test_the_maps_of_a_jwst_field(band, cube, polygons, oversampling, number):
    folder = UDS / "uds-jwst-psfs"
    if not folder.exists():
        pytest.skip(f"{folder} is not on this machine")
    image = {"file": str(UDS / f"uds-jwst/{band}-sci.fits")}
    spec = spec_of(image, folder / cube, polygons={"file": str(folder / polygons)}, oversampling=oversampling)
    psf, widths = prepared_psf({**spec, "name": band})
    assert len(psf.psfs) == number
    low, high = (0.15, 0.17) if band == "f444w" else (0.27, 0.29)
    arcsec = widths * 0.08 / oversampling
    assert low < arcsec.min() < arcsec.max() < high
    # the polygons of NIRCam cover the image; between the two of MIRI there is a gap of half an arcsec
    outside = [psf.places.distance(y, x) * 0.08 for y in range(0, 140, 7) for x in range(0, 170, 7)]
    assert max(outside) < 0.3
