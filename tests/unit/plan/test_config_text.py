from __future__ import annotations

from pathlib import Path

import pytest
from unblend.core.errors import ConfigError
from unblend.plan.config_text import check_text, read_config_file

ROOT = Path(__file__).resolve().parents[3]


def mistakes(tmp_path, text):
    """Return the mistakes in a file of `text`, without its path."""
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        check_text([path])
    except ConfigError as error:
        return [line.removeprefix(f"{path}: ") for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize("number", ["0:03:20.5", "03:32:20.9", "-27:50:24", "12:30", "-0:01:05.5"])
def test_sexagesimal_numbers_want_quotes(tmp_path, number):
    text = f"target: {{ra: {number}, dec: 1}}\nbands: {{}}\n"
    assert mistakes(tmp_path, text) == [f"line 1: YAML reads {number} as a number to the base of 60; put it in quotes."]
    assert mistakes(tmp_path, text.replace(number, f"'{number}'")) == []


def test_numbers_with_a_leading_zero_are_octal(tmp_path):
    (found,) = mistakes(tmp_path, "bands:\n  k:\n    astrometry: {references: [012, 10, 0, 0.5]}\n")
    assert found.startswith("line 3: YAML reads 012 as an octal number")


def test_a_key_that_is_given_twice(tmp_path):
    text = "bands:\n  k: {image: a.fits}\n  h: {psf: a, psf: b}\n  k: {image: b.fits}\n"
    assert mistakes(tmp_path, text) == [
        "line 3: the key psf is given twice, first in line 3; YAML uses the last. Remove one.",
        "line 4: the key k is given twice, first in line 2; YAML uses the last. Remove one.",
    ]


def test_a_file_that_would_be_run_as_a_template(tmp_path):
    (found,) = mistakes(tmp_path, "__use_yte__: true\nbands: {}\n")
    assert found.startswith("__use_yte__ is not allowed")


def test_anchors_and_merged_sections_are_no_mistakes(tmp_path):
    text = "band_defaults: &d {rms: auto}\nbands:\n  k: &k {<<: *d, <<: *d, image: a}\n  h: *k\n"
    assert mistakes(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "what"), [("", "no values"), ("# nothing\n", "no values"), ("- a", "no sections"), ("a", "no sections")]
)
def test_a_file_without_sections(tmp_path, text, what):
    assert mistakes(tmp_path, text) == [f"the file holds {what}: expected target, detection, models, bands."]


# Text that cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16(tmp_path, encoding):
    (found,) = mistakes(tmp_path, "bands: {}\n".encode(encoding))
    assert "UTF-16; expected UTF-8" in found if encoding == "utf-16" else "control character '\\x00'" in found


def test_latin1(tmp_path):
    assert mistakes(tmp_path, "a: 1\nb: caf\xe9\n".encode("latin-1")) == [
        "line 2: the byte 0xe9 is not UTF-8, the encoding of YAML (in Latin-1 it is 'é'). Save the file in UTF-8."
    ]


@pytest.mark.parametrize("text", ["\ufeffa: é\n", "a: 1\r\nb: 2\r\n", '{"a": 1,\n\t"b": [1, 2]}', "a: \U0001f30c"])
def test_other_text_is_read(tmp_path, text):
    assert mistakes(tmp_path, text) == []


def test_a_control_character(tmp_path):
    assert mistakes(tmp_path, "a: 1\nb: \x07\n") == ["line 2: the file has the control character '\\x07'; remove it."]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("weight: {file: x.fits[ERR], kind: rms}", "put names with brackets in quotes: 'x.fits[ERR]'"),
        ("image: [ERR]x.fits", "put names with brackets in quotes: '[ERR]x.fits'"),
        ("images: [x.fits[ERR]]", "put names with brackets in quotes: 'x.fits[ERR]'"),
        ("images: [a.fits, b[1].fits[SCI]]", "put names with brackets in quotes: 'b[1].fits[SCI]'"),
        ("\timage: x", "indent with spaces, not with tabs"),
        ("a: b: c", "correct the line"),
        ("list: [1, 2", "correct the line"),
        ("text: 'open", "correct the line"),
        ("x: %y", "correct the line"),
    ],
)
def test_a_line_that_is_not_yaml(tmp_path, line, advice):
    (found,) = mistakes(tmp_path, f"# first\nbands:\n  {line}\n")
    assert found.startswith("line 3: ") and advice in found and found.count("\n") == 0


@pytest.mark.parametrize("line", ["b: 2026-13-45", "? [1, 2]\n: 3", "<<: 5", "{x: 1}: 2"])
def test_values_and_keys_that_cannot_be(tmp_path, line):
    (found,) = mistakes(tmp_path, f"a: 1\n{line}\n")
    assert found.count("\n") == 0 and len(found) < 300


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getcwd []", "!own 1", "!!binary aGk=", "!!set {a, b}"])
def test_tags(tmp_path, tag):
    (found,) = mistakes(tmp_path, f"a: 1\nb: {tag}\n")
    assert found == f"line 2: the tag {tag.split()[0]} is not allowed; write the value itself."


def bomb(first, nest, levels=30):
    """Return text whose last alias stands for 6 to the power of `levels` values."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} {nest.replace('*', f'*a{i - 1}')}" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("first", "nest"),
    [
        ("[x, x]", "[*, *, *, *, *, *]"),
        ("{x: 1}", "{a: *, b: *, c: *, d: *, e: *, f: *}"),
        ("{x: 1}", "{<<: [*, *, *, *, *, *]}"),
        ("x", "[*, *, *, *, *, *]"),
    ],
)
def test_aliases_that_grow(tmp_path, first, nest):
    (found,) = mistakes(tmp_path, bomb(first, nest))
    assert "stand for more than 100000 values; write out the values that are needed." in found


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a\n  b: {<<: *a}"])
def test_an_alias_inside_itself(tmp_path, text):
    (found,) = mistakes(tmp_path, text)
    assert "*a stands inside &a itself" in found


@pytest.mark.parametrize("text", ["a: " + "[" * 5000 + "]" * 5000, "a: " + "{b: " * 500 + "1" + "}" * 500])
def test_sections_too_deep(tmp_path, text):
    (found,) = mistakes(tmp_path, text)
    assert found == "line 1: more than 40 sections or lists inside each other; expected at most four."


def test_a_number_of_thousands_of_digits(tmp_path):
    (found,) = mistakes(tmp_path, "a: 1\nb: 1" + "0" * 5000)
    assert found.startswith("line 2: the number 1000") and "has 5001 characters; expected at most 400" in found


def test_the_content_of_a_checked_file(tmp_path):
    (tmp_path / "c.yaml").write_text("\ufeffa: é\n", encoding="utf-8")
    assert read_config_file(tmp_path / "c.yaml") == {"a": "é"}


def test_missing_files_are_passed_over(tmp_path):
    check_text([tmp_path / "none.yaml"])


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *(ROOT / "tests/configs").glob("*.yaml")], ids=lambda p: p.name)
def test_our_own_configurations_have_no_mistakes(path):
    check_text([path])
