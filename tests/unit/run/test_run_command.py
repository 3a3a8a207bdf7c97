from __future__ import annotations

import sys
from pathlib import Path

import pytest
from unblend.core.errors import InputError
from unblend.run import run_command

ROOT = Path(__file__).resolve().parents[3]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]


@pytest.fixture
def field(tmp_path, monkeypatch):
    monkeypatch.setattr(run_command, "_cores", lambda: "6")
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "other.yaml").write_text("{}")
    return str(tmp_path)


def test_a_field(field):
    assert run_command.command((field,)) == [*SNAKEMAKE, "--cores", "6", "--directory", field]


@pytest.mark.parametrize("words", [("--cores", "2"), ("-c2",), ("--cores=2",), ("--profile", "x"), ("-j", "3")])
def test_cores_of_the_user(field, words):
    assert run_command.command((field, *words)) == [*SNAKEMAKE, *words, "--directory", field]


@pytest.mark.parametrize(
    "words",
    [
        ("--configfile", "other.yaml", "results/catalogue.fits", "-n"),
        ("results/catalogue.fits", "-n", "--configfile", "other.yaml"),
        ("results/catalogue.fits", "--configfile=other.yaml", "-n"),
    ],
)
def test_a_product_beside_another_configuration_in_any_order(field, words):
    """Snakemake alone takes every word after --configfile as one more configuration."""
    named = ["--configfile", f"{field}/other.yaml"]
    made = ["results/catalogue.fits", "-n", "--cores", "6", "--directory", field, *named]
    assert run_command.command((field, *words)) == [*SNAKEMAKE, *made]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("results/catalogue.fits",), "is not a folder; expected that of a field as the first word"),
        (("{field}/gone",), "is not a folder"),
        (("{field}", "--configfile"), "expected the name of a file"),
        (("{field}", "--configfile", "gone.yaml"), "there is no such file"),
    ],
)
def test_mistakes(field, words, match):
    with pytest.raises(InputError, match=match):
        run_command.command(tuple(word.format(field=field) for word in words))


def test_a_folder_without_a_configuration(tmp_path):
    with pytest.raises(InputError, match=r"config\.yaml: there is no such file.*unblend new"):
        run_command.command((str(tmp_path),))
