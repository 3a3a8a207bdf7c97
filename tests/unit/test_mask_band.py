"""The mask of a band with a level of saturation, what it makes of the flags, and the warning without one."""

from __future__ import annotations

import json
import re

import extract_fluxes
import mask_band
import numpy as np
import pytest
from astropy.io import fits
from gaussians import gaussian
from unblend.core.flags import Flag
from unblend.field.failed_band import failure_of
from unblend.io.images import read_header, read_labels

SHAPE = (40, 60)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with an image of a star clipped at 2000, and the spec of its mask."""
    monkeypatch.setattr(mask_band, "record_work", lambda *what: None)
    y, x = np.indices(SHAPE)
    image = 5000.0 * np.exp(-((y - 20.0) ** 2 + (x - 15.0) ** 2) / 8.0) + np.random.default_rng(1).normal(size=SHAPE)
    fits.writeto(tmp_path / "image.fits", np.minimum(image, 2000.0).astype(np.float32))
    none = {"file": str(tmp_path / "none.reg")}
    spec = {"image": {"file": str(tmp_path / "image.fits")}, "weight": None}
    spec |= {"border_regions": none, "bad_regions": none}
    (tmp_path / "bands/k").mkdir(parents=True)

    def make(saturation):
        path = tmp_path / "spec.json"
        path.write_text(json.dumps({**spec, "saturation": saturation}))
        mask = tmp_path / "bands/k/mask.fits"
        mask_band.main(str(path), str(mask), str(tmp_path / "mask.reg"))
        return read_labels(str(mask)), read_header(str(mask))

    make.results = tmp_path
    return make


def test_saturated_pixels_are_masked_and_counted(folder, caplog):
    mask, header = folder(1900.0)
    y, x = np.indices(SHAPE)
    # 5000 exp(-r²/8) is 1900 at r = 2.78
    np.testing.assert_array_equal(mask, np.where(np.hypot(y - 20, x - 15) < 2.78, 2, 0))
    assert header["NSATURAT"] == header["NMASKED"] == (mask == 2).sum() == 21
    assert "saturated" not in caplog.text.replace("saturated: 21", "")


def test_sources_whose_light_falls_on_saturated_pixels_are_flagged(folder):
    folder(1900.0)
    templates = [gaussian(1, 20, 15, SHAPE), gaussian(2, 20, 20, SHAPE), gaussian(3, 20, 40, SHAPE)]
    flags = extract_fluxes.saturation_flags(templates, {"band": "k"}, folder.results)
    # source 2, 5 pixels from the star, has 3 % of its light there
    assert flags.tolist() == [int(Flag.SATURATED), int(Flag.SATURATED), 0]


def test_a_flat_top_without_a_level_is_masked_with_a_warning(folder, caplog):
    mask, header = folder(None)
    y, x = np.indices(SHAPE)
    # 5000 exp(-r²/8) is 2000 at r = 2.71
    np.testing.assert_array_equal(mask, np.where(np.hypot(y - 20, x - 15) < 2.71, 2, 0))
    (text,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert re.search(r"image.fits: 21 pixels, such as x=1\d y=2\d \(1-based\), have 2000 within 0.1 %", text)
    assert "are taken as saturated, and masked. Set bands.k.saturation to the level" in text
    assert header["NSATURAT"] == 21


def test_a_level_above_the_maximum_says_that_a_flat_top_is_none(folder, caplog):
    assert not folder(1e9)[0].any() and "saturated, and" not in caplog.text


@pytest.mark.parametrize("shape", [SHAPE, (39, 60)])
def test_a_weight_map_that_cannot_be_used_masks_the_band_and_says_why(folder, shape):
    spec = {**json.loads((folder.results / "spec.json").read_text()), "saturation": None} if folder(1900.0) else {}
    fits.writeto(folder.results / "weight.fits", np.random.default_rng(1).normal(size=shape).astype(np.float32))
    spec["weight"] = {"file": str(folder.results / "weight.fits"), "kind": "weight"}
    (folder.results / "spec.json").write_text(json.dumps(spec))
    mask = folder.results / "bands/k/mask.fits"
    mask_band.main(str(folder.results / "spec.json"), str(mask), str(folder.results / "mask.reg"))
    assert read_labels(str(mask)).all() and read_labels(str(mask)).shape == SHAPE
    assert re.search(r"negative in \d+%|60 x 39 pixels and its image 60 x 40", failure_of("k", folder.results))
