"""The mistakes that the fit of a band shows are said: header, PSF, sign; a band without any has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import Blur, Grid, inclined_discs, psf_of, wcs_of
from unblend.core.field_psf import FieldPsf
from unblend.field.band_data import BandData
from unblend.field.band_mistakes import find_mistakes
from unblend.models.templates import TemplateEngine
from unblend.photometry.correlated_noise import measure_noise
from unblend.photometry.weight_rescaling import rescale_weights

GRID = Grid(scale=0.15, side=121)
SHAPE = (GRID.side, GRID.side)
PLACES = [(1.0, -1.0), (6.0, 5.0), (-6.0, 4.0), (5.0, -5.5), (-5.0, -6.0), (0.0, 6.5)]
FLUX = 4000.0 * 0.8 ** np.arange(len(PLACES))
PSF = FieldPsf.of(psf_of(Blur(3.0)))


@pytest.fixture(scope="module")
def drawn():
    """Return models, engine, templates and the image of a band."""
    models = inclined_discs(PLACES)
    engine = TemplateEngine(wcs_of(GRID), SHAPE, PSF)
    image = np.random.default_rng(1).normal(size=SHAPE)
    for (i, model), flux in zip(models.items(), FLUX, strict=True):
        template = engine.template(i, model)
        image[template.box.slices] += flux * template.data
    return models, engine, image


def narrower():
    """Return the PSF with pixels that are too small."""
    return FieldPsf(tuple(replace(psf, oversampling=1.7) for psf in PSF.psfs))


def all_found(models, engine, image):
    """Return sentences and cards."""
    data = BandData(image, np.ones(SHAPE), np.zeros(SHAPE, bool), engine.wcs, engine.psf, 3.0, "image")
    templates = [engine.template(i, model) for i, model in models.items()]
    fit = rescale_weights(image, data.weight, templates, fwhm=3.0, noise_origin="image", name="k")
    detected = np.zeros(len(models), dtype=[("id", "i4"), ("flux", "f8")])
    detected["id"], detected["flux"] = list(models), FLUX
    noise = measure_noise(fit, templates, name="k")
    return find_mistakes("k", data, fit, templates, detected, noise, engine, models)


def mistakes(models, engine, image):
    """Return the sentences."""
    return all_found(models, engine, image)[0]


def test_the_widths_of_sources_agree_with_a_right_psf_and_not_with_a_wrong_one(drawn):
    models, engine, image = drawn
    found = {}
    for name, used in (("right", engine), ("narrow", engine.with_psf(narrower()))):
        found[name] = all_found(models, used, image)[1]
    right, narrow = found["right"], found["narrow"]
    assert right["WIDTHNUM"] >= 3 and abs(right["WIDTHS"] - 1.0) < 3.0 * right["WIDTHERR"] + 0.01
    assert narrow["WIDTHS"] > 1.2
    # galaxies alone
    assert right["STARSNUM"] == 0 and "STARS" not in right


def test_a_good_band_has_no_mistakes(drawn):
    assert mistakes(*drawn) == []


def test_a_mirrored_image_and_one_of_another_field(drawn):
    models, engine, image = drawn
    said = mistakes(models, engine, np.ascontiguousarray(image[::-1]))
    assert any("when the image is mirrored along Y" in sentence for sentence in said)
    elsewhere = np.random.default_rng(5).normal(size=SHAPE)
    for y, x in np.random.default_rng(6).integers(15, 105, (8, 2)):
        stamp = engine.template(1, models[1])
        elsewhere += np.roll(np.pad(3000.0 * stamp.data, [(0, SHAPE[0] - stamp.data.shape[0])] * 2), (y, x), (0, 1))
    said = mistakes(models, engine, elsewhere)
    assert any("bright peaks of the image have no source" in sentence for sentence in said)


def test_a_negative_image_and_a_wrong_psf(drawn):
    models, engine, image = drawn
    assert any("are negative" in sentence for sentence in mistakes(models, engine, -image))
    said = mistakes(models, engine.with_psf(narrower()), image)
    assert any("times too narrow" in sentence for sentence in said)


def test_steps_larger_than_the_noise_are_no_change_of_the_noise(drawn):
    """Most pixels of many blocks had one value: "the noise changes by a factor of 2391.8 more than the weights say"."""
    models, engine, image = drawn
    step = 3.0  # the noise is 1
    assert not any("the noise of the pixels changes" in said for said in mistakes(models, engine, image))
    steps = step * np.rint((image - 0.4) / step)
    assert not any("the noise of the pixels changes" in said for said in mistakes(models, engine, steps))
