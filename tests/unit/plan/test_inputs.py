"""Where the input files of a field lie, and what their digests depend on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unblend.plan.config import load_config
from unblend.plan.inputs import FieldInputs
from unblend.plan.provenance import Provenance

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"pixels")
    raw = {
        "data_dir": str(tmp_path), "target": {"ra": 10.0, "dec": 2.0}, "detection": {"bands": ["a"]},
        "models": {"psf": "a"},
        "bands": {
            "a": {"image": "a.fits", "psf": "p.fits", "weight": {"file": "w.fits[WHT]", "kind": "rms"}},
            "m": {"mosaic": "big.fits", "cutout_size": 10.0, "psf": "p.fits", "weight": "big-w.fits"},
        },
    }  # fmt: skip
    results = tmp_path / "results"
    return FieldInputs(load_config(raw), Provenance(ROOT / "scripts", results / "specs"), results)


def test_names_lie_in_the_data_folder_and_addresses_stay(inputs, tmp_path):
    assert inputs.path("x.fits[SCI]") == str(tmp_path / "x.fits[SCI]")
    assert inputs.path("/far/x.fits") == "/far/x.fits"
    assert inputs.path("https://archive.org/x.fits") == "https://archive.org/x.fits"


def test_a_band_from_a_mosaic_is_read_from_its_cutout(inputs, tmp_path):
    bands = inputs.config.bands
    assert inputs.image(bands["a"]) == str(tmp_path / "a.fits")
    assert inputs.image(bands["m"]) == str(tmp_path / "results/bands/m/cutout.fits")
    assert inputs.weight(bands["a"]) == {"file": str(tmp_path / "w.fits[WHT]"), "kind": "rms"}
    assert inputs.weight(bands["m"])["file"] == str(tmp_path / "results/bands/m/cutout-weight.fits")


def test_a_record_follows_the_content_and_not_the_time(inputs, tmp_path):
    first = inputs.image_record(inputs.config.bands["a"])
    os.utime(tmp_path / "a.fits", (1, 1))
    assert inputs.image_record(inputs.config.bands["a"]) == first
    assert inputs.record(str(tmp_path / "none.fits"))["digest"] is None
