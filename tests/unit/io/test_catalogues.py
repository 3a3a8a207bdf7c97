from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from unblend.io.catalogues import write_catalogue, write_sed
from unblend.io.tables import read_table, read_table_header

COLUMNS = {
    "id": np.array([1, 2]),
    "flux_irac-ch1": np.array([1.5, np.nan]),
    "flag_irac-ch1": np.array([0, 3], dtype=np.int32),
    "mag_irac-ch1": np.array([23.1, np.nan]),
}


def test_fits_and_ecsv_have_the_same_content(tmp_path):
    write_catalogue(
        tmp_path / "c.fits", tmp_path / "c.ecsv", COLUMNS, {"mag_irac-ch1": "mag", "gone": "pix"}, {"ZP1": 25.0}
    )
    binary, text = read_table(tmp_path / "c.fits"), Table.read(tmp_path / "c.ecsv", format="ascii.ecsv")
    assert list(binary.dtype.names) == text.colnames == list(COLUMNS)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(binary[name], values)
        np.testing.assert_array_equal(np.asarray(text[name]), values)
    assert str(text["mag_irac-ch1"].unit) == "mag"
    header = read_table_header(tmp_path / "c.fits")
    assert header["ZP1"] == text.meta["ZP1"] == 25.0 and header["EXTNAME"] == "CATALOGUE"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.ecsv", "c.fits"]


def test_the_same_catalogue_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_catalogue(tmp_path / f"{name}.fits", tmp_path / f"{name}.ecsv", COLUMNS, {}, {})
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    assert (tmp_path / "a.ecsv").read_bytes() == (tmp_path / "b.ecsv").read_bytes()


def test_microjansky_are_known_to_astropy(tmp_path):
    write_catalogue(tmp_path / "c.fits", tmp_path / "c.ecsv", COLUMNS, {"flux_irac-ch1": "uJy"}, {})
    assert Table.read(tmp_path / "c.fits")["flux_irac-ch1"].unit.to("Jy") == pytest.approx(1e-6)


@pytest.mark.parametrize("z_spec", [True, False])
def test_sed_table(tmp_path, z_spec):
    sed = {"id": np.array([1, 20]), "F205": np.array([10.0, -99.0]), "E205": np.array([0.1234567, -99.0])}
    write_sed(tmp_path / "c.cat", sed, "AB zero point 23.9", z_spec=z_spec)
    tail = " z_spec" if z_spec else ""
    value = " -1" if z_spec else ""
    assert (tmp_path / "c.cat").read_text() == (
        f"# id F205 E205{tail}\n# AB zero point 23.9\n1 10 0.123457{value}\n20 -99 -99{value}\n"
    )
    assert "z_spec" not in sed
