from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from unblend.plan.config import Weight
from unblend.plan.mosaic_checks import bad_mosaic

HERE, ELSEWHERE = {"ra": 53.0, "dec": -27.0}, {"ra": 54.0, "dec": -27.0}


def write(path, side):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [HERE["ra"], HERE["dec"]]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(side + 1) / 2] * 2, [-1 / 3600, 1 / 3600]
    fits.writeto(path, np.ones((side, side), dtype=np.float32), wcs.to_header())


def found(folder, target=HERE, mosaic="m.fits", weight=None):
    band = SimpleNamespace(
        name="ks", mosaic=mosaic, cutout_size=9.0, weight=weight and Weight(file=weight, kind="weight")
    )
    inputs = SimpleNamespace(path=lambda name: name if "://" in name else str(folder / name))
    return list(bad_mosaic(band, inputs, target))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "m.fits", 41)
    write(tmp_path / "w.fits", 41)
    write(tmp_path / "small.fits", 31)
    (tmp_path / "text.fits").write_text("words\n" * 1000)
    return tmp_path


def test_a_mosaic_around_the_target_is_right(folder):
    assert found(folder) == [] and found(folder, weight="w.fits") == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"target": ELSEWHERE}, r"bands.ks.mosaic: .*m.fits \(41 x 41 pixels\) does not cover the target"),
        ({"mosaic": "text.fits"}, r"bands.ks.mosaic: .*text.fits cannot be opened: it does not begin as a FITS"),
        ({"mosaic": "m.fits[SCI]"}, r"bands.ks.mosaic: .*m.fits has no extension 'SCI'"),
        ({"weight": "small.fits"}, r"bands.ks.weight: it has 31 x 31 pixels and the mosaic 41 x 41"),
        ({"weight": "text.fits"}, r"bands.ks.weight: .*text.fits cannot be opened"),
    ],
)
def test_what_is_wrong_is_a_sentence(folder, given, sentence):
    (line,) = found(folder, **given)
    assert re.match(sentence, line)


def test_what_lies_in_the_network_is_read_by_its_job(folder):
    assert found(folder, mosaic="http://x.org/m.fits", target=ELSEWHERE, weight="https://x.org/w.fits") == []
