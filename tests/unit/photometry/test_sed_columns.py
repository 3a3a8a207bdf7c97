from __future__ import annotations

import numpy as np
import pytest
from unblend.photometry.sed_columns import cigale_columns, lephare_columns, sed_columns, translation

CATALOGUE = {
    "id": np.array([1, 2, 3]),
    "flux_k_ujy": np.array([10.0, -0.4, np.nan]),
    "err_k_ujy": np.array([0.5, 0.3, np.nan]),
    "flux_h_ujy": np.array([5.0, 6.0, 7.0]),
    "err_h_ujy": np.array([1.0, 0.0, 2.0]),
    "flux_i": np.array([1.0, 2.0, 3.0]),
}


def test_eazy_and_fast_get_microjansky_and_minus_99():
    sed = sed_columns(CATALOGUE, {"k": "205", "i": "i"})
    assert list(sed) == ["id", "F205", "E205"]
    # a negative flux is a measurement
    assert sed["F205"] == pytest.approx([10.0, -0.4, -99.0]) and sed["E205"] == pytest.approx([0.5, 0.3, -99.0])
    assert list(sed_columns(CATALOGUE, {"k": "vista_k"})) == ["id", "F_vista_k", "E_vista_k"]
    # an error of zero is none
    assert sed_columns(CATALOGUE, {"h": "h"})["F_h"].tolist() == [5.0, -99.0, 7.0]


def test_numbers_of_filters():
    bands = {
        "k": {"filter": "ks", "sed": {"eazy": 269}},
        "h": {"filter": "hawki", "sed": {"eazy": 269}},
        "i": {"filter": "i", "sed": {"eazy": 1}},
    }
    # the same filter twice; i has no zero point
    expected = [("F_ks", "F269"), ("E_ks", "E269"), ("F_hawki", "F269a"), ("E_hawki", "E269a")]
    assert translation(CATALOGUE, bands) == expected
    # the columns are F269 and E269 themselves
    assert translation(CATALOGUE, {"k": {"filter": "269", "sed": {"eazy": 269}}}) == []
    assert translation(CATALOGUE, {"k": {"filter": "x", "sed": {}}}) == []


def test_lephare_gets_cgs_units_and_the_bands_that_were_measured():
    table = lephare_columns(CATALOGUE, {"k": "k", "i": "i", "h": "h"})
    assert list(table) == ["id", "f_k", "ferr_k", "f_h", "ferr_h", "context", "zspec", "string_input"]
    assert table["f_k"] == pytest.approx([1e-28, -4e-30, -99.0]) and table["ferr_k"][2] == -99.0
    assert table["context"].tolist() == [3, 1, 2]


def test_cigale_gets_millijansky_and_nan():
    table = cigale_columns(CATALOGUE, {"k": "hawki.Ks", "h": "hawki.H"})
    assert list(table) == ["id", "redshift", "hawki.Ks", "hawki.Ks_err", "hawki.H", "hawki.H_err"]
    assert table["hawki.Ks"][:2] == pytest.approx([0.01, -0.0004]) and np.isnan(table["hawki.Ks"][2])
    assert np.isnan(table["redshift"]).all()
