from __future__ import annotations

import blurred_band as band
import numpy as np
import pytest
from unblend.core.coordinates import pixel_to_sky
from unblend.core.errors import InputError
from unblend.field.band_only_sources import band_only_light, read_band_only, write_band_only, write_no_band_only
from unblend.io.regions import read_regions
from unblend.io.tables import columns, read_table, read_table_header
from unblend.models.point_templates import point_template
from unblend.photometry.band_only_sources import BandOnlySources

Y, X = np.array([40.37, 20.0]), np.array([49.61, 30.0])


@pytest.fixture
def sources() -> BandOnlySources:
    templates = [point_template(band.engine(), -k, y, x) for k, (y, x) in enumerate(zip(Y, X, strict=True), start=1)]
    return BandOnlySources(templates, Y, X, np.array([30.0, 6.0]))


def detected(y: list[float], x: list[float]) -> np.ndarray:
    # where the models are: the band is shifted by (0.5, -1) pixels along X and Y
    ra, dec = pixel_to_sky(band.wcs(), np.array(y) + 1.0, np.array(x) - 0.5)
    return columns(id=np.arange(1, len(y) + 1), ra=ra, dec=dec)


def write(folder, sources, catalogue):
    measured = {"flux": np.array([500.0, 90.0]), "flux_err": np.array([15.0, 14.0]), "flag": np.array([0, 8])}
    write_band_only(folder, sources, band.engine(), measured, catalogue, fwhm=3.0, band="irac")


def test_the_table_has_positions_fluxes_and_the_nearest_source(tmp_path, sources):
    write(tmp_path, sources, detected([42.37, 20.0], [49.61, 36.0]))
    table = read_table(tmp_path / "band_only.fits")
    assert table["id"].tolist() == [-1, -2] and table["flag"].tolist() == [0, 8]
    assert table["flux"].tolist() == [500.0, 90.0] and table["snr"].tolist() == [30.0, 6.0]
    # pixels count from 1, as in FITS
    np.testing.assert_allclose(table["y"], Y + 1.0)
    np.testing.assert_allclose(table["x"], X + 1.0)
    assert table["nearest_id"].tolist() == [1, 2]
    assert table["nearest_arcsec"] == pytest.approx([1.2, 3.6], abs=1e-3)
    assert read_table_header(tmp_path / "band_only.fits")["BAND"] == "irac"


def test_regions_are_drawn_on_the_source(tmp_path, sources):
    write(tmp_path, sources, detected([40.0], [50.0]))
    first, second = read_regions(tmp_path / "band_only.reg")
    assert (first.text, second.text) == ("own 1", "own 2")
    ra, dec = pixel_to_sky(band.wcs(), Y, X)
    assert first.points[0] == pytest.approx((ra[0], dec[0]), abs=1e-7)
    assert first.outer[0] == (pytest.approx(1.8, rel=1e-3), "arcsec")


def test_light_and_templates_come_back(tmp_path, sources):
    write(tmp_path, sources, detected([40.0], [50.0]))
    templates, flux = read_band_only(tmp_path)
    assert [template.id for template in templates] == [-1, -2] and flux.tolist() == [500.0, 90.0]
    light = band_only_light(tmp_path, band.SHAPE)
    truth = 500.0 * band.drawn(band.point(), Y[0], X[0]) + 90.0 * band.drawn(band.point(), Y[1], X[1])
    np.testing.assert_allclose(light, truth, atol=2e-3 * truth.max())


def test_without_detected_sources_there_is_no_nearest_one(tmp_path, sources):
    write(tmp_path, sources, detected([], []))
    table = read_table(tmp_path / "band_only.fits")
    assert table["nearest_id"].tolist() == [0, 0] and np.isnan(table["nearest_arcsec"]).all()


def test_a_band_without_sources_of_its_own(tmp_path, sources):
    write_no_band_only(tmp_path, "irac")
    assert not band_only_light(tmp_path, band.SHAPE).any() and read_regions(tmp_path / "band_only.reg") == []
    empty = read_table(tmp_path / "band_only.fits")
    assert len(empty) == 0
    write(tmp_path, sources, detected([40.0], [50.0]))
    assert empty.dtype.names == read_table(tmp_path / "band_only.fits").dtype.names


def test_a_search_that_finds_nothing_writes_the_same(tmp_path):
    nothing = {name: np.zeros(0) for name in ("flux", "flux_err")} | {"flag": np.zeros(0, dtype=int)}
    none = BandOnlySources.of(band.engine(), [])
    write_band_only(tmp_path, none, band.engine(), nothing, detected([40.0], [50.0]), fwhm=3.0, band="irac")
    found = read_table(tmp_path / "band_only.fits")
    write_no_band_only(tmp_path, "irac")
    assert found.dtype == read_table(tmp_path / "band_only.fits").dtype and len(found) == 0


def test_missing_products_are_named(tmp_path):
    with pytest.raises(OSError, match=r"band_only\.npz"):
        read_band_only(tmp_path)
    write_no_band_only(tmp_path, "irac")
    (tmp_path / "band_only.fits").unlink()
    with pytest.raises(InputError, match=r"band_only\.fits"):
        read_band_only(tmp_path)
