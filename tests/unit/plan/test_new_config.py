from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from instrument_fields import INSTRUMENTS, write_instrument
from unblend.plan.config import load_config
from unblend.plan.found_images import find_images
from unblend.plan.new_config import Choices, bands_on_grid, config_text, path_in, sharpest


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("field") / "images"
    for seed, name in enumerate(("jwst", "hst", "muse")):
        write_instrument(folder, INSTRUMENTS[name], seed)
    return find_images([str(folder)])[0]


def text_of(images, folder, **changes):
    choices = Choices("f200w", (150.0, 2.0), "a test", {}, {})
    return config_text(images, replace(choices, **changes), folder)


def folder_of(images):
    return Path(images[0].file).parents[1] / "field"


def test_the_detection_is_on_the_sharpest_and_reddest_image(images):
    assert sharpest(images).band == "f200w"  # as sharp as f814w
    assert bands_on_grid(images, sharpest(images)) == ["f814w"]
    without = [replace(image, psf=None) if image.band == "f200w" else image for image in images]
    assert sharpest(without).band == "f814w"


def test_the_text_is_a_configuration(images):
    raw = yaml.safe_load(text_of(images, folder_of(images)))
    config = load_config(raw)
    assert config.detection.bands == ["f200w"] and config.models.psf == "f200w"
    muse = config.bands["muse-white"]
    assert (muse.zero_point, muse.wavelength) == ("auto", 0.6664) and muse.image == "../images/IMAGE_UDF-10.fits[DATA]"
    assert muse.weight is not None and muse.weight.kind == "variance"
    assert config.bands["f200w"].psf_kind == "optical" and config.bands["f200w"].psf_oversampling == 4


def test_every_value_has_its_reason(images):
    lines = [line for line in text_of(images, folder_of(images)).splitlines() if line and not line.startswith("#")]
    assert all(" # " in line for line in lines if not line.endswith(":"))


def test_choices_of_the_user(images):
    contradicting = [replace(i, zero_point_problem="two zero points") if i.band == "f814w" else i for i in images]
    text = text_of(contradicting, folder_of(images), zero_points={"f814w": 25.9}, samplings={"f814w": 3.0})
    band = yaml.safe_load(text)["bands"]["f814w"]
    assert (band["zero_point"], band["psf_oversampling"]) == (25.9, 3) and "CHECK: given; two zero points" in text


def test_what_is_missing(images):
    bare = [replace(i, psf=None, weight=None, zero_points=(), zero_point_problem="no unit") for i in images]
    text = text_of(bare, folder_of(images))
    band = yaml.safe_load(text)["bands"]["f814w"]
    assert band["zero_point"] is None and band["psf"] == "f814w-psf.fits" and "weight" not in band
    assert "MISSING" in text and "no magnitudes: no unit" in text


def test_a_large_mosaic_is_cut(images):
    large = [replace(i, shape=(20000, 20000)) if i.band == "muse-white" else i for i in images]
    band = yaml.safe_load(text_of(large, folder_of(images)))["bands"]["muse-white"]
    assert "image" not in band and band["mosaic"].endswith("[DATA]") and band["cutout_size"] == 120


def test_odd_names_are_quoted(images):
    odd = [replace(i, band={"muse-white": "24", "f814w": "on"}.get(i.band, i.band)) for i in images]
    assert set(yaml.safe_load(text_of(odd, folder_of(images)))["bands"]) == {"f200w", "24", "on"}


def test_comments_cannot_break_the_file(images):
    odd = [replace(i, instrument="a\nb: [\x07") for i in images]
    assert set(yaml.safe_load(text_of(odd, folder_of(images)))["bands"]) == {i.band for i in images}


def test_names_of_files(tmp_path):
    assert path_in(tmp_path / "field", str(tmp_path / "x y.fits[SCI]")) == '"../x y.fits[SCI]"'
    assert path_in(tmp_path / "field", "/elsewhere/x.fits") == '"/elsewhere/x.fits"'
