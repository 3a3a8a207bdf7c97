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
from unblend.core.coordinates import sky_to_pixel
from unblend.core.flags import Flag
from unblend.io.images import read_array, read_header
from unblend.io.regions import read_regions
from unblend.io.tables import read_sources, read_table_header

RMS = np.where(np.arange(SHAPE[1]) < 110, 1.0, 4.0) * np.ones((SHAPE[0], 1))
SETTINGS = {
    "bands": ["a"], "flux_band": "a", "conv_fwhm": 0.2, "threshold": 1.5, "min_area": 10, "min_snr": 10.0,
    "deblend_levels": 32, "deblend_contrast": 0.005, "second_pass": "auto", "background": "auto",
}  # fmt: skip
PRODUCTS = {name: f"det_{name}.fits" for name in ("stack", "error", "background", "snr", "auto_seg", "auto_cat")}
PRODUCTS["hidden"] = "det_hidden.reg"


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
    spec = {"detection": SETTINGS, "own": {}, "psf": {}, "images": {"a": image}, "weights": {"a": weight}}
    spec |= {"bad_regions": {"a": none}, "saturation": {"a": None}}
    detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    scale = re.search(r"image a scatter by \S+, (\S+) times the noise of its map", caplog.text)
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
    spec = {**regions, "flux_image": image, "flux_weight": weight, "saturation": None}
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
    spec = {
        "detection": SETTINGS,
        "own": {},
        "psf": {},
        "images": {"a": image},
        "weights": {},
        "bad_regions": {"a": none},
    }
    spec["saturation"] = {"a": None}
    detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    background = read_array(str(folder / "det_background.fits"))
    assert np.std(background - ramp) < 0.5 and np.median(background) == pytest.approx(0.0, abs=0.5)
    regions = dict.fromkeys(("merge_regions", "manual_regions", "bad_regions"), none)
    edited = [str(folder / name) for name in ("det_seg.fits", "det_cat.fits", "det_cat.reg")]
    automatic = [str(folder / f"det_auto_{name}.fits") for name in ("seg", "cat")]
    spec = {**regions, "flux_image": image, "flux_weight": None, "saturation": None}
    edit_segments.main(write_spec(folder, **spec), *automatic, *edited)
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
    spec = {
        "detection": SETTINGS,
        "own": own,
        "psf": {},
        "images": {"a": image},
        "weights": {},
        "bad_regions": {"a": none},
    }
    spec["saturation"] = {"a": None}
    detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    found = read_sources(folder / "det_auto_cat.fits")
    # min_area is 10 and min_snr 10
    assert found["id"].tolist() == [17, 3000] and found["area"].tolist() == [4, 121] and found["snr"][0] < 10
    assert np.array_equal(fits.getdata(folder / "det_auto_seg.fits"), labels)
    assert np.isfinite(read_array(str(folder / "det_snr.fits"))).all()


