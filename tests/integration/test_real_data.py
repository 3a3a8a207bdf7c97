"""Hubble and MUSE on one sky: real noise, unrelated grids, an astrometric offset. Skipped where the data are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import real_noise
import yaml
from test_example import ROOT, snakemake
from unblend.core.coordinates import sky_to_pixel
from unblend.images.masks import circles, region_mask
from unblend.io.images import read_array, read_labels, read_wcs
from unblend.io.regions import read_regions
from unblend.io.tables import read_sources, read_table
from unblend.report.run_warnings import read_warnings

pytestmark = [pytest.mark.integration]
DATA = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "hdfs"


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not here")
    folder = tmp_path_factory.mktemp("hdfs")
    config = yaml.safe_load((ROOT / "tests/configs/hdfs.yaml").read_text())
    config["detection"]["min_snr"] = 20  # 33 of 62 sources, in half the time
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


def test_nothing_is_said_against_good_images(field):
    words = ("from their models", "background varies", "are negative", "have no source", "the same pixels", "covers a")
    warnings = [warning.sentence for warning in read_warnings(field)]
    assert [sentence for sentence in warnings if any(word in sentence for word in words)] == []


def test_enough_sources_are_found(field):
    assert read_labels(str(field / "det_seg.fits")).max() > 20


@pytest.fixture(scope="module")
def muse(field):
    return real_noise.measured(field, "muse")


def test_white_errors_are_too_small_by_what_the_correlation_of_the_noise_predicts(muse):
    predicted = real_noise.predicted_factor(muse, real_noise.plain_correlation(muse))
    made = muse.fluxes["flux_err"] / muse.fluxes["flux_err_white"]
    alone = np.abs(muse.fluxes["correlation"]) < 0.3
    assert alone.sum() > 20 and np.nanmedian(predicted[alone]) > 2.0
    # The plain measurement ends at 8 pixels, where the correlation is 0.17, and lacks what the fit absorbed.
    np.testing.assert_allclose(np.nanmedian((made / predicted)[alone]), 1.0, atol=0.1)


def test_isolated_fluxes_agree_with_apertures(muse):
    rows = real_noise.apertures(muse, real_noise.plain_correlation(muse), 0.8, 0.2)
    faint = rows[rows[:, 3] > 0.02 * rows[:, 1]]
    pull = (faint[:, 2] - faint[:, 1]) / faint[:, 3]
    assert len(faint) >= 8
    assert abs(np.median(rows[:, 2] / rows[:, 1]) - 1.0) < 0.03
    assert np.all(np.abs(pull) < 3.0) and np.sqrt(np.mean(pull**2)) < 1.2
    # Known to better than 2 %, a galaxy shows that its arms are no Sersic and that blue light is not red: 10 % then.
    bright = rows[rows[:, 3] <= 0.02 * rows[:, 1]]
    assert np.all(np.abs(bright[:, 2] / bright[:, 1] - 1.0) < 0.1)


def test_the_monte_carlo_agrees_with_the_formal_errors(muse):
    # 1.5 FWHM: as many circles as have room, at a loss of 1 to 4 % of the scatter
    number, ratio, error = real_noise.monte_carlo_ratio(muse, 1.5)
    assert number >= 20
    assert abs(ratio - 1.0) < 2.5 * error


def test_the_proposed_border_lies_where_the_hand_made_one_does(field):
    """By hand all that Hubble does not cover is masked, in four boxes; the sources there are proposed."""
    name = str(DATA / "muse-white.fits[DATA]")
    wcs, shape = read_wcs(name), read_array(name).shape
    hand = region_mask(read_regions(DATA / "mask_border.reg"), wcs, shape)
    found = circles(read_regions(field / "bands/muse/proposed-border.reg"), wcs)
    assert len(found) > 60  # 95 measured
    inside = [hand[min(max(round(y), 0), shape[0] - 1), min(max(round(x), 0), shape[1] - 1)] for y, x, _ in found]
    assert all(inside)
