"""Tables of sources from other programs: the same three columns from every format, and what is refused."""

from __future__ import annotations

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from unblend.core.errors import InputError
from unblend.io.source_lists import listed, read_source_list

IDS, RA, DEC = [30, 7, 12], [150.1, 150.2, 150.3], [2.1, -0.5, 2.3]


def table(names=("id", "ra", "dec"), ids=IDS, ra=RA, dec=DEC):
    return Table([ids, ra, dec], names=names)


def check(name):
    found = read_source_list(str(name))
    assert found["id"].tolist() == [7, 12, 30] and found["id"].dtype == np.int32
    assert found["ra"] == pytest.approx([150.2, 150.3, 150.1], abs=1e-9)
    assert found["dec"] == pytest.approx([-0.5, 2.3, 2.1], abs=1e-9)


@pytest.mark.parametrize("names", [("id", "ra", "dec"), ("ID", "RA", "Dec"), ("NUMBER", "ALPHA_J2000", "DELTA_J2000")])
@pytest.mark.parametrize("ending", ["fits", "ecsv", "csv", "fits.gz"])
def test_all_formats_and_names(tmp_path, names, ending):
    path = tmp_path / f"t.{ending}"
    table(names).write(path, **({"format": "ascii.csv"} if ending == "csv" else {}))
    check(path)


def test_further_columns_and_a_name_that_says_nothing(tmp_path):
    more = table()
    more["NUMBER"], more["note"] = [1, 2, 3], ["a", "b", "c"]
    more.write(tmp_path / "sources", format="fits")
    check(tmp_path / "sources")
    (tmp_path / "saved.txt").write_text("# id, ra, dec\n30,150.1,2.1\n7,150.2,-0.5\n12,150.3,2.3\n")
    check(tmp_path / "saved.txt")


ROWS = "30 150.1 2.1\n7 150.2 -0.5\n12 150.3 2.3\n"
SEXTRACTOR = """#   1 NUMBER          Running object number
#   2 X_IMAGE         Object position along x                                    [pixel]
#   3 ALPHA_J2000     Right ascension of barycenter (J2000)                      [deg]
#   5 DELTA_J2000     Declination of barycenter (J2000)                          [deg]
"""


@pytest.mark.parametrize(
    "text",
    [
        f"# id ra dec\n{ROWS}",
        f"#id ra dec\n{ROWS}",
        f"# from a paper, table 3\n# ID   RA   DEC\n# deg deg\n{ROWS}",
        f"id ra dec\n{ROWS}",
        f"  ID   RA      Dec\n{ROWS}",
        "id\tra\tdec\n" + ROWS.replace(" ", "\t"),
        SEXTRACTOR + "30 5.0 150.1 9 2.1\n7 5.0 150.2 9 -0.5\n12 5.0 150.3 9 2.3\n",
    ],
)
def test_text_as_programs_write_it(tmp_path, text):
    (tmp_path / "t.cat").write_text(text)
    check(tmp_path / "t.cat")


def test_a_votable(tmp_path):
    table().write(tmp_path / "t.vot", format="votable")
    check(tmp_path / "t.vot")
    (tmp_path / "t.vot").write_text("<?xml version='1.0'?>\n<VOTABLE>")
    with pytest.raises(InputError, match=r"t.vot cannot be read as a VOTable: .* Give a FITS table"):
        read_source_list(str(tmp_path / "t.vot"))


def test_units_in_degrees(tmp_path):
    with_units = table()
    with_units["ra"].unit = with_units["dec"].unit = u.deg
    for ending in ("fits", "ecsv"):
        with_units.write(tmp_path / f"t.{ending}")
        check(tmp_path / f"t.{ending}")
    with_units["ra"].unit = u.rad
    for ending in ("fits", "ecsv"):
        with_units.write(tmp_path / f"t.{ending}", overwrite=True)
        with pytest.raises(InputError, match=r"has the column ra in units of 'rad'; expected degrees. Convert it."):
            read_source_list(str(tmp_path / f"t.{ending}"))


@pytest.mark.parametrize("ending", ["fits", "ecsv", "csv"])
def test_sexagesimal_positions(tmp_path, ending):
    text = table(ra=["10:00:24.0", "10h00m48s", "10 01 12"], dec=["+02:06:00", "-00:30:00", "2d18m0s"])
    text["ra"].unit = '"h:m:s"' if ending == "fits" else None
    text.write(tmp_path / f"t.{ending}", **({"format": "ascii.csv"} if ending == "csv" else {}))
    check(tmp_path / f"t.{ending}")


