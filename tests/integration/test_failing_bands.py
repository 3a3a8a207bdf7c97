"""A band that cannot be measured fully costs neither the other bands nor the catalogue, and the run reports it."""

from __future__ import annotations

import re
import shutil
from http.server import SimpleHTTPRequestHandler

import numpy as np
import pytest
from astropy.io import fits
from harness import Field
from http_server import serving
from smallfield import BLURRED, SHARP
from unblend.core.flags import Flag
from unblend.report.run_warnings import read_warnings

pytestmark = pytest.mark.integration


def band(field: Field, name: str, column: str) -> np.ndarray:
    return np.asarray(field.table("catalogue.fits")[f"{column}_{name}"])


def test_a_band_whose_shift_cannot_be_measured_is_not_shifted(field):
    field.edit_config(lambda c: c["bands"][BLURRED].update(shift="auto", astrometry={"references": [999]}))
    found = field.run()
    assert "Source 999 in astrometry.references does not exist" in found.messages
    assert "The band is not shifted, and its fluxes have the flag shift_failed" in found.messages
    assert (band(field, BLURRED, "flag") & int(Flag.SHIFT_FAILED) > 0).all()
    assert not (band(field, SHARP, "flag") & int(Flag.SHIFT_FAILED)).any()
    assert np.isfinite(band(field, BLURRED, "flux")).all() and np.isfinite(band(field, BLURRED, "err")).all()
    # nothing is known of the error of a shift that was not found; that of the other band is given
    assert np.isnan(band(field, BLURRED, "err_shift")).all() and not band(field, SHARP, "err_shift").any()


def test_a_band_without_an_empty_circle_keeps_its_formal_errors(field):
    before = band(field, BLURRED, "err")
    (field / "none.reg").write_text('icrs\ncircle(10.0,10.0,1")\n')
    field.edit_config(lambda c: c["bands"][BLURRED].update(sim_regions="none.reg"))
    found = field.run()
    assert "no empty circle" in found.messages
    assert np.isnan(band(field, BLURRED, "err_sim")).all()
    assert band(field, BLURRED, "err") == pytest.approx(before, rel=0.3)


@pytest.fixture
def server(field):
    """A server of the blurred image, which is down until `up` is set."""

    class Handler(SimpleHTTPRequestHandler):
        up, content = False, (field / f"{BLURRED}.fits").read_bytes()

        def do_GET(self):
            if not self.up:
                self.send_error(404)
                return
            start, stop = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            part = self.content[start : stop + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(self.content)}")
            self.end_headers()
            self.wfile.write(part)

    with serving(Handler) as address:
        yield f"{address}/blurred.fits", Handler


def has_no_flux(field: Field, messages: str, reason: str) -> None:
    """The band has no flux and the other one has; the last lines of the run say why."""
    assert np.isnan(band(field, BLURRED, "flux")).all() and np.isnan(band(field, BLURRED, "err")).all()
    assert (band(field, BLURRED, "flag") & int(Flag.NO_PIXELS) > 0).all()
    assert np.isfinite(band(field, SHARP, "flux")).all()
    assert re.search(rf"  no flux    {BLURRED}: {reason}", messages), messages[-3000:]
    assert (field / "results/report/index.html").exists()


def test_a_mosaic_that_cannot_be_fetched_is_tried_again_in_the_next_run(field, server):
    url, handler = server
    whole = {"mosaic": url, "cutout_size": 14.0, "image": None}
    field.edit_config(lambda c: c["bands"][BLURRED].update(whole))
    has_no_flux(field, field.run().messages, rf"bands.{BLURRED}.mosaic: http.* cannot be read: the server says 404")
    handler.up = True
    assert {f"cutout {BLURRED}", f"templates {BLURRED}", f"extract {BLURRED}"} <= field.run().work
    found = (field / "results/catalogue.fits").read_bytes()
    assert np.isfinite(band(field, BLURRED, "flux")).all()
    assert not field.run().work
    # the results are those of a run in which the server was there from the beginning
    shutil.rmtree(field / "results")
    field.run()
    assert (field / "results/catalogue.fits").read_bytes() == found


def test_a_refused_weight_map_costs_the_band(field):
    image, header = fits.getdata(field / f"{BLURRED}.fits", header=True)
    noise = np.random.default_rng(1).normal(size=image.shape).astype(np.float32)
    fits.writeto(field / "weight.fits", noise, header)
    field.edit_config(lambda c: c["bands"][BLURRED].update(weight="weight.fits"))
    has_no_flux(field, field.run().messages, rf"bands.{BLURRED}.weight: weight.fits .* is negative in 5\d%")


def test_an_image_that_was_cut_costs_the_band(field):
    content = (field / f"{BLURRED}.fits").read_bytes()
    (field / f"{BLURRED}.fits").write_bytes(content[: len(content) // 2])
    has_no_flux(field, field.run().messages, r"blurred.fits cannot be read: .*Check if the file is truncated")


def test_a_psf_of_stars_without_stars_costs_the_band(field):
    field.edit_config(lambda c: c["bands"][BLURRED].update(psf={"stars": "auto"}))
    has_no_flux(field, field.run().messages, rf"bands.{BLURRED}.psf: 0 stars of blurred.fits can be")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_pixel_is_not_observed(field, value):
    before = band(field, BLURRED, "flux")
    with fits.open(field / f"{BLURRED}.fits", mode="update") as image:
        image[0].data[3, 3] = value
    field.run()
    assert band(field, BLURRED, "flux") == pytest.approx(before, rel=0.05, abs=3 * band(field, BLURRED, "err").max())


@pytest.mark.parametrize("fault", ["all NaN", "constant", "masked"])
def test_a_band_without_usable_pixels_has_no_fluxes_and_the_others_have(field, fault):
    before = band(field, SHARP, "flux")
    if fault == "masked":
        (field / f"{BLURRED}-bad.reg").write_text("image\ncircle(30,30,1000)\n")
    else:
        with fits.open(field / f"{BLURRED}.fits", mode="update") as image:
            image[0].data[:] = np.nan if fault == "all NaN" else 7.0
    found = field.run()
    assert np.isnan(band(field, BLURRED, "flux")).all() and np.isnan(band(field, BLURRED, "err")).all()
    assert (band(field, BLURRED, "flag") & int(Flag.NO_PIXELS) > 0).all()
    assert band(field, SHARP, "flux") == pytest.approx(before, rel=1e-6)
    assert f"bands.{BLURRED}" in found.messages and f"no flux    {BLURRED}" in found.messages
    assert (field / "results/report/index.html").exists()
    # no warning of a Python package, which would say nothing to a user
    assert not [w.sentence for w in read_warnings(field / "results") if w.sentence.startswith("RuntimeWarning")]
