"""The detection works strip by strip: no result depends on the strips, and a large image gives the same sources.

The field has what strips may cut: sources of any size over several strips, blends, a saturated star with a trail, a
galaxy hidden beside a bright one, a shallow part, pixels without data, padding, and a background that varies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sep
from detection_field import SHAPE, gaussian, make_wcs
from unblend.core.strips import BitMask, Workspace
from unblend.core.types import Box, Footprint, Region
from unblend.detection import segmentation
from unblend.detection.region_edits import edit_segments
from unblend.detection.sky import detection_sky, subtract_sky
from unblend.detection.sources import DetectedSources, detect
from unblend.detection.stack import Stack, relative_noise_map, stack_images
from unblend.images.background import background_of
from unblend.images.unobserved import unobserved_mask
from unblend.io.scratch import on_disk

Y, X = np.indices(SHAPE)
NOISE = np.where(X > 150, 2.0, 1.0)
WHOLE = Workspace()
LARGE = Workspace(most_pixels=1000, sampled_pixels=SHAPE[0] * SHAPE[1] // 2)


def light() -> np.ndarray:
    rng = np.random.default_rng(7)
    image = gaussian(100, 60, 90_000.0, 9.0, q=0.6, theta=70.0) + gaussian(118, 76, 1500.0, 1.6)
    image += gaussian(50, 170, 400_000.0, 3.0)
    for _ in range(50):
        place = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1])
        image += gaussian(*place, 10 ** rng.uniform(2.0, 3.3), rng.uniform(1.5, 3.0), rng.uniform(0.4, 1.0), 40.0)
    return image


def bands() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the images and the weight maps of two bands."""
    images, weights, sky = {}, {}, light()
    for name, seed, noise, tilt in (("a", 1, NOISE, 0.0), ("b", 2, 1.5 * NOISE, 12.0)):
        rng = np.random.default_rng(seed)
        image = 3.0 + sky + noise * rng.normal(size=SHAPE) + tilt * X / SHAPE[1]
        image[(image > 8000) | ((abs(X - 170) < 2) & (abs(Y - 50) < 40))] = np.nan
        image[2 * Y + X < 60] = 0.0
        image[140:152, 30:44] = np.nan
        images[name], weights[name] = image, noise**-2.0 * np.ones(SHAPE)
    images["b"][:, 205:] = np.nan
    weights["a"][60:64, 100:140] = 0.0
    return images, weights


def found_with(work: Workspace, weighted: bool, **settings: object) -> tuple[Stack, DetectedSources]:
    images, weights = bands()
    weights = weights if weighted else {}
    missing = {name: unobserved_mask(image, work) for name, image in images.items()}
    sky = subtract_sky(images, missing, "auto", arcsec_per_pixel=15.0 / 60.0, work=work)
    assert list(sky.backgrounds) == ["b"]
    drawn = BitMask(SHAPE)
    drawn[98:101, 120:124] = True
    for mask in missing.values():
        mask |= drawn
    stack = stack_images(sky.images, missing, weights, work)
    relative = relative_noise_map(weights["a"], work)[0] if weighted else None
    limits = {"min_snr": 5.0, "second_pass": "auto", "never_filled": drawn, **settings}
    found = detect(
        stack, images["a"], missing["a"], make_wcs(), fwhm_pixels=3.3, relative_noise=relative, work=work, **limits
    )
    return stack, found


def products(work: Workspace, weighted: bool, **settings: object) -> Iterator[bytes]:
    stack, found = found_with(work, weighted, **settings)
    for image in (stack.data, stack.error, found.snr, found.segments):
        yield np.ascontiguousarray(image[:, :]).tobytes()
    yield found.catalogue.tobytes()
    yield repr([(h.parent, h.y, h.x, h.snr, h.pixels.sum()) for h in found.hidden]).encode()


@pytest.mark.parametrize("weighted", [True, False])
def test_no_result_depends_on_the_strips_nor_on_where_images_lie(weighted: bool, tmp_path: Path) -> None:
    whole = list(products(WHOLE, weighted))
    assert found_with(WHOLE, weighted)[1].hidden
    for work in (Workspace(rows=1), Workspace(rows=23), replace(on_disk(tmp_path), rows=61)):
        assert [a == b for a, b in zip(products(work, weighted), whole, strict=True)] == [True] * len(whole)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_large_image_gives_the_same_sources_as_a_small_one(weighted: bool, tmp_path: Path) -> None:
    large = list(products(LARGE, weighted))
    assert list(products(replace(LARGE, rows=17, new=on_disk(tmp_path).new), weighted)) == large
    one, other = (found_with(work, weighted)[1] for work in (WHOLE, LARGE))
    # half of 44 000 pixels give levels to 0.009 of the noise, which moves the outermost pixels of segments, divides a
    # few blends in another way, and may exchange the numbers of sources of the same flux
    bright = one.catalogue[one.catalogue["snr"] > 15.0]
    apart = np.hypot(*(np.subtract.outer(bright[k], other.catalogue[k]) for k in "yx")).min(axis=1)
    assert bright.size > 20 and np.mean(apart < 0.4) > 0.9
    assert other.rms == pytest.approx(one.rms, rel=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_areas_beside_brighter_ones_are_left_out_as_by_sep(seed: int) -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(300, 280)), 1.6)
    image = noise / noise.std()
    y, x = np.indices(image.shape)
    for _ in range(12):
        distance2 = ((y - rng.uniform(0, 300)) ** 2 + (x - rng.uniform(0, 280)) ** 2) / rng.uniform(2, 15) ** 2
        image += 10 ** rng.uniform(0.3, 3.3) * (1 + distance2 / 4) ** -2.5
    sep.set_extract_pixstack(image.size)
    settings = {"minarea": 8, "filter_kernel": None, "segmentation_map": True, "deblend_cont": 1.0}
    expected, before = (sep.extract(image, 1.5, clean=clean, **settings)[1] for clean in (True, False))
    assert before.max() > 1.1 * expected.max()
    for rows in (None, 29):
        found = segmentation.find_segments(
            image,
            np.zeros(image.shape, dtype=bool),
            threshold=1.5,
            min_area=8,
            deblend_levels=0,
            deblend_contrast=1.0,
            work=Workspace(rows=rows),
        )
        np.testing.assert_array_equal(found, expected)


