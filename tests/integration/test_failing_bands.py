"""A band that cannot be measured fully costs neither the other bands nor the catalogue, and the run reports it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
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


def has_no_flux(field: Field, name: str, messages: str, reason: str) -> None:
    """The band has no flux and the sharp one has; the last lines of the run say why."""
    assert np.isnan(band(field, name, "flux")).all() and np.isnan(band(field, name, "err")).all()
    assert (band(field, name, "flag") & int(Flag.NO_PIXELS) > 0).all()
    assert np.isfinite(band(field, SHARP, "flux")).all()
    told = re.search(r"^  no flux .*(\n {4,}.*)*", messages, re.MULTILINE)
    assert told and re.search(rf"\b{name}: {reason}", told[0]), messages[-3000:]
    assert (field / "results/report/index.html").exists()


IMAGES: dict[str, Callable[[np.ndarray], None]] = {
    "unknown": lambda image: image.fill(np.nan),
    "constant": lambda image: image.fill(7.0),
    "infinite": lambda image: np.put(image, (303, 404), (np.inf, -np.inf)),
}
"""What is done to the pixels of the blurred image."""
SETTINGS = {
    "astray": {"shift": "auto", "astrometry": {"references": [999]}},
    "crowded": {"sim_regions": "none.reg"},
    "cut": {"image": "cut.fits"},
    "masked": {"bad_regions": "everything.reg"},
    "starless": {"psf": {"stars": "auto"}},
    "weighted": {"weight": "noise.fits"},
    **{name: {"image": f"{name}.fits"} for name in IMAGES},
}
"""Keys of bands that are otherwise the blurred one."""


@pytest.fixture(scope="module")
def faulty(warm_field: Field, tmp_path_factory: pytest.TempPathFactory) -> tuple[Field, str]:
    """The field with a band for every fault, and what the run says: one run for all of them."""
    folder = tmp_path_factory.mktemp("faulty") / "field"
    shutil.copytree(warm_field.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("program"))
    field = Field(folder, warm_field.program)
    image, header = fits.getdata(field / f"{BLURRED}.fits", header=True)
    for name, change in IMAGES.items():
        changed = image.copy()
        change(changed)
        fits.writeto(field / f"{name}.fits", changed, header)
    noise = np.random.default_rng(1).normal(size=image.shape).astype(np.float32)
    fits.writeto(field / "noise.fits", noise, header)
    content = (field / f"{BLURRED}.fits").read_bytes()
    (field / "cut.fits").write_bytes(content[: len(content) // 2])
    (field / "none.reg").write_text('icrs\ncircle(10.0,10.0,1")\n')
    (field / "everything.reg").write_text("image\ncircle(30,30,1000)\n")
    field.edit_config(lambda c: c["bands"].update({k: {**c["bands"][BLURRED], **v} for k, v in SETTINGS.items()}))
    return field, field.run().messages


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("constant", "bands.constant"),
        ("cut", r"cut.fits cannot be read: .*Check if the file is truncated"),
        ("masked", "bands.masked"),
        ("starless", rf"bands.starless.psf: 0 stars of {BLURRED}.fits can be"),
        ("unknown", "bands.unknown"),
        ("weighted", r"bands.weighted.weight: noise.fits .* is negative in 5\d%"),
    ],
)
def test_an_unusable_input_costs_its_band_alone(faulty, name, reason):
    field, messages = faulty
    has_no_flux(field, name, messages, reason)


def test_the_other_bands_are_as_before(faulty, warm_field):
    field, _ = faulty
    for name in (SHARP, BLURRED):
        for column in ("flux", "err"):
            np.testing.assert_array_equal(band(field, name, column), band(warm_field, name, column))
    # no warning of a Python package, which would say nothing to a user
    assert not [w.sentence for w in read_warnings(field / "results") if w.sentence.startswith("RuntimeWarning")]


def test_a_band_whose_shift_cannot_be_measured_is_not_shifted(faulty):
    field, messages = faulty
    warnings = [warning.sentence for warning in read_warnings(field / "results")]
    assert any("Source 999 in astrometry.references does not exist" in sentence for sentence in warnings)
    assert any("The band is not shifted, and its fluxes have the flag shift_failed" in text for text in warnings)
    assert "failed: measure_shift" not in messages
    assert (band(field, "astray", "flag") & int(Flag.SHIFT_FAILED) > 0).all()
    assert not (band(field, SHARP, "flag") & int(Flag.SHIFT_FAILED)).any()
    assert np.isfinite(band(field, "astray", "flux")).all() and np.isfinite(band(field, "astray", "err")).all()
    # nothing is known of the error of a shift that was not found; that of the other band is given
    assert np.isnan(band(field, "astray", "err_shift")).all() and not band(field, SHARP, "err_shift").any()


def test_a_band_without_an_empty_circle_keeps_its_formal_errors(faulty):
    field, _ = faulty
    assert any("no empty circle" in warning.sentence for warning in read_warnings(field / "results"))
    assert np.isnan(band(field, "crowded", "err_sim")).all()
    assert band(field, "crowded", "err") == pytest.approx(band(field, BLURRED, "err"), rel=0.3)


def test_an_infinite_pixel_is_not_observed(faulty):
    field, _ = faulty
    before, error = band(field, BLURRED, "flux"), band(field, "infinite", "err")
    assert band(field, "infinite", "flux") == pytest.approx(before, rel=0.05, abs=3 * error.max())


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


def test_a_mosaic_that_cannot_be_fetched_is_tried_again_in_the_next_run(field, server):
    url, handler = server
    whole = {"mosaic": url, "cutout_size": 14.0, "image": None}
    field.edit_config(lambda c: c["bands"][BLURRED].update(whole))
    has_no_flux(
        field, BLURRED, field.run().messages, rf"bands.{BLURRED}.mosaic: http.* cannot be read: the server says 404"
    )
    handler.up = True
    assert {f"cutout {BLURRED}", f"templates {BLURRED}", f"extract {BLURRED}"} <= field.run().work
    found = (field / "results/catalogue.fits").read_bytes()
    assert np.isfinite(band(field, BLURRED, "flux")).all()
    assert not field.run().work
    # the results are those of a run in which the server was there from the beginning
    shutil.rmtree(field / f"results/bands/{BLURRED}")
    field.run()
    assert (field / "results/catalogue.fits").read_bytes() == found
