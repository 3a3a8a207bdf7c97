"""Zero points from headers, against numbers from the instruments' handbooks and from other surveys."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.header_units import HeaderZeroPoint, contradiction, header_zero_points

ARCSEC2 = (np.pi / 180 / 3600) ** 2


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("uJy", 23.9), ("UJY", 23.9), ("microJansky", 23.9), ("nJy", 31.4), ("NJY", 31.4), ("10.0*nanoJansky", 28.9),
        ("10*nanoJansky", 28.9), ("10 nJy", 28.9), ("Jy", 8.9), ("mJy", 16.4), ("Jy/pixel", 8.9), ("uJy pix-1", 23.9),
        ("nanomaggy", 22.5), ("nmgy", 22.5), ("erg/s/cm2/Hz", -48.6),
    ],
)  # fmt: skip
def test_units_of_flux_density(unit, expected):
    (found,) = header_zero_points({"BUNIT": unit, "ABMAGZP": 1.0}, ARCSEC2)
    assert found.zero_point_ab == pytest.approx(expected, abs=0.002) and found.cards == f"BUNIT = '{unit}'"


@pytest.mark.parametrize("unit", ["MJy/sr", "MJy sr-1", "MJY/SR", "MJy.sr-1", "megaJansky/sr"])
def test_surface_brightness(unit):
    # IRAC mosaics in MJy/sr with pixels of 0.6 arcsec: 21.58 (SWIRE, S-COSMOS)
    (found,) = header_zero_points({"BUNIT": unit}, 0.36 * ARCSEC2)
    assert found.zero_point_ab == pytest.approx(21.58, abs=0.005)


@pytest.mark.parametrize(
    "unit", ["ELECTRONS/S", "electron/s", "e-/s", "counts/s", "COUNTS/SEC", "cps", "DN/s", "electron s-1"]
)
def test_counts_per_second(unit):
    # ACS F814W, 2009: PHOTFLAM 7.07e-20, PHOTPLAM 8057, 25.94 in the tables of zero points
    found = header_zero_points({"BUNIT": unit, "PHOTFLAM": 7.07e-20, "PHOTPLAM": 8057.0, "EXPTIME": 500.0}, ARCSEC2)
    assert [each.zero_point_ab for each in found] == [pytest.approx(25.94, abs=0.01)]


def test_counts_of_an_exposure():
    cards = {"BUNIT": "ELECTRONS", "PHOTFLAM": 7.07e-20, "PHOTPLAM": 8057.0}
    assert header_zero_points(cards, ARCSEC2) == []
    (found,) = header_zero_points({**cards, "EXPTIME": 100.0}, ARCSEC2)
    assert found.zero_point_ab == pytest.approx(30.94, abs=0.01)


@pytest.mark.parametrize(
    "cards",
    [
        {}, {"BUNIT": ""}, {"BUNIT": None}, {"BUNIT": "MJY"}, {"BUNIT": "Jy/beam"}, {"BUNIT": "mag"},
        {"BUNIT": "furlong"}, {"BUNIT": "10**(-20)*erg/s/cm**2/Angstrom"}, {"BUNIT": "ELECTRONS/S"},
        {"BUNIT": "counts/s", "PHOTFLAM": 0.0, "PHOTPLAM": 5e3}, {"PHOTFLAM": 7.07e-20, "PHOTPLAM": 8057.0},
        {"BUNIT": "nan Jy"}, {"BUNIT": "0 Jy"}, {"BUNIT": "((("}, {"MAGZERO": "25"}, {"ABMAGZP": float("nan")},
        {"MAGZERO": True}, {"MAGZPT": 0.0},
    ],
)  # fmt: skip
def test_what_a_header_does_not_say(cards):
    assert header_zero_points(cards, ARCSEC2) == []


def test_one_card_that_agrees_is_enough():
    found = header_zero_points({"MAGZERO": 26.0, "ABMAGZP": 25.0}, ARCSEC2)
    assert [each.cards for each in found] == ["ABMAGZP = 25", "MAGZERO = 26"]
    assert contradiction(found, 26.05) is None and contradiction([], 25.0) is None
    assert contradiction(found, 23.9) == HeaderZeroPoint(25.0, "ABMAGZP = 25")
