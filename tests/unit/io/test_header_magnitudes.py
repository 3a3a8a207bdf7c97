from __future__ import annotations

import pytest
from unblend.io.header_magnitudes import magnitude_keywords
from unblend.io.header_numbers import NotStatedError


def read(header, **comments):
    return list(magnitude_keywords(header, comments))


@pytest.mark.parametrize("key", ["ABMAGZP", "ZP_AB", "ABZPT"])
def test_keywords_that_are_ab_by_name(key):
    assert read({key: 25.3}) == [(25.3, f"{key} = 25.3", "")]


def test_flux_of_magnitude_zero():
    """HSC and LSST give the counts of an object of AB magnitude 0."""
    ((value, source, doubt),) = read({"FLUXMAG0": 63095734448.0194})
    assert value == pytest.approx(27.0) and "FLUXMAG0" in source and doubt == ""


@pytest.mark.parametrize("key", ["MAGZERO", "MAGZPT", "ZEROPOINT", "PHOTZP"])
def test_system_from_another_card_or_the_comment(key):
    assert read({key: 25.3, "PHOTSYS": "AB"})[0][2] == ""
    assert read({key: 25.3, "MAGSYS": "ABMAG"})[0][2] == ""
    assert read({key: 25.3}, **{key: "[mag] AB zero point"})[0][2] == ""
    assert "no keyword says whether it is AB" in read({key: 25.3})[0][2]


@pytest.mark.parametrize(
    ("header", "comments", "reason"),
    [
        ({"MAGZPT": 23.0, "PHOTSYS": "VEGA"}, {}, "Vega magnitude"),
        ({"MAGZP": 20.5}, {"MAGZP": "[mag] relative photometric zero point (Vega)"}, "Vega magnitude"),
        ({"MAGZPT": 23.0, "TELESCOP": "VISTA"}, {}, "may be a Vega magnitude, as TELESCOP = 'VISTA'"),
        ({"MAGZP": 20.5, "ORIGIN": "WISE/IPAC"}, {}, "may be a Vega magnitude"),
        ({"MAGZPT": 23.0}, {"MAGZPT": "Photometric ZP for default extinction"}, "not for the pixels as they are"),
        ({"MAGZERO": 0.0}, {}, "is not the zero point of an image"),
        ({"MAGZERO": 99.0, "PHOTSYS": "AB"}, {}, "is not the zero point of an image"),
    ],
)  # fmt: skip
def test_magnitudes_that_are_not_taken(header, comments, reason):
    (found,) = read(header, **comments)
    assert isinstance(found, NotStatedError) and reason in str(found)


def test_a_survey_in_vega_magnitudes_may_state_ab():
    assert read({"MAGZPT": 30.0, "TELESCOP": "VISTA", "PHOTSYS": "AB"}) == [(30.0, "MAGZPT = 30", "")]


def test_one_placeholder_does_not_hide_another_keyword():
    found = read({"MAGZERO": 0.0, "ZEROPOINT": 27.0})
    assert isinstance(found[0], NotStatedError) and found[1][0] == 27.0


def test_the_constant_of_the_st_system_is_no_zero_point():
    assert read({"PHOTZPT": -21.1}) == []
