from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
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


@pytest.mark.parametrize("large", [True, False])
def test_snakemake_seldom_looks_again_at_the_jobs_of_a_large_field(field, large, monkeypatch):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-5, "CDELT2": 1e-5})
    fits.writeto(f"{field}/a.fits", np.zeros((60, 50), dtype=np.float32), header)
    fits.writeto(f"{field}/psf.fits", np.ones((5, 5), dtype=np.float32))
    bands = {"a": {"image": "a.fits", "psf": "psf.fits", "zero_point": 25.0}}
    config = {"data_dir": ".", "target": {"ra": 1.0, "dec": 2.0}, "detection": {"bands": ["a"]},
              "models": {"psf": "a"}, "bands": bands}  # fmt: skip
    Path(f"{field}/config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr("unblend.core.large_field.MOST_DETECTION_PIXELS", 2999 if large else 3000)
    rate = [*run_command.SLOW_RATE] if large else []
    assert run_command.command((field,)) == [*SNAKEMAKE, *rate, "--cores", "6", "--directory", field]
    of_user = ("--max-jobs-per-timespan", "5/1s")
    assert run_command.command((field, *of_user)) == [*SNAKEMAKE, *of_user, "--cores", "6", "--directory", field]


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
