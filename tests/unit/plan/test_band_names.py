from __future__ import annotations

import pytest
from unblend.plan.band_names import band_name, instrument_of, pivot_um, without_duplicates


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"INSTRUME": "NIRCAM", "FILTER": "F444W", "PUPIL": "CLEAR"}, "f444w"),
        ({"INSTRUME": "NIRCAM", "FILTER": "F444W", "PUPIL": "F405N"}, "f405n"),
        ({"INSTRUME": "ACS", "FILTER1": "CLEAR1L", "FILTER2": "F814W"}, "f814w"),
        ({"INSTRUME": "WFPC2", "FILTER1": 28, "FILTER2": 0, "FILTNAM1": "F606W"}, "f606w"),
        ({"INSTRUME": "IRAC", "CHNLNUM": 2}, "irac-ch2"),
        ({"INSTRUME": "MIPS", "CHNLNUM": 1}, "mips24"),
        ({"FILTER": "HSC-I"}, "hsc-i"),
        ({"FILTER": "Ks"}, "ks"),
        ({"TELESCOP": "Euclid", "FILTER": "NIR_Y"}, "nir-y"),
        ({"INSTRUME": "SPHEREx", "DETECTOR": 3}, "spherex-d3"),
        ({"INSTRUME": "MUSE"}, "muse-white"),
    ],
)
def test_filter_or_channel_of_the_header(header, name):
    assert band_name(header, "image") == name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("hlsp_x_f160w_v1_drz", "f160w"), ("goods_irac_ch1_s2_v0.30_sci", "irac-ch1"), ("irac2", "irac2"),
        ("uds-ks", "ks"), ("My Field(2)", "my-field-2"), ("mosaic", "mosaic"), ("_", "band"),
    ],
)  # fmt: skip
def test_name_of_the_file(stem, name):
    assert band_name({}, stem) == name
    assert band_name({"FILTER": "CLEAR"}, stem) == name


def test_equal_names_get_the_instrument_or_a_number():
    assert without_duplicates(["f814w", "f814w", "k"], ["hst acs", "hst wfc3", ""]) == ["acs-f814w", "wfc3-f814w", "k"]
    assert without_duplicates(["k", "k"], ["", ""]) == ["k", "k-2"]


def test_wavelengths():
    assert pivot_um({"PHOTPLAM": 8045.53}, "f814w") == pytest.approx(0.80455)
    assert pivot_um({}, "muse-white") == pytest.approx((0.4750 * 0.9350) ** 0.5, rel=1e-4)
    assert pivot_um({}, "ks") is None


def test_instrument():
    assert instrument_of({"TELESCOP": "JWST ", "INSTRUME": "NIRCAM"}) == "jwst nircam"
    assert instrument_of({"TELESCOP": "SPHEREx", "INSTRUME": "SPHEREx"}) == "spherex" and instrument_of({}) == ""
