"""The scripts of the detection on an image with a weight map: what one finds, the other finds again."""

from __future__ import annotations

import json
import re

import detect_sources
import edit_segments
import numpy as np
import pytest
from astropy.io import fits
from detection_field import SHAPE, gaussian, make_wcs
from unblend.io.images import read_array, read_header
from unblend.io.tables import read_sources, read_table_header

RMS = np.where(np.arange(SHAPE[1]) < 110, 1.0, 4.0) * np.ones((SHAPE[0], 1))
SETTINGS = {
    "bands": ["a"], "flux_band": "a", "conv_fwhm": 0.2, "threshold": 1.5, "min_area": 10, "min_snr": 10.0,
    "deblend_levels": 32, "deblend_contrast": 0.005, "background": "auto",
}  # fmt: skip
PRODUCTS = {name: f"det_{name}.fits" for name in ("stack", "error", "background", "snr", "auto_seg", "auto_cat")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(detect_sources, "record_work", lambda *what: None)
    monkeypatch.setattr(edit_segments, "record_work", lambda *what: None)
    image = RMS * np.random.default_rng(1).normal(size=SHAPE)
    image += gaussian(100, 50, 3000.0, 2.5) + gaussian(100, 165, 3000.0, 2.5)
    rms = 10.0 * RMS
    rms[60:70, 20:30] = 0.0
    for name, data in (("a", image), ("a-rms", rms)):
        fits.writeto(tmp_path / f"{name}.fits", data.astype(np.float32), make_wcs().to_header())
    return tmp_path


def write_spec(folder, **content):
    path = folder / "spec.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_detection_and_edits_use_the_map(folder, caplog):
    image, none = {"file": str(folder / "a.fits")}, {"file": str(folder / "none.reg")}
    weight = {"file": str(folder / "a-rms.fits"), "kind": "rms"}
    spec = {"detection": SETTINGS, "own": {}, "images": {"a": image}, "weights": {"a": weight}}
    spec["bad_regions"] = {"a": none}
    detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    scale = re.search(r"image a scatter by (\S+) times", caplog.text)
    assert float(scale[1]) == pytest.approx(0.1, rel=0.03)  # the map is ten times too large
    error = read_array(str(folder / "det_error.fits"))
    assert (np.nanmedian(error[:, :110]), np.median(error[:, 110:])) == pytest.approx((1.0, 4.0), rel=0.03)
    assert not np.isfinite(error[60:70, 20:30]).any()
    assert read_header(str(folder / "det_stack.fits"))["RMS1"] == pytest.approx(4.0, rel=0.03)  # of the median pixel
    found = read_sources(folder / "det_auto_cat.fits")
    assert len(found) == 2
    noise = np.where(found["x"] < 110, 1.0, 4.0)
    assert found["flux_err"] == pytest.approx(noise * np.sqrt(found["area"]), rel=0.03)

    regions = dict.fromkeys(("merge_regions", "manual_regions", "bad_regions"), none)
    spec = {**regions, "flux_image": image, "flux_weight": weight}
    edited = [str(folder / name) for name in ("det_seg.fits", "det_cat.fits", "det_cat.reg")]
    edit_segments.main(
        write_spec(folder, **spec), str(folder / "det_auto_seg.fits"), str(folder / "det_auto_cat.fits"), *edited
    )
    again = read_sources(folder / "det_cat.fits")
    assert np.array_equal(again["flux"], found["flux"])
    assert np.array_equal(again["flux_err"], found["flux_err"])
    levels = [read_table_header(folder / name) for name in ("det_auto_cat.fits", "det_cat.fits")]
    assert levels[0]["RMS"] == levels[1]["RMS"] == pytest.approx(4.0, rel=0.03)


def test_the_edits_see_the_background_of_the_detection(folder):
    ramp = np.linspace(-20.0, 20.0, SHAPE[1])
    with fits.open(folder / "a.fits", mode="update") as hdus:
        hdus[0].data[:] = hdus[0].data / RMS + ramp
    image, none = {"file": str(folder / "a.fits")}, {"file": str(folder / "none.reg")}
    spec = {"detection": SETTINGS, "own": {}, "images": {"a": image}, "weights": {}, "bad_regions": {"a": none}}
    detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    background = read_array(str(folder / "det_background.fits"))
    assert np.std(background - ramp) < 0.5 and np.median(background) == pytest.approx(0.0, abs=0.5)
    regions = dict.fromkeys(("merge_regions", "manual_regions", "bad_regions"), none)
    edited = [str(folder / name) for name in ("det_seg.fits", "det_cat.fits", "det_cat.reg")]
    automatic = [str(folder / f"det_auto_{name}.fits") for name in ("seg", "cat")]
    edit_segments.main(write_spec(folder, **regions, flux_image=image, flux_weight=None), *automatic, *edited)
    found, again = read_sources(folder / "det_auto_cat.fits"), read_sources(folder / "det_cat.fits")
    assert len(found) == 2 and np.array_equal(again["flux"], found["flux"])
    # 3000 and 3000 over the noise of 4; a segment down to 1.5 sigma holds almost all of a bright Gaussian
    assert found["flux"] == pytest.approx([3000.0, 750.0], rel=0.1)


def test_a_segmentation_of_the_user_takes_the_place_of_the_detection(folder):
    image, none = {"file": str(folder / "a.fits")}, {"file": str(folder / "none.reg")}
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[95:106, 45:56], labels[20:22, 20:22] = 3000, 17
    fits.writeto(folder / "own.fits", labels)
    own = {"segmentation": {"file": str(folder / "own.fits")}}
    spec = {"detection": SETTINGS, "own": own, "images": {"a": image}, "weights": {}, "bad_regions": {"a": none}}
    detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    found = read_sources(folder / "det_auto_cat.fits")
    # min_area is 10 and min_snr 10
    assert found["id"].tolist() == [17, 3000] and found["area"].tolist() == [4, 121] and found["snr"][0] < 10
    assert np.array_equal(fits.getdata(folder / "det_auto_seg.fits"), labels)
    assert np.isfinite(read_array(str(folder / "det_snr.fits"))).all()
