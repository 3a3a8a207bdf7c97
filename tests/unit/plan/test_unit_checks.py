"""Zero points that contradict the header of the image."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from unblend.plan.checks import _warn_of_future_times, jobs_of, warn_of_images
from unblend.plan.config import load_config
from unblend.plan.unit_checks import unit_warnings

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared/data"


def field(tmp_path, cards, zero_point, **more):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 2.0,
                          "CRPIX2": 2.0, "CDELT1": -0.6 / 3600, "CDELT2": 0.6 / 3600, **cards})  # fmt: skip
    fits.writeto(tmp_path / "k.fits", np.ones((4, 4), dtype=np.float32), header, overwrite=True)
    raw = {
        "data_dir": str(tmp_path), "results_dir": str(tmp_path / "results"), "target": {"ra": 53.0, "dec": -27.8},
        "detection": {"bands": ["k"]}, "models": {"psf": "k"},
        "bands": {"k": {"image": "k.fits", "psf": "psf.fits", "zero_point": zero_point, **more}},
    }  # fmt: skip
    return jobs_of(load_config(raw), ROOT / "scripts")


def found(jobs):
    return unit_warnings(list(jobs.config.bands.values()), jobs.inputs)


def test_a_contradiction_is_one_sentence_with_the_factor(tmp_path, capsys):
    jobs = field(tmp_path, {"BUNIT": "MJy/sr"}, 23.9)
    (sentence,) = found(jobs).values()
    assert sentence.startswith(
        f"bands.k: the header of {tmp_path}/k.fits has BUNIT = 'MJy/sr', pixel area 8.462e-12 sr of the WCS, "
    )
    assert "an AB zero point of 21.58; " in sentence
    # 8.46 uJy in a pixel of 0.6 arcsec
    assert "zero_point is 23.9, so that fluxes in microjansky are 0.118 times those of the header." in sentence
    warn_of_images(jobs)
    assert capsys.readouterr().err == f"unblend: {sentence}\n"
    assert jobs.store._purpose() == "plan" and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("cards", "zero_point"),
    [
        ({"BUNIT": "MJy/sr"}, 21.6),
        ({"BUNIT": "MJy/sr"}, None),
        ({}, 25.0),
        ({"BUNIT": "DN"}, 25.0),
        ({"MAGZERO": 25.0}, 25),
    ],
)
def test_nothing_is_said_where_nothing_contradicts(tmp_path, cards, zero_point):
    assert found(field(tmp_path, cards, zero_point)) == {}


def test_an_image_that_is_not_there_yet_or_no_image(tmp_path):
    jobs = field(tmp_path, {"BUNIT": "uJy"}, 25.0)
    (tmp_path / "k.fits").unlink()
    assert found(jobs) == {}
    (tmp_path / "k.fits").write_text("no image")
    assert found(jobs) == {}


def test_the_catalogue_job_has_the_sentence_in_its_log(tmp_path):
    jobs = field(tmp_path, {"BUNIT": "uJy"}, 25.0)
    path = jobs.spec("write_catalogue")
    assert "23.90; zero_point is 25" in yaml.safe_load(Path(path).read_text())["warnings"][0]
    assert "warnings" not in yaml.safe_load(Path(field(tmp_path, {}, 25.0).spec("write_catalogue")).read_text())


@pytest.mark.parametrize("name", ["uds-jwst", "cosmos-hst-hsc"])
def test_no_false_alarm_on_real_headers(name):
    path = REAL / name / "config.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    raw = yaml.safe_load(path.read_text())
    raw["data_dir"] = str(path.parent / raw.get("data_dir", "."))
    assert found(jobs_of(load_config(raw), ROOT / "scripts")) == {}


def test_the_unit_of_a_real_image_is_read():
    path = REAL / "uds-jwst/config.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    raw = yaml.safe_load(path.read_text())
    raw["data_dir"] = str(path.parent / raw.get("data_dir", "."))
    raw["bands"]["f444w"]["zero_point"] = 26.53  # ZP in its header is not what BUNIT says
    assert list(found(jobs_of(load_config(raw), ROOT / "scripts"))) == ["f444w"]


def test_inputs_from_the_future_are_named(tmp_path, capsys):
    jobs = field(tmp_path, {}, 25.0)
    (tmp_path / "psf.fits").write_text("")
    _warn_of_future_times(jobs)
    assert capsys.readouterr().err == ""
    os.utime(tmp_path / "k.fits", (4e9, 4e9))
    _warn_of_future_times(jobs)
    assert f"unblend: {tmp_path}/k.fits: the modification time is in the future" in capsys.readouterr().err
