from __future__ import annotations

import logging

import numpy as np
import pytest
from astropy.io import fits
from image_headers import CD, tan_header
from unblend.field.zero_points import adopted_zero_point


def record(path, **cards):
    fits.PrimaryHDU(np.ones((4, 5)), tan_header(**CD, **cards)).writeto(path)
    return {"zero_point_ab": "auto", "image": {"file": str(path)}, "wavelength_um": None}


def test_the_number_of_the_user():
    assert adopted_zero_point("k", {"zero_point_ab": 25.5}) == (25.5, "config.yaml")
    assert adopted_zero_point("k", {"zero_point_ab": None}) == (None, "")


def test_from_the_header(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        value, source = adopted_zero_point("k", record(tmp_path / "a.fits", BUNIT="nJy"))
    assert value == pytest.approx(31.4) and source == "BUNIT = 'nJy'"
    assert [(r.levelname, r.message) for r in caplog.records] == [("INFO", "k: zero point 31.4000 from BUNIT = 'nJy'")]


def test_a_doubt_is_a_warning(tmp_path, caplog):
    assert adopted_zero_point("k", record(tmp_path / "a.fits", MAGZERO=27.0))[0] == 27.0
    assert caplog.records[0].levelname == "WARNING" and "taken as AB" in caplog.text


def test_one_band_without_a_zero_point_does_not_end_the_catalogue(tmp_path, caplog):
    assert adopted_zero_point("k", record(tmp_path / "a.fits", BUNIT="DN")) == (None, "")
    assert "k: no magnitudes and no fluxes in microjansky" in caplog.text
