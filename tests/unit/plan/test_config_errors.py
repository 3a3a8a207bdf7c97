from __future__ import annotations

import datetime
import re

import pytest
from small_config import MINIMAL, load
from unblend.core.errors import ConfigError
from unblend.plan.config import config_schema, load_config
from unblend.plan.config_errors import expected_value, nearest_name

QUOTES = "without quotes YAML reads 24 as a number and on, off, yes and no as true or false."
NUMBER = "expected a number of at least 0.3 (sigma). Detection threshold"


def sentences(*edits):
    """Return the mistakes that the minimal configuration has after `edits`."""
    with pytest.raises(ConfigError) as caught:
        load(*edits)
    head, _, text = str(caught.value).partition("config.yaml: ")
    assert head == ""
    return [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ([("bands/f125w/psf_oversamplin", 2)], "bands.f125w.psf_oversamplin is not a key: did you mean psf_over"),
        ([("detecton", {})], "detecton is not a key: did you mean detection?"),
        ([("models/gains", 2)], "models.gains is not a key: did you mean gain?"),
        ([("bands/f125w/name", "k")], "bands.f125w.name is not a key: did you mean image?"),
        ([("band_defaults", {"zeropoint": 25})], "band_defaults.zeropoint is not a key: did you mean zero_point?"),
        ([("band_defaults", {"rms": -1})], "band_defaults.rms is -1: expected auto or a number above 0 (image units)."),
        (
            [("detection/deblend_levels", 2**31 - 1)],
            "detection.deblend_levels is 2147483647: expected a whole number from 1 to 1024.",
        ),
        ([("detection/threshold", 0)], f"detection.threshold is 0: {NUMBER}"),
        ([("detection/threshold", "high")], f"detection.threshold is 'high': {NUMBER}"),
        ([("detection/threshold", True)], f"detection.threshold is true: {NUMBER}"),
        ([("detection/threshold", float("nan"))], f"detection.threshold is nan: {NUMBER}"),
        ([("bands/f125w/zero_point", float("inf"))], "bands.f125w.zero_point is inf: expected auto or a number"),
        ([("detection/min_area", 2.5)], "detection.min_area is 2.5: expected a whole number of at least 1 (pixels)."),
        ([("models/oversampling", 21)], "models.oversampling is 21: expected a whole number from 1 to 20."),
        ([("models/oversampling", True)], "models.oversampling is true: expected a whole number from 1 to 20."),
        ([("models/batch_size", 0)], "models.batch_size is 0: expected auto or a whole number of at least 1."),
        ([("bands/f125w/psf_kind", "sharp")], "bands.f125w.psf_kind is 'sharp': expected effective or optical."),
        ([("bands/f125w/rms", 0)], "bands.f125w.rms is 0: expected auto or a number above 0 (image units)."),
        ([("bands/f125w/background", {"box": -3})], "bands.f125w.background.box is -3: expected a number above 0 (arc"),
        ([("bands/f125w/background", {"boxes": 3})], "bands.f125w.background.boxes is not a key: did you mean box?"),
        ([("bands/f125w/background", {"order": 6})], "f125w.background.order is 6: expected a whole number from 0 to"),
        ([("bands/f125w/background", {"order": 1.5})], "f125w.background.order is 1.5: expected a whole number from 0"),
        ([("bands/f125w/background", {"order": 1, "box": 3})], "bands.f125w.background: expected order, for a polynom"),
        ([("bands/f125w/weight", {"kind": "rms"})], "bands.f125w.weight.file is missing: expected text."),
        ([("bands/f125w/weight", {"file": "w", "kind": "sigma"})], "f125w.weight.kind is 'sigma': expected rms or"),
        ([("bands/f125w/shift", [0.1])], "shift is [0.1]: expected auto or a section or a list of 2 numbers (arcsec)."),
        ([("bands/f125w/shift", [0.1, "x"])], "shift is [0.1, 'x']: expected auto or a section or a list of 2 numbers"),
        ([("bands/f125w/shift", "none")], "shift is 'none': expected auto or a section or a list of 2 numbers"),
        ([("bands/f125w/filter", "IRAC 1")], "bands.f125w.filter is 'IRAC 1': expected text without white space"),
        ([("bands/f125w/astrometry", {"references": []})], "astrometry.references is []: expected auto or a list of"),
        ([("bands/f125w/astrometry", {"step": 0.5})], "astrometry: step (0.5) is larger than max_shift (0.3): make"),
        ([("target", ...)], "target is missing: expected a section or text."),
        ([("target", None)], "target is null: expected a section or text."),
        ([("target/ra", ...)], "target.ra is missing: expected a number of at least 0 and below 360 or sexagesimal"),
        ([("target/ra", 360)], "target.ra is 360: expected a number of at least 0 and below 360 or sexagesimal"),
        ([("target/ra", "25:00:00")], "target.ra is '25:00:00': expected a number of at least 0 and below 360 or sexa"),
        ([("target/dec", "-91:00:00")], "target.dec is '-91:00:00': expected a number from -90 to 90 or sexagesimal"),
        ([("target/dec", None)], "target.dec is null: expected a number from -90 to 90"),
        ([("bands", {})], "bands is {}: expected a section."),
        ([("bands/f125w", [1])], "bands.f125w is [1]: expected a section."),
        ([("detection/bands", [])], "detection.bands is []: expected a list of names."),
        ([("catalogue", {"error_floor": -0.1})], "catalogue.error_floor is -0.1: expected a number of at least 0."),
        ([("example_seed", -1)], "example_seed is -1: expected a whole number of at least 0 or null."),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(edits, sentence):
    found = sentences(*edits)
    assert len(found) == 1 and sentence in found[0]


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ([("bands/f125w/filter", 205)], "bands.f125w.filter is 205: expected text without white space or null."),
        ([("models/psf", True)], "models.psf is true: expected text."),
        ([("data_dir", datetime.date(2020, 1, 2))], "data_dir is 2020-01-02: expected text."),
        ([("detection/bands", ["f125w", 24])], "detection.bands is ['f125w', 24]: expected a list of names."),
    ],
)
def test_text_that_yaml_read_as_something_else_wants_quotes(edits, sentence):
    (found,) = sentences(*edits)
    assert found.startswith(sentence) and found.endswith(f"Put the text in quotes: {QUOTES}")


