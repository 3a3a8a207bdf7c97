from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.io.tables import columns, read_sources, read_table, read_table_header, write_sources, write_table

SOURCES = columns(
    id=np.array([1, 2], dtype=np.int32), x=np.array([0.0, 9.25]), y=np.array([3.0, 4.5]), flux=np.array([5.0, np.nan])
)


def test_round_trip_with_units_and_header(tmp_path):
    path = tmp_path / "deep" / "t.fits"
    write_table(path, SOURCES, units={"flux": "uJy"}, header={"RMS": 0.5, "NONE": None}, name="FLUXES")
    again = read_table(path)
    assert again.dtype == SOURCES.dtype and again.dtype["x"].isnative
    for name in SOURCES.dtype.names:
        np.testing.assert_array_equal(again[name], SOURCES[name])
    header = read_table_header(path)
    assert header["EXTNAME"] == "FLUXES" and header["RMS"] == 0.5 and "NONE" not in header
    with fits.open(path) as hdus:
        assert hdus[1].columns["flux"].unit == "uJy" and hdus[1].columns["id"].unit is None


def test_vectors_matrices_and_text(tmp_path):
    table = columns(id=np.arange(3), cov=np.arange(12.0).reshape(3, 2, 2), name=np.array(["a", "", "Sersic+Sersic"]))
    write_table(tmp_path / "t.fits", table)
    again = read_table(tmp_path / "t.fits")
    np.testing.assert_array_equal(again["cov"], table["cov"])
    assert again["name"].tolist() == ["a", "", "Sersic+Sersic"]


def test_a_table_without_rows(tmp_path):
    write_table(tmp_path / "t.fits", SOURCES[:0])
    again = read_table(tmp_path / "t.fits")
    assert len(again) == 0 and again.dtype.names == SOURCES.dtype.names


def test_columns_by_hand():
    table = columns(id=np.array([1, 2]), flag=np.array([True, False]))
    assert table.shape == (2,) and table["id"].tolist() == [1, 2] and table["flag"].dtype == bool


def test_catalogues_on_disk_count_pixels_from_one(tmp_path):
    write_sources(tmp_path / "cat.fits", SOURCES)
    with fits.open(tmp_path / "cat.fits") as hdus:
        assert hdus[1].data["x"].tolist() == [1.0, 10.25] and hdus[1].data["y"].tolist() == [4.0, 5.5]
        assert hdus[1].columns["x"].unit == "pix"
    again = read_sources(tmp_path / "cat.fits")
    assert again["x"].tolist() == [0.0, 9.25] and again["y"].tolist() == [3.0, 4.5]
    # the caller's table is left alone
    assert SOURCES["x"][0] == 0.0


def test_a_missing_table(tmp_path):
    with pytest.raises(InputError, match=r"none.fits does not exist; expected a FITS table"):
        read_table(tmp_path / "none.fits")


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "t.fits").write_text("words\n" * 1000)
    with pytest.raises(InputError, match=r"t.fits cannot be read as a FITS table"):
        read_table(tmp_path / "t.fits")
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "i.fits")
    with pytest.raises(InputError, match=r"i.fits has no table"):
        read_table(tmp_path / "i.fits")


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises((TypeError, ValueError, OSError)):
        write_table(tmp_path / "t.fits", np.zeros(2, dtype=[("o", object)]))
    assert list(tmp_path.iterdir()) == []


def test_some_columns_of_a_table_are_read_in_its_order(tmp_path):
    write_table(tmp_path / "t.fits", SOURCES, name="FLUXES")
    some = read_table(tmp_path / "t.fits", ["flux", "id", "unheard_of"])
    assert some.dtype.names == ("id", "flux") and some.dtype["flux"].isnative
    np.testing.assert_array_equal(some["flux"], SOURCES["flux"])
