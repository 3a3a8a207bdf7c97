"""Hubble and MUSE on one sky: real noise, unrelated grids, an astrometric offset. Skipped where the data are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_example import ROOT, snakemake
from unblend.io.images import read_array, read_labels
from unblend.io.tables import read_table

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("real")]
DATA = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "hdfs"


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not here")
    folder = tmp_path_factory.mktemp("hdfs")
    config = yaml.safe_load((ROOT / "tests/configs/hdfs.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "data_dir": str(DATA)}))
    snakemake(folder)
    return folder / config["results_dir"]


def test_the_shift_is_about_a_tenth_of_an_arcsecond(field):
    found = json.loads((field / "bands/muse/astrometry.json").read_text())
    assert 0.05 < np.hypot(*found["shift_arcsec"]) < 0.2
    assert found["recommendation"] is None  # nothing is left once it is applied


def test_the_residual_has_no_structure_at_the_sources(field):
    residual = read_array(str(field / "bands/muse/residual.fits"))
    fluxes = read_table(field / "bands/muse/fluxes.fits")
    sigma = 1.4826 * np.nanmedian(np.abs(residual - np.nanmedian(residual)))
    inside = np.isfinite(residual)
    # the sources' light is taken out to within the noise: 1.5 allows for profiles that are no Sersic
    assert np.nanstd(residual[inside]) < 1.5 * sigma
    assert np.isfinite(fluxes["flux"]).sum() > 20


def test_the_noise_is_found_correlated_and_the_weights_wrong(field):
    fluxes = read_table(field / "bands/muse/fluxes.fits")
    ratio = np.nanmedian(fluxes["flux_err"] / fluxes["flux_err_white"])
    assert ratio > 1.1
    assert read_labels(str(field / "det_seg.fits")).max() > 20