@pytest.mark.parametrize("row_by_row", [False, True])
def test_the_automatic_segments_as_those_of_the_user_give_the_same_products(folder, monkeypatch, row_by_row):
    image, none = {"file": str(folder / "a.fits")}, {"file": str(folder / "none.reg")}
    weight = {"file": str(folder / "a-rms.fits"), "kind": "rms"}
    spec = {"detection": SETTINGS, "psf": {}, "images": {"a": image}, "weights": {"a": weight}}
    spec |= {"bad_regions": {"a": none}, "saturation": {"a": None}}
    first, second = folder / "automatic", folder / "own"
    for results in (first, second):
        own = {"segmentation": {"file": str(first / "det_auto_seg.fits")}} if results == second else {}
        products = (str(results / name) for name in PRODUCTS.values())
        detect_sources.main(write_spec(folder, **spec, own=own), *products)
        if row_by_row:
            monkeypatch.setattr("unblend.core.strips.STRIP_PIXELS", SHAPE[1])
    for name in ("det_stack.fits", "det_error.fits", "det_background.fits", "det_auto_seg.fits"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    rows = [read_sources(results / "det_auto_cat.fits") for results in (first, second)]
    assert len(rows[0]) == 2 and rows[0].tobytes() == rows[1].tobytes()


@pytest.mark.parametrize("mode", ["auto", "propose", "off"])
def test_a_source_hidden_in_the_segment_of_a_bright_one(folder, caplog, mode):
    image, none = {"file": str(folder / "hidden.fits")}, {"file": str(folder / "none.reg")}
    y, x = np.indices(SHAPE)
    star = 2e5 * (1 + ((y - 60) ** 2 + (x - 60) ** 2) / 2.2**2) ** -2.5 / 20
    light = star + gaussian(60, 75, 500.0, 1.6) + gaussian(150, 150, 3000.0, 2.5)
    noise = np.random.default_rng(1).normal(size=SHAPE)
    fits.writeto(folder / "hidden.fits", (light + noise).astype(np.float32), make_wcs().to_header())
    settings = SETTINGS | {"second_pass": mode, "deblend_contrast": 0.05}
    spec = {
        "detection": settings,
        "own": {},
        "psf": {},
        "images": {"a": image},
        "weights": {},
        "bad_regions": {"a": none},
    }
    spec["saturation"] = {"a": None}
    with caplog.at_level("INFO"):
        detect_sources.main(write_spec(folder, **spec), *(str(folder / name) for name in PRODUCTS.values()))
    found, drawn = read_sources(folder / "det_auto_cat.fits"), read_regions(folder / "det_hidden.reg")
    added = [1, 2, 10_000_001] if mode == "auto" else [1, 2]
    assert found["id"].tolist() == added
    assert found["flag"].tolist() == {
        "auto": [0, 0, int(Flag.SECOND_DETECTION)], "propose": [int(Flag.HIDDEN_NEIGHBOUR), 0], "off": [0, 0]
    }[mode]  # fmt: skip
    assert [region.text for region in drawn] == ([] if mode == "off" else ["hidden 1 in 1"])
    if mode != "off":
        ra, dec = drawn[0].points[0]
        at_y, at_x = sky_to_pixel(make_wcs(), np.array([ra]), np.array([dec]))
        assert (at_y[0], at_x[0]) == pytest.approx((60, 75), abs=1)
        assert "1 sources hidden in the segments of 1" in caplog.text

    # A manual source is numbered as without the second detection; the flags of the others stay.
    (folder / "manual.reg").write_text("image\ncircle(20,180,4)\n")
    regions = {"merge_regions": none, "manual_regions": {"file": str(folder / "manual.reg")}, "bad_regions": none}
    edited = [str(folder / name) for name in ("det_seg.fits", "det_cat.fits", "det_cat.reg")]
    edit_segments.main(
        write_spec(folder, **regions, flux_image=image, flux_weight=None, saturation=None),
        str(folder / "det_auto_seg.fits"), str(folder / "det_auto_cat.fits"), *edited,
    )  # fmt: skip
    after = read_sources(folder / "det_cat.fits")
    assert after["id"].tolist() == [1, 2, 3, *added[2:]]
    assert after["flag"][after["id"] != 3].tolist() == found["flag"].tolist()


@pytest.mark.parametrize("mode", ["auto", "propose", "off"])
def test_an_unresolved_pair_is_two_sources(folder, mode):
    """Two Gaussians 4 pixels apart, 2.4 of their sigma, in one segment; the PSF has a sigma of 1.3 pixels."""
    light = gaussian(100, 50, 3000.0, 1.7) + gaussian(100, 54, 2000.0, 1.6) + gaussian(150, 165, 3000.0, 1.8, q=0.6)
    noise = np.random.default_rng(1).normal(size=SHAPE)
    fits.writeto(folder / "pair.fits", (light + noise).astype(np.float32), make_wcs().to_header())
    y, x = np.indices((31, 31)) - 15
    fits.writeto(folder / "psf.fits", np.exp(-(y**2 + x**2) / 2 / 1.3**2).astype(np.float32))
    image, none = {"file": str(folder / "pair.fits")}, {"file": str(folder / "none.reg")}
    psf = {"name": "a", "psf": {"file": str(folder / "psf.fits")}, "oversampling": 1.0, "kind": "effective"}
    psf |= {"sum": "unit", "centre": "centroid", "image": image}
    spec = {"detection": SETTINGS | {"second_pass": mode, "deblend_contrast": 0.5}, "own": {}, "weights": {}}
    spec |= {"images": {"a": image}, "bad_regions": {"a": none}, "saturation": {"a": None}}
    found, segments = detected(folder, spec | {"psf": {} if mode == "off" else psf})
    drawn = read_regions(folder / "det_hidden.reg")
    assert [region.text for region in drawn] == ([] if mode == "off" else ["hidden 1 in 1"])
    assert found["id"].tolist() == [1, 2, *([10_000_001] if mode == "auto" else [])]
    flags = {"auto": [0, 0, int(Flag.SECOND_DETECTION)], "propose": [int(Flag.HIDDEN_NEIGHBOUR), 0], "off": [0, 0]}
    assert found["flag"].tolist() == flags[mode]
    assert segments[100, 50] == 1 and segments[100, 55] == (10_000_001 if mode == "auto" else 1)
    if mode == "auto":
        assert found["x"][[0, 2]] == pytest.approx([50, 54], abs=1.5)  # of the light in each part


def star_with_a_saturated_core(folder, value):
    """Write an image with a bright star whose core has the given value, and return it with its spec."""
    image = np.random.default_rng(2).normal(size=SHAPE) + gaussian(100, 50, 5e5, 4.0) + gaussian(150, 165, 3000.0, 2.5)
    image[image > 500.0] = value
    fits.writeto(folder / "a.fits", image.astype(np.float32), make_wcs().to_header(), overwrite=True)
    spec = {
        "detection": SETTINGS,
        "own": {},
        "psf": {},
        "images": {"a": {"file": str(folder / "a.fits")}},
        "weights": {},
    }
    return spec | {"bad_regions": {"a": {"file": str(folder / "none.reg")}}, "saturation": {"a": None}}


def detected(folder, spec):
    products = [str(folder / name) for name in PRODUCTS.values()]
    detect_sources.main(write_spec(folder, **spec), *products)
    return read_sources(folder / "det_auto_cat.fits"), read_array(str(folder / PRODUCTS["auto_seg"]))


@pytest.mark.parametrize(("value", "level"), [(np.nan, None), (900.0, 600.0), (900.0, None)])
def test_a_saturated_star_is_one_source(folder, value, level):
    found, segments = detected(folder, star_with_a_saturated_core(folder, value) | {"saturation": {"a": level}})
    assert len(found) == 2
    assert segments[100, 50] == 1 and (found["y"][0], found["x"][0]) == pytest.approx((100, 50), abs=0.1)
    assert np.isnan(read_array(str(folder / "det_stack.fits"))[100, 50])


def test_a_region_drawn_on_a_star_is_not_filled(folder):
    spec = star_with_a_saturated_core(folder, 500.0)
    (folder / "none.reg").write_text("image\ncircle(51, 101, 6)\n")
    _, segments = detected(folder, spec)
    assert segments[100, 50] == 0 and segments[100, 58] > 0
