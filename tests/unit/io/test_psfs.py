from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.field_psf import FieldPsf, NearestPoint, PixelGrid, Polygons
from unblend.core.types import Psf
from unblend.io.psfs import read_psf, read_psf_widths, write_psf


def test_psf_round_trip(tmp_path):
    psf = Psf(np.random.default_rng(1).uniform(size=(5, 7)), (2.01, 2.99), 2.5, "optical", 0.97)
    write_psf(tmp_path / "psf.fits", psf)
    field, _ = read_psf(str(tmp_path / "psf.fits"))
    (again,) = field.psfs
    np.testing.assert_array_equal(again.data, psf.data)
    assert (again.centre, again.oversampling, again.kind, again.original_sum) == ((2.01, 2.99), 2.5, "optical", 0.97)
    with fits.open(tmp_path / "psf.fits") as hdus:
        assert len(hdus) == 1


def test_further_header_cards_come_back(tmp_path):
    write_psf(tmp_path / "psf.fits", Psf(np.eye(3), (1.0, 1.0)), {"FWHM": 2.5, "FWHMPSF": 5.0, "ABSENT": None})
    _, header = read_psf(str(tmp_path / "psf.fits"))
    assert header["FWHM"] == 2.5 and "ABSENT" not in header
    assert read_psf_widths(str(tmp_path / "psf.fits")).tolist() == [5.0]


@pytest.mark.parametrize(
    "places",
    [
        NearestPoint(np.array([[3.0, 4.0], [30.0, 4.0], [3.0, 40.0], [30.5, 40.0], [9.0, 8.0], [1.0, 2.0]])),
        PixelGrid(np.array([0.0, 40.0]), np.array([-3.0, 20.0, 50.5])),
        Polygons.of_lines(
            [
                (0, 3, np.array([[0.0, 0.0], [0.0, 20.0], [40.0, 20.0], [40.0, 0.0]])),
                (1, 5, np.array([[0.0, 20.0], [0.0, 50.0], [40.0, 50.0], [40.0, 20.0]])),
                (1, 5, np.array([[10.0, 30.0], [10.0, 40.0], [20.0, 40.0]])),
            ]
        ),
    ],
)
def test_maps_come_back_with_all_their_places(tmp_path, places):
    rng = np.random.default_rng(2)
    psfs = tuple(
        Psf(rng.uniform(size=(5, 5)), (2.0 + 0.01 * k, 2.0), 2.0, "effective", 0.9 + k / 100) for k in range(6)
    )
    field = FieldPsf(psfs, places)
    write_psf(tmp_path / "psf.fits", field, {"FWHM": 2.0}, middle=(20.0, 25.0), widths=np.arange(6.0))
    again, header = read_psf(str(tmp_path / "psf.fits"))
    assert type(again.places) is type(places) and header["NPSFS"] == 6
    for y in np.linspace(-5.0, 45.0, 9):
        for x in np.linspace(-5.0, 55.0, 9):
            assert again.places.weights(y, x) == field.places.weights(y, x)
            assert again.places.distance(y, x) == field.places.distance(y, x)
    for one, other in zip(again.psfs, psfs, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert (one.centre, one.original_sum, one.kind) == (other.centre, other.original_sum, other.kind)
    # any program that shows FITS shows the PSF in the middle
    np.testing.assert_array_equal(fits.getdata(tmp_path / "psf.fits"), field.at(20.0, 25.0).data)
    assert read_psf_widths(str(tmp_path / "psf.fits")).tolist() == list(range(6))
