from __future__ import annotations

import astropy.units as u
import pytest
from astropy.coordinates import Angle
from small_config import load
from unblend.core.angles import number_from_text
from unblend.core.errors import ConfigError
from unblend.plan.config_values import whole_number_from_text


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-03", ".001", "0.001", " 1e-3 ", "+1e-3"])
def test_a_number_that_yaml_reads_as_text(text):
    assert load(("bands/f125w/rms", text)).bands["f125w"].rms == 0.001


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", "0x10", "1e", "", "1,5", "1 2", "٣"])
def test_other_text_is_no_number(text):
    assert number_from_text(text) == text and whole_number_from_text(text) == text


def test_a_number_too_large_for_a_float_is_refused():
    with pytest.raises(ConfigError, match=r"detection.threshold is '1e999': expected a number above 0"):
        load(("detection/threshold", "1e999"))


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7), (7.0, 7), ("7.0", 7), (7.5, 7.5), (True, True), (None, None)]
)
def test_whole_numbers(value, expected):
    found = whole_number_from_text(value)
    assert found == expected and type(found) is type(expected)


def test_a_whole_number_is_a_float_where_any_number_is_expected():
    assert repr(load(("models/timeout", 300)).models.timeout) == "300.0"


@pytest.mark.parametrize("text", ["03:32:20.9", "3h32m20.9s", "3 32 20.9", "03h 32m 20.9s", "23:59:59.999", "00:00:00"])
def test_right_ascensions(text):
    expected = Angle(text, unit=u.hourangle).deg
    assert load(("target/ra", text)).target.ra == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "text", ["-27:50:24", "-27d50m24s", "+27 50 24.25", "-00:30:00", "−27:50:24", "-27°50′24″", "90:00:00"]
)
def test_declinations(text):
    expected = Angle(text.replace("−", "-"), unit=u.deg).deg
    assert load(("target/dec", text)).target.dec == pytest.approx(expected, rel=1e-14)


def test_plain_text_is_in_degrees():
    assert load(("target/ra", "53.0873")).target.ra == 53.0873