def test_cells_leave_out_what_the_whole_image_does_where_they_reach_far_enough(monkeypatch) -> None:
    whole = found_with(WHOLE, False, deblend_contrast=1.0)[1]
    monkeypatch.setattr(segmentation, "CELL_PIXELS", 60)
    # ten times the sum of the lengths of the largest galaxy and of a noise peak
    monkeypatch.setattr(segmentation, "CLEANING_PIXELS", 150)
    cells = found_with(
        replace(WHOLE, most_pixels=1000, sampled_pixels=SHAPE[0] * SHAPE[1]), False, deblend_contrast=1.0
    )[1]
    assert cells.catalogue.tobytes() == whole.catalogue.tobytes()
    np.testing.assert_array_equal(cells.segments[:, :], whole.segments[:, :])


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("box", [15.0, 61.0])
def test_the_background_of_a_large_image_in_bins(monkeypatch, statistic: str, box: float) -> None:
    from unblend.images import background

    truth = 5.0 + 0.02 * X + 0.01 * Y + 0.5 * np.sin(X / 60.0)
    image = truth + np.random.default_rng(3).normal(0.0, 0.1, SHAPE)
    good = np.ones(SHAPE, dtype=bool)
    good[:70, :60] = False  # the boxes of pixels in the corner are doubled
    whole = background_of(image, good, box_pixels=box, statistic=statistic)
    monkeypatch.setattr(background, "BINNED_BOX", 20)
    monkeypatch.setattr(background, "MEDIAN_SIDE", 10)
    binned = [
        background_of(image, good, box_pixels=box, statistic=statistic, work=replace(LARGE, rows=rows))
        for rows in (9, 200)
    ]
    np.testing.assert_array_equal(*binned)
    # noise of a mean over the bins, 0.1 / sqrt(225) at least, and half a bin along the gradient
    assert np.abs(np.asarray(binned[0]) - np.asarray(whole))[good].max() < 0.12
    assert np.std((np.asarray(binned[0]) - np.asarray(whole))[good]) < 0.02
    assert np.isfinite(binned[0]).all()


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_boxes_are_not_doubled_for_pixels_without_data(monkeypatch, statistic: str) -> None:
    from unblend.images import background

    image = 5.0 + 0.02 * X + np.random.default_rng(4).normal(0.0, 0.1, SHAPE)
    good = X > 90  # nothing to the left of it
    sides = []
    for owner, name in ((background, "_means"), (background._Medians, "surfaces")):
        made = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *words, made=made: sides.append(words) or made(*words))
    found = background_of(image, good, box_pixels=41, statistic=statistic, needed=good)
    assert len(sides) <= 2  # those of pixels at the edge of the data are doubled
    everywhere = background_of(image, good, box_pixels=41, statistic=statistic)
    assert len(sides) >= 4
    np.testing.assert_array_equal(found, np.where(good, everywhere, 0.0))


def test_the_sky_of_a_large_image_is_that_of_a_small_one() -> None:
    image = bands()[0]["b"]
    missing = unobserved_mask(image, WHOLE)
    one, other = (detection_sky(image, missing, box_pixels=60, work=work) for work in (WHOLE, LARGE))
    assert other.variation == pytest.approx(one.variation, rel=0.03) and other.varies
    assert other.noise == pytest.approx(one.noise, rel=0.03)


@pytest.mark.parametrize("rows", [1, 7])
def test_edits_do_not_depend_on_the_strips(rows: int) -> None:
    segments = np.asarray(found_with(WHOLE, False)[1].segments)

    def block(y0: int, x0: int, y1: int, x1: int, text: str = "") -> Footprint:
        box = Box(y0, x0, y1, x1)
        return Footprint(Region("box", "image", ((0.0, 0.0),), text=text, line=1), box, np.ones(box.shape, dtype=bool))

    merge = [block(20, 100, 60, 150), block(50, 130, 90, 170), block(0, 0, 1, 1)]
    manual = [block(150, 30, 152, 200, "one"), block(151, 100, 190, 104, "one"), block(0, 0, 100, 100)]
    one, other = (edit_segments(segments, merge, manual, (), work) for work in (WHOLE, Workspace(rows=rows)))
    np.testing.assert_array_equal(one.segments, other.segments)
    assert (one.flags, one.warnings) == (other.flags, other.warnings) and len(one.warnings) == 2
