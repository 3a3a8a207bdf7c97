from __future__ import annotations

import json

import cut_mosaic
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from unblend.core.errors import InputError
from unblend.field.failed_band import failure_in
from unblend.io.header_zero_point import read_zero_point
from unblend.io.images import read_array, read_wcs

TARGET = {"ra": 53.0, "dec": -27.0}


def mosaic(path, side, value):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [TARGET["ra"], TARGET["dec"]]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(side + 1) / 2] * 2, [-1 / 3600, 1 / 3600]
    fits.writeto(path, np.full((side, side), value, dtype=np.float32), wcs.to_header())


def spec(folder, weight, needed=True):
    path = folder / "spec.json"
    named = {"file": str(folder / weight)} if weight else None
    made = {"mosaic": {"file": str(folder / "image.fits")}, "weight": named, "target": TARGET, "size_arcsec": 11.0}
    made["needed"] = needed
    path.write_text(json.dumps(made))
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cut_mosaic, "record_work", lambda *what: None)
    for name, side, value in (("image.fits", 41, 1.0), ("weight.fits", 41, 4.0), ("other.fits", 61, 4.0)):
        mosaic(tmp_path / name, side, value)
    return tmp_path


def test_image_and_weight_are_cut_alike(folder):
    cut_mosaic.main(spec(folder, "weight.fits"), str(folder / "a.fits"), str(folder / "w.fits"))
    image, weight = read_array(str(folder / "a.fits")), read_array(str(folder / "w.fits"))
    assert image.shape == weight.shape and 11 <= image.shape[0] < 41
    assert (image == 1).all() and (weight == 4).all()


def test_a_weight_map_on_another_grid_is_refused(folder):
    with pytest.raises(InputError, match=r"other\.fits has 61 x 61 pixels and its mosaic 41 x 41: the weight map"):
        cut_mosaic.main(spec(folder, "other.fits"), str(folder / "a.fits"), str(folder / "w.fits"))


def test_a_mosaic_that_the_detection_does_not_need_is_replaced_by_nothing_and_a_reason(folder):
    cutout = folder / "blurred" / "cutout.fits"
    cut_mosaic.main(spec(folder, "other.fits", needed=False), str(cutout), str(folder / "w.fits"))
    reason = failure_in(cutout)
    assert reason.startswith("bands.blurred.mosaic: ") and "61 x 61 pixels and its mosaic 41 x 41" in reason
    assert np.isnan(read_array(str(cutout))).all() and not read_array(str(folder / "w.fits")).any()
    centre = read_wcs(str(cutout)).wcs_pix2world(15.5, 15.5, 0)
    assert centre == pytest.approx([TARGET["ra"], TARGET["dec"]])
    # and the next run reads it again
    cut_mosaic.main(spec(folder, "weight.fits", needed=False), str(cutout), str(folder / "w.fits"))
    assert failure_in(cutout) is None and (read_array(str(cutout)) == 1).all()


def test_a_tile_of_an_image_that_was_cut_has_nothing_and_the_reason(folder):
    content = (folder / "image.fits").read_bytes()
    (folder / "image.fits").write_bytes(content[:4000])
    named = {"image": {"file": str(folder / "image.fits")}, "weight": None, "window": [20, 0, 41, 30]}
    (folder / "spec.json").write_text(json.dumps(named))
    cut_mosaic.main(str(folder / "spec.json"), str(folder / "a.fits"), str(folder / "w.fits"))
    image = read_array(str(folder / "a.fits"))
    assert image.shape == (21, 30) and np.isnan(image).all()
    assert "image.fits cannot be read" in failure_in(folder / "a.fits")


def test_without_a_weight_map_an_empty_one_is_written(folder):
    cut_mosaic.main(spec(folder, ""), str(folder / "a.fits"), str(folder / "w.fits"))
    assert not read_array(str(folder / "w.fits")).any()


def test_the_zero_point_of_the_mosaic_can_be_read_from_the_cutout(folder):
    with fits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].header["MAGZPT"] = (23.0, "photometric zero point, Vega")
        hdus[0].header["BUNIT"] = "DN"
        hdus[0].header["HISTORY"] = "drizzled"
    cut_mosaic.main(spec(folder, ""), str(folder / "a.fits"), str(folder / "w.fits"))
    header = fits.getheader(folder / "a.fits")
    assert header["BUNIT"] == "DN" and header.comments["MAGZPT"] == "photometric zero point, Vega"
    with pytest.raises(InputError, match="Vega magnitude"):
        read_zero_point(str(folder / "a.fits"))