def test_the_table_with_the_columns_is_found(tmp_path):
    head = fits.BinTableHDU(Table({"header": ["text"]}), name="LDAC_IMHEAD")
    other = fits.BinTableHDU(table(ids=[1, 2, 3]), name="OTHER")
    hdus = fits.HDUList([fits.PrimaryHDU(), head, fits.BinTableHDU(table(), name="LDAC_OBJECTS"), other])
    hdus.writeto(tmp_path / "t.fits")
    check(tmp_path / "t.fits")
    check(f"{tmp_path}/t.fits[LDAC_OBJECTS]")
    check(f"{tmp_path}/t.fits[2]")
    assert read_source_list(f"{tmp_path}/t.fits[OTHER]")["id"].tolist() == [1, 2, 3]
    with pytest.raises(InputError, match=r"t.fits has no table in extension 'SEG'; expected a table of sources. Give"):
        read_source_list(f"{tmp_path}/t.fits[SEG]")


def test_negative_right_ascensions(tmp_path):
    table(ra=[-0.5, 360.0, 10.0]).write(tmp_path / "t.ecsv")
    assert read_source_list(str(tmp_path / "t.ecsv"))["ra"].tolist() == [0.0, 10.0, 359.5]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ids": [1, 2, 2]}, "several rows for the IDs 2; expected one row for each source. Remove or renumber the"),
        ({"ids": [1, 0, -2]}, "the ID '0' in row 2 (rows like it: 2); expected whole numbers from 1 to 2000000000."),
        ({"ids": [1, 2.5, 3]}, "the ID '2.5' in row 2 (rows like it: 1); expected whole numbers"),
        ({"ids": [1, 2, 2**40]}, "the ID '1099511627776' in row 3"),
        ({"ids": ["a1", "a2", "a3"]}, "the ID 'a1' in row 1 (rows like it: 3); expected whole numbers"),
        ({"ra": [1.0, np.nan, 2.0]}, "ra = nan for source 7; expected an angle in degrees, or sexagesimal text."),
        ({"dec": [1.0, np.inf, 2.0]}, "dec = inf for source 7; expected an angle in degrees"),
        ({"dec": ["1.0", "north", "2.0"]}, "dec = 'north' for source 7; expected an angle in degrees"),
        ({"dec": [1.0, 153.0, 2.0]}, "positions outside the sky for the sources 7; expected ra from 0 to 360 and dec"),
        ({"names": ("id", "x", "y")}, "no column ra or alpha_j2000 and no column dec or delta_j2000; its columns"),
        ({"ids": [], "ra": [], "dec": []}, "no rows; expected one row for each source. Give another file."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["fits", "ecsv", "csv"])
def test_what_is_refused(tmp_path, changes, sentence, ending):
    path = tmp_path / f"t.{ending}"
    table(**changes).write(path, **({"format": "ascii.csv"} if ending == "csv" else {}))
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        read_source_list(str(path))
    assert str(caught.value).startswith(f"{path} has ") and "\n" not in str(caught.value)


def test_empty_cells(tmp_path):
    (tmp_path / "t.csv").write_text("id,ra,dec\n1,2.0,3.0\n2,,3.0\n")
    with pytest.raises(InputError, match="ra = nan for source 2; expected an angle"):
        read_source_list(str(tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_text("id,ra,dec\n1,2.0,3.0\n,1.0,3.0\n")
    with pytest.raises(InputError, match="the ID 'nan' in row 2"):
        read_source_list(str(tmp_path / "t.csv"))


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(InputError, match=r"none.csv does not exist; expected a table of sources. Correct its name"):
        read_source_list(str(tmp_path / "none.csv"))
    fits.PrimaryHDU(np.ones((2, 2))).writeto(tmp_path / "i.fits")
    with pytest.raises(InputError, match=r"i.fits has no table; expected a table of sources. Give another file"):
        read_source_list(str(tmp_path / "i.fits"))
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE and more")
    with pytest.raises(InputError, match=r"broken.fits cannot be read as a FITS table: .* Check if the file is"):
        read_source_list(str(tmp_path / "broken.fits"))
    (tmp_path / "b.csv").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(InputError, match=r"b.csv cannot be read as CSV: .* Give a FITS table, a VOTable, ECSV, or CSV"):
        read_source_list(str(tmp_path / "b.csv"))
    (tmp_path / "b.ecsv").write_text("# %ECSV 1.0\n# ---\n# nothing\nid ra dec\n")
    with pytest.raises(InputError, match=r"b.ecsv cannot be read as ECSV: .* Give a FITS table"):
        read_source_list(str(tmp_path / "b.ecsv"))


def test_a_list_of_many_ids_is_cut():
    assert listed([1, 2]) == "1, 2"
    assert listed(np.arange(1, 9)) == "1, 2, 3, 4, 5 … (8 in all)"


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "t.csv").write_text("\n")
    with pytest.raises(InputError, match=r"t\.csv has no column .*; it is empty\."):
        read_source_list(str(tmp_path / "t.csv"))
