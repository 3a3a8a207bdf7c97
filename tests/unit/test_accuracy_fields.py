"""The accuracy benchmark's own parts: models drawn by GalSim, and statistics."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from unblend.field.prepared_psf import psf_of
from unblend.images.psf import fwhm
from unblend.io.images import write_image
from unblend.io.models import read_model
from unblend.io.psf_files import read_psf_file
from unblend.models.rendering import draw_sersic
from unblend.plan.config import load_config
from unblend.simulation.fields import draw_band, draw_psf
from unblend.simulation.population import SimulatedSource

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import accuracy_fields as fields
import accuracy_results as results


@pytest.mark.parametrize(("n", "q"), [(1.0, 0.5), (4.0, 0.8)])
def test_a_true_model_is_the_profile_that_we_draw(tmp_path, n, q):
    source = SimulatedSource(53.1, -27.8, n=n, r_e_arcsec=0.06, q=q, pa_deg=30.0)
    fields.write_true_model(tmp_path / "1.fits", source)
    model = read_model(tmp_path / "1.fits")
    ours = draw_sersic(model.data.shape, model.centre, n=n, r_e=0.06 / fields.MODEL_PIXEL_ARCSEC, ell=1.0 - q, pa=30.0)
    # 64 points per pixel and axis leave 4e-4 of the peak at n = 4
    np.testing.assert_allclose(model.data, ours, atol=1e-3 * ours.max())
    assert model.total == 1.0 and model.sky == pytest.approx((53.1, -27.8))


def test_the_depth_of_a_scenario_is_in_its_weight_maps():
    scenarios = fields.scenarios()
    depth, clean = (fields.configuration(scenarios[name].bands, "results", "none") for name in ("depth", "clean"))
    assert all(band["weight"] == {"file": f"{name}-rms.fits", "kind": "rms"} for name, band in depth["bands"].items())
    assert not any("weight" in band for band in clean["bands"].values())
    assert load_config(depth).bands["hst"].weight.kind == "rms"
    band = draw_band(scenarios["depth"].bands[1], [], fields.CENTRE, np.random.default_rng(1))
    middle = band.rms.shape[1] // 2
    assert np.ptp(band.rms[:, :middle]) == np.ptp(band.rms[:, middle:]) == 0
    assert band.rms[0, -1] == pytest.approx(fields.DEPTH_STEP * band.rms[0, 0])
    # 50 000 pixels of either half; the level is 1.5 times the noise of the deep one.
    assert band.image[:, :middle].mean() == pytest.approx(fields.level(band), abs=0.03 * band.rms[0, 0])


def test_the_psf_of_a_scenario_changes_and_its_grid_says_how(tmp_path):
    scenario = fields.scenarios()["psfmap"]
    band = draw_band(scenario.bands[2], [], fields.CENTRE, np.random.default_rng(1))
    fields.write_psf_grid(tmp_path / "psf.fits", band)
    file = read_psf_file(f"{tmp_path}/psf.fits")
    assert file.images.shape == (81, 123, 123) and file.sampling == 3.0
    image = {"file": f"{tmp_path}/image.fits"}
    write_image(image["file"], band.image, wcs=band.wcs)
    keys = {"name": "k", "kind": "effective", "oversampling": 3.0, "sum": "unit", "centre": "centroid"}
    psf = psf_of({**keys, "psf": {"file": f"{tmp_path}/psf.fits"}, "image": image})
    ny, nx = band.spec.shape
    widths = [fwhm(psf.at(ny / 2, x)) for x in (0.0, nx / 2, nx - 1.0)]
    # the pixel, which does not change, is a part of the width
    assert widths[2] / widths[0] == pytest.approx(1.15, abs=0.02) and widths[0] < widths[1] < widths[2]
    for place in ((10.3, 20.2), (70.0, 31.0)):
        truth = draw_psf(band.spec, band.wcs, place)
        assert 0.5 * np.abs(psf.at(*place).data - truth).sum() < 1e-3


def test_a_bin_counts_sources_not_draws():
    rng = np.random.default_rng(1)
    values, source = np.repeat(rng.normal(size=40), 50), np.repeat(np.arange(40), 50)
    _, error = results.bootstrap(values, source, np.median, rng)
    # the median of 40 sources is good to 1.25 / √40 = 0.2; of 2000 fluxes it would be 0.03
    assert 0.1 < error < 0.35
    assert np.isnan(results.bootstrap(values[:200], source[:200], np.median, rng)[0])  # four sources


def test_verdicts():
    inside, near, far = (results.Figure(value, 0.03, 0.95, 1.05).verdict for value in (1.04, 1.1, 1.2))
    assert (inside, near, far) == ("met", "open", "missed")
