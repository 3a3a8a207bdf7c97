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
    with pytest.raises(ConfigError, match=r"detection.threshold is '1e999': expected a number of at least 0.3"):
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


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b.fits", "ü/ß[SCI]", "{x}.fits", "it's $(x).fits", "日本.fits", "x" * 255])
def test_names_of_files(name):
    assert load(("bands/f125w/image", name)).bands["f125w"].image == name


@pytest.mark.parametrize(
    "key", ["data_dir", "results_dir", "bands/f125w/image", "models/custom_dir", "detection/catalogue"]
)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", r"contains '\\n': expected a name without line breaks"),
        ("a\tb", r"contains '\\t'"),
        ("a\0b", r"contains '\\x00'"),
        ("a\u2028b", r"contains '\\u2028'"),
        ("", "is empty: expected the name of a file"),
        (" ", "is empty"),
        ("x" * 256, r"is too long \(256 characters\): expected a name of at most 255 bytes in a path of at most 4095"),
        ("ü" * 128, "is too long"),
        ("x/" * 3000, "is too long"),
    ],
)
def test_names_that_no_file_has(key, name, reason):
    with pytest.raises(ConfigError, match=f"^config.yaml: {key.replace('/', '.')}: the name {reason}") as error:
        load((key, name))
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize("key", ["data_dir", "results_dir", "bands/f125w/image"])
def test_no_home_folder_is_put_in_for_a_tilde(key):
    for name in ("~", "~/field"):
        with pytest.raises(ConfigError, match="~ is not replaced by your home folder here: give the whole path"):
            load((key, name))
    load((key, "~field"), (key, "a/~/b"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("r{x}", r"contains \{ or \}: Snakemake reads these as wildcards"),
        ("-results", "begins with -: programs read such a word as an option"),
        ("-r/results", "begins with -"),
    ],
)
def test_names_that_the_results_folder_cannot_have(name, reason):
    with pytest.raises(ConfigError, match=f"results_dir: the name {reason}"):
        load(("results_dir", name))


@pytest.mark.parametrize("name", ["{x}", "a/b", "..", "a\nb", "a b", "é", "x" * 58, "x" * 300, "", "-a", "a\n"])
def test_names_that_no_band_has(name):
    with pytest.raises(
        ConfigError, match=r"expected a letter or digit, followed by letters, digits and \. _ "
    ) as error:
        load(
            (f"bands/{name}" if "/" not in name else name, {"image": "x"}),
            ("bands", {name: {"image": "x", "psf": "x"}}),
        )
    assert "at most 57 characters" in str(error.value)


@pytest.mark.parametrize("name", [24, True, None, 2.5])
def test_names_of_bands_that_yaml_reads_as_something_else(name):
    with pytest.raises(
        ConfigError, match="is not text: without quotes YAML reads 24 as a number and on, off, yes and no"
    ):
        load(("bands", {name: {"image": "x", "psf": "x"}}))


@pytest.mark.parametrize("key", ["detection/min_area", "example_seed"])
def test_whole_numbers_of_more_than_32_bits(key):
    with pytest.raises(ConfigError, match="the number is too large: expected at most 2147483647"):
        load((key, 2**31))
    load((key, 2**31 - 1))


@pytest.mark.parametrize(
    "text",
    [
        "03:32:20.9 -27:50:24",
        "3h32m20.9s, -27d50m24s",
        "03 32 20.9 -27 50 24",
        "53.0870833333 -27.84",
        "03:32:20.9 −27.84",
    ],
)
def test_a_target_in_one_text(text):
    target = load(("target", text)).target
    assert (target.ra, target.dec) == (pytest.approx(53.0870833333), pytest.approx(-27.84))


@pytest.mark.parametrize("text", ["", "NGC 1365", "53.087", "1 2 3", "53 -27 1 1 1 1 1", "x" * 180_000])
def test_a_target_that_is_no_position(text):
    with pytest.raises(
        ConfigError, match=r"^config.yaml: target: expected a section with ra and dec, or a position such as"
    ):
        load(("target", text))


def test_a_target_off_the_sky():
    with pytest.raises(
        ConfigError, match=r"target.dec is -97.84: expected a number from -90 to 90 or sexagesimal text"
    ):
        load(("target", "03:32:20.9 -97.84"))
