"""A JWST mosaic whose depth changes by a factor 3 along a line: detection noise. Skipped where the data are absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from unblend.detection.sources import detect
from unblend.detection.stack import relative_noise_map, stack_images
from unblend.field.detection_mask import detection_mask
from unblend.field.weight_maps import read_weight
from unblend.images.masks import grow_mask
from unblend.io.images import read_array, read_wcs

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.integration]
DATA = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "uds-jwst"


def load(band):
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not here")
    name = str(DATA / f"{band}-sci.fits")
    image, wcs = read_array(name), read_wcs(name)
    weight = read_weight({"file": str(DATA / f"{band}-wht.fits"), "kind": "weight"}, image.shape)
    return image, wcs, weight, detection_mask(str(DATA / "none.reg"), wcs, image, weight)


def test_the_noise_follows_the_weight_map_across_the_line():
    image, wcs, weight, mask = load("f444w")
    stack = stack_images({"f444w": image}, {"f444w": mask}, {"f444w": weight})
    assert stack.warnings == []
    ratio = stack.error[~mask] * weight[~mask] ** 0.5
    assert ratio == pytest.approx(np.full(ratio.size, stack.noise_scale["f444w"]), rel=1e-6)
    deep, shallow = (stack.error[~mask & part] for part in (weight > np.median(weight), weight <= np.median(weight)))
    assert 3.0 < np.median(shallow) / np.percentile(deep, 10) < 4.5
    # Away from sources the pixels scatter by one noise on either side; drizzling correlates them unequally.
    relative = relative_noise_map(weight)[0]
    found = detect(stack, image, mask, wcs, fwhm_pixels=2.0, threshold=3.0, min_area=6, relative_noise=relative)
    sky = ~grow_mask(found.segments > 0, 5.0) & ~mask
    residual = (image - stack.background["f444w"]) / stack.error
    line = np.sqrt(np.percentile(deep, 10) * np.median(shallow))
    for side in (sky & (stack.error < line), sky & (stack.error >= line)):
        values = residual[side]
        assert values.size > 3000
        assert 1.4826 * np.median(np.abs(values - np.median(values))) == pytest.approx(1.0, abs=0.2)


def test_a_map_that_is_no_inverse_variance_gives_its_shape_alone():
    image, _, weight, mask = load("f770w")
    stack = stack_images({"f770w": image}, {"f770w": mask}, {"f770w": weight})
    plain = stack_images({"f770w": image}, {"f770w": mask})
    assert stack.noise_scale["f770w"] > 100
    # the unit of weights has no meaning; that of a noise has
    assert not stack.warnings
    noise = stack_images({"f770w": image}, {"f770w": mask}, {"f770w": weight}, in_image_units=["f770w"])
    assert "check bands.f770w.weight" in noise.warnings[0]
    assert stack.rms["f770w"] == pytest.approx(plain.rms["f770w"], rel=0.03)
