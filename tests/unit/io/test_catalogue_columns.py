from __future__ import annotations

import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from unblend.io.catalogue_columns import catalogue_columns, columns_of, markdown, plain_names
from unblend.photometry.catalogue import KINDS, OFFSETS, band_columns
from write_catalogue import SHAPE

ADQL = {
    "ABS", "ACOS", "AREA", "ASIN", "ATAN", "BOX", "CEILING", "CENTROID", "CIRCLE", "CONTAINS", "COORD1", "COORD2",
    "COORDSYS", "COS", "DEGREES", "DISTANCE", "EXP", "FLOOR", "INTERSECTS", "LOG", "MOD", "PI", "POINT", "POLYGON",
    "POWER", "RADIANS", "RAND", "REGION", "ROUND", "SIN", "SQRT", "TAN", "TOP", "TRUNCATE", "DATE", "KEY", "LEVEL",
    "POSITION", "SIZE", "TIME", "VALUE", "YEAR", "ZONE",
}  # fmt: skip
"""Reserved words: all that ADQL adds to SQL, and of SQL those that may stand for a quantity."""
ROOT = Path(__file__).resolve().parents[3]
NAMES = (
    "flux",
    "flux_err",
    *(f"flux_err_{kind}" for kind in (*KINDS, "sim", "isolated")),
    *(f"{kind}_arcsec" for kind in OFFSETS),
    "worst_neighbour",
    "correlation",
    "chi2",
    "fracflux",
    "ap_flux",
    "ap_err",
    "flag",
)


@pytest.mark.parametrize("column", catalogue_columns(), ids=lambda column: column.name)
def test_a_column_is_described(column):
    assert check_ucd(column.ucd, check_controlled_vocabulary=True), column.ucd
    assert column.description and len(column.description) <= 68
    u.Unit(column.unit, format="fits" if column.unit != "pix2" else None)


def test_every_column_of_the_catalogue_is_described_in_its_order():
    made = band_columns("k", {name: np.ones(1) for name in NAMES}, scale=1.0, error_floor=0.0, zero_point_ab=25.0)
    first = ["id", "ra", "dec", "x", "y", "area", *SHAPE, "flag"]
    assert list(columns_of(["k"])) == [*first, "ebv", *made, "a_k"]


def test_bands_whose_names_look_like_columns():
    described = columns_of(["k", "k_ujy", "formal_k"])
    assert described["flux_k_ujy_ujy"].unit == "uJy" and described["err_formal_k"].description


def test_names_without_quotes():
    names = plain_names(columns_of(["irac-ch1", "hsc.i+z", "24"]))
    assert names["flux_irac-ch1"] == "flux_irac_ch1" and names["mag_hsc.i+z"] == "mag_hsc_i_z"
    assert names["flux_24_ujy"] == "flux_24_ujy" and names["id"] == "id" and names["area"] == "segment_area"
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) for name in names.values())
    assert not {name.upper() for name in names.values()} & ADQL


def test_bands_that_would_get_the_same_columns_keep_theirs():
    assert plain_names(["flux_a-b", "flux_A_b", "flux_c-d"]) == {
        "flux_a-b": "flux_a-b", "flux_A_b": "flux_A_b", "flux_c-d": "flux_c_d",
    }  # fmt: skip


def test_the_page_is_up_to_date():
    assert (ROOT / "docs/columns.md").read_text() == markdown()