@pytest.mark.parametrize("name", [24, 1.5, True, None])
def test_a_band_name_that_yaml_read_as_something_else(name):
    band = {"image": "a.fits", "psf": "p.fits"}
    with pytest.raises(ConfigError, match=re.escape(f"of a band is not text: {QUOTES} Put the name in quotes.")):
        load_config({**MINIMAL, "bands": {**MINIMAL["bands"], name: band}})


@pytest.mark.parametrize("name", ["a b", "", "-a", ".a", "a/b", "a\n", "é", "b" * 58])
def test_a_band_name_of_other_characters(name):
    band = {"image": "a.fits", "psf": "p.fits"}
    with pytest.raises(ConfigError, match="cannot be the name of a band: expected a letter or digit, followed by"):
        load_config({**MINIMAL, "bands": {**MINIMAL["bands"], name: band}})


def test_a_key_that_is_not_text():
    (found,) = sentences(("models", {"psf": "f160w", True: 3}))
    assert found.startswith("models: the key true is not text: ")
    (found,) = sentences((True, 3))
    assert found.startswith("the file: the key true is not text: ")


def test_all_mistakes_at_once():
    found = sentences(
        ("models/gains", 2), ("detection/threshold", -1), ("bands/f160w/rms", -2), ("detection/flux_band", "f160")
    )
    assert [line.split()[0] for line in found] == [
        "detection.threshold",
        "models.gains",
        "bands.f160w.rms",
        "detection.flux_band:",
    ]


def test_a_mistake_in_band_defaults_is_reported_once():
    assert len(sentences(("band_defaults", {"rms": -1, "zeropoint": 25, "background": {"box": 0}}))) == 3


def test_a_long_value_is_shortened():
    (found,) = sentences(("bands/f125w/rms", "x" * 500))
    assert len(found) < 300 and "x…: expected" in found


def test_nearest_always_offers_a_name():
    assert nearest_name("zeropoint", ["image", "zero_point"]) == "zero_point"
    assert nearest_name("?", ["image"]) == "image"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"type": "number"}, "a number"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 50}, "a number above 0 and at most 50"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1}}, "a list of whole numbers"),
        ({"anyOf": [{"const": "auto"}, {"$ref": "#/$defs/Weight"}]}, "auto or a section"),
    ],
)
def test_expected_value(place, words):
    assert expected_value(place, config_schema()) == words


@pytest.mark.parametrize("value", [["ERR"], ["x.fits", "ERR"]])
def test_a_name_with_brackets_that_yaml_reads_as_a_list(value):
    with pytest.raises(ConfigError, match=r"Put a name with brackets in quotes: 'image.fits\[SCI\]'"):
        load(("bands/f125w/image", value))


def test_an_unknown_key_is_shown_on_one_line():
    with pytest.raises(ConfigError, match=r"^config.yaml: a\\nb is not a key: did you mean \w+\?$"):
        load(("a\nb", 1))


def test_only_the_first_mistakes_are_listed():
    with pytest.raises(ConfigError) as error:
        load(*((f"key{i}", 1) for i in range(100)))
    lines = str(error.value).splitlines()
    assert len(lines) == 31 and lines[-1].strip() == "… and 70 more."


def test_a_search_with_too_many_steps():
    with pytest.raises(
        ConfigError, match=r"step \(1e-05\) is too small for max_shift \(1\): expected at most 300 steps"
    ):
        load(("bands/f125w/astrometry", {"step": 1e-5, "max_shift": 1}))
