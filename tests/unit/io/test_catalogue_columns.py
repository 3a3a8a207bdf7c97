from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from unblend.io.catalogue_columns import catalogue_columns, columns_of, markdown
from unblend.photometry.catalogue import KINDS, OFFSETS, band_columns
from write_catalogue import SHAPE

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


def test_the_page_is_up_to_date():
    assert (ROOT / "docs/columns.md").read_text() == markdown()
