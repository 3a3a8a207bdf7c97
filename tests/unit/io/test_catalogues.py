from __future__ import annotations

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse, parse_single_table
from astropy.table import Table
from unblend.io import catalogues
from unblend.io.catalogue_columns import catalogue_columns, columns_of
from unblend.io.catalogues import MAX_COLUMNS, read_catalogue, write_catalogue
from unblend.io.tables import read_table, read_table_header

COLUMNS = {
    "id": np.array([1, 2]),
    "flux_irac-ch1": np.array([1.5, np.nan]),
    "flag_irac-ch1": np.array([0, 3], dtype=np.int32),
    "mag_irac-ch1": np.array([23.1, np.nan]),
}


DESCRIBED = columns_of(["irac-ch1"])


def write(folder, name="c", header=None):
    files = [folder / f"{name}.{ending}" for ending in ("fits", "ecsv", "vot")]
    write_catalogue(*files, COLUMNS, DESCRIBED, header or {})
    return files


def test_fits_ecsv_and_votable_have_the_same_content(tmp_path):
    fits_path, ecsv, votable = write(tmp_path, header={"ZP1": 25.0, "BAND1": "irac-ch1", "ZP2": None})
    binary, text = read_table(fits_path), Table.read(ecsv, format="ascii.ecsv")
    xml = Table.read(votable, format="votable")
    assert list(binary.dtype.names) == text.colnames == list(COLUMNS)
    assert xml.colnames == ["id", "flux_irac_ch1", "flag_irac_ch1", "mag_irac_ch1"]
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(binary[name], values)
        np.testing.assert_array_equal(np.asarray(text[name]), values)
        np.testing.assert_array_equal(
            np.ma.filled(np.ma.asarray(xml[name.replace("-", "_")]).astype(float), np.nan), values
        )
    header = read_table_header(fits_path)
    assert header["ZP1"] == text.meta["ZP1"] == 25.0 and header["EXTNAME"] == "CATALOGUE"
    first = parse_single_table(votable)
    assert [field.name for field in first.fields] == xml.colnames
    assert {p.name: p.value for p in first.params} == {"ZP1": 25.0, "BAND1": "irac-ch1"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.ecsv", "c.fits", "c.vot"]


def test_every_column_is_described_in_every_format(tmp_path):
    fits_path, ecsv, votable = write(tmp_path)
    text, fields = Table.read(ecsv, format="ascii.ecsv"), parse_single_table(votable).fields
    header = fits.getheader(fits_path, 1)
    for number, name in enumerate(COLUMNS, start=1):
        expected = DESCRIBED[name]
        assert header[f"TCOMM{number}"] == text[name].description == fields[number - 1].description
        assert header[f"TUCD{number}"] == text[name].meta["ucd"] == fields[number - 1].ucd == expected.ucd
        assert header.get(f"TUNIT{number}", "") == str(text[name].unit or "") == expected.unit
        assert str(fields[number - 1].unit or "") == expected.unit


def test_the_votable_is_valid(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse(write(tmp_path)[2], verify="exception")


def test_the_same_catalogue_gives_the_same_bytes(tmp_path):
    for one, other in zip(write(tmp_path, "a"), write(tmp_path, "b"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_units_are_known_to_astropy(tmp_path):
    assert u.Unit(DESCRIBED["flux_irac-ch1_ujy"].unit).to("Jy") == pytest.approx(1e-6)
    assert Table.read(write(tmp_path)[0])["mag_irac-ch1"].unit == u.mag


def test_more_columns_than_a_fits_table_has(tmp_path):
    """40 bands of 28 columns: 35 bands in a table, the IDs in all, and cards of numbers beyond 99."""
    bands = [f"b{number}" for number in range(40)]
    described = columns_of(bands)
    first = [name for name in ("id", "ra", "dec") if name in described]
    names = first + [
        column.format(band=band)
        for band in bands
        for column in sorted((c.name for c in catalogue_columns() if "{band}" in c.name), key="flux_{band}".__ne__)
    ]
    columns = {name: np.arange(3) + (10.0 * place if name != "id" else 0) for place, name in enumerate(names)}
    header = {f"{key}{number}": 0.5 * number for number in (1, 110) for key in ("ZP", "MCSCAL")}
    path = tmp_path / "c.fits"
    catalogues._write_fits(path, columns, described, header)  # Astropy takes 10 s for a VOTable of 1100 columns

    table = read_catalogue(path)
    assert list(table.dtype.names) == names
    for name in names:
        np.testing.assert_array_equal(table[name], columns[name])
    assert read_catalogue(path, ["flux_b0", "flag_b39"]).dtype.names == ("id", "flux_b0", "flag_b39")
    assert {key: read_table_header(path)[key] for key in header} == header
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["CATALOGUE", "CATALOGUE2"]
        for hdu in hdus[1:]:
            assert hdu.columns.names[0] == "id" and len(hdu.columns) <= MAX_COLUMNS
            whole = [band for band in bands if f"flux_{band}" in hdu.columns.names]
            assert all(f"flag_{band}" in hdu.columns.names for band in whole)
            place = hdu.columns.names.index(f"flux_{whole[0]}") + 1
            assert hdu.header[f"TUCD{place}"] == described[f"flux_{whole[0]}"].ucd
