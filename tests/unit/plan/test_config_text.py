from __future__ import annotations

from pathlib import Path

import pytest
from unblend.core.errors import ConfigError
from unblend.plan.config_text import check_text

ROOT = Path(__file__).resolve().parents[3]


def mistakes(tmp_path, text):
    """Return the mistakes in a file of `text`, without its path."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
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
        "line 3: the key psf is given twice; YAML uses the last. Remove one.",
        "line 4: the key k is given twice; YAML uses the last. Remove one.",
    ]


def test_a_file_that_would_be_run_as_a_template(tmp_path):
    (found,) = mistakes(tmp_path, "__use_yte__: true\nbands: {}\n")
    assert found.startswith("__use_yte__ is not allowed")


def test_anchors_and_merged_sections_are_no_mistakes(tmp_path):
    text = "band_defaults: &d {rms: auto}\nbands:\n  k: &k {<<: *d, <<: *d, image: a}\n  h: *k\n"
    assert mistakes(tmp_path, text) == []


@pytest.mark.parametrize("text", ["", "- a", "a: 1\na: 2", "bands: {", "__use_yte__: true"])
def test_files_of_another_kind_are_passed_over(tmp_path, text):
    assert mistakes(tmp_path, text) == []


def test_missing_files_are_passed_over(tmp_path):
    check_text([tmp_path / "none.yaml"])


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *(ROOT / "tests/configs").glob("*.yaml")], ids=lambda p: p.name)
def test_our_own_configurations_have_no_mistakes(path):
    check_text([path])
