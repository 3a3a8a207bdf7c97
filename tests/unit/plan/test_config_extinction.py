from __future__ import annotations

import copy
from pathlib import Path

import pytest
from planned_jobs import RAW, jobs_of, write_fits
from unblend.core.errors import ConfigError
from unblend.plan import checks
from unblend.plan.config import load_config
from unblend.plan.jobs import extinction_settings


def raw(**section):
    return {**copy.deepcopy(RAW), "extinction": section}


def settings_of(**section):
    jobs = jobs_of(raw(**section))
    return extinction_settings(jobs, jobs.config.extinction)


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()


def test_defaults_are_the_maps_of_sfd():
    found = settings_of()
    assert [each["file"] for each in found["files"]] == [f"data/SFD_dust_4096_{half}gp.fits" for half in "ns"]
    assert (found["scale"], found["law"], found["R_V"]) == (0.86, "F99", 3.1)
    # from the names of the bands
    assert found["wavelengths_um"] == {"f125w": 1.25, "f160w": 1.6, "k": 2.2}


def test_a_folder_has_two_maps_and_a_file_is_one(tmp_path):
    (tmp_path / "data/maps").mkdir()
    assert settings_of(map="maps")["files"][1]["file"] == "data/maps/SFD_dust_4096_sgp.fits"
    write_fits(Path("data/dust.fits"), 0.02)
    found = settings_of(map="dust.fits", R_V=4)
    assert found["scale"] == 1.0 and found["R_V"] == 4 and found["files"][0]["digest"]
    assert settings_of(map="dust.fits", scale=0.9)["scale"] == 0.9


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"law": "Fitzpatrick"}, "extinction.law is 'Fitzpatrick'"),
        ({"R_V": 1.0}, "extinction.R_V is 1.0: expected a number from 2.5 to 5.5"),
        ({"scale": -1}, "extinction.scale is -1"),
        ({"maps": "a.fits"}, "extinction.maps"),
    ],
)
def test_what_is_no_extinction_is_a_sentence(section, sentence):
    with pytest.raises(ConfigError) as caught:
        load_config(raw(**section))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_map_and_a_missing_package_are_sentences(monkeypatch):
    jobs = jobs_of(raw(map="dust.fits"))
    sentences = [sentence for sentence in checks._missing(jobs) if sentence.startswith("extinction")]
    assert sentences == ["extinction.map: data/dust.fits does not exist; correct the name or data_dir (data)."]
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    write_fits(Path("data/dust.fits"), 0.02)
    (sentence,) = (sentence for sentence in checks._missing(jobs) if sentence.startswith("extinction"))
    assert "the package dust-extinction is not installed" in sentence
