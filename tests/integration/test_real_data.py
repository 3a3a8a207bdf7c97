"""Hubble and MUSE on one sky: real noise, unrelated grids, an astrometric offset. Skipped where the data are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_example import ROOT, snakemake
from unblend.geometry import sky_to_pixel
from unblend.io.images import read_array, read_labels, read_wcs
from unblend.io.regions import read_regions
from unblend.io.tables import read_sources, read_table
from unblend.masks import circles, region_mask

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


def test_little_light_is_left_at_the_bright_sources(field):
    image = read_array(str(field / "bands/muse/residual.fits"))
    wcs = read_wcs(str(field / "bands/muse/residual.fits"))
    fluxes, sources = read_table(field / "bands/muse/fluxes.fits"), read_sources(field / "det_cat.fits")
    y, x = sky_to_pixel(wcs, sources["ra"], sources["dec"])
    rows, columns = np.indices(image.shape)
    left = []
    for k in np.flatnonzero((fluxes["flux"] > 10 * fluxes["flux_err"]) & (fluxes["flag"] == 0)):
        aperture = np.hypot(rows - y[k], columns - x[k]) < 1.0 / 0.2
        left.append(np.nansum(image[aperture]) / fluxes["flux"][k])
    # one colour and one Sersic for galaxies of many colours and arms: 5 % stay behind, twice that is too much
    assert len(left) >= 5
    assert np.median(np.abs(left)) < 0.1


def test_the_noise_is_found_correlated_and_the_weights_wrong(field):
    fluxes = read_table(field / "bands/muse/fluxes.fits")
    ratio = np.nanmedian(fluxes["flux_err"] / fluxes["flux_err_white"])
    assert ratio > 1.1
    assert read_labels(str(field / "det_seg.fits")).max() > 20


def test_the_proposed_border_lies_where_the_hand_made_one_does(field):
    """By hand all that Hubble does not cover is masked, in four boxes; the sources there are proposed."""
    name = str(DATA / "muse-white.fits[DATA]")
    wcs, shape = read_wcs(name), read_array(name).shape
    hand = region_mask(read_regions(DATA / "mask_border.reg"), wcs, shape)
    found = circles(read_regions(field / "bands/muse/proposed-border.reg"), wcs)
    assert len(found) > 60  # 95 measured
    inside = [hand[min(max(round(y), 0), shape[0] - 1), min(max(round(x), 0), shape[1] - 1)] for y, x, _ in found]
    assert all(inside)
