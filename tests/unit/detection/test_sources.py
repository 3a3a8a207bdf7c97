"""Detection: segments, catalogue; and that a local change stays local, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from detection_field import SHAPE, SOURCES, gaussian, make_images, make_wcs
from unblend.core.errors import UnblendError
from unblend.detection import sources
from unblend.detection.stack import Stack, stack_images
from unblend.images.masks import region_mask


def run(
    images: dict[str, np.ndarray], masks: dict[str, np.ndarray] | None = None, **settings: float
) -> sources.DetectedSources:
    masks = masks or {}
    stack = stack_images(images, masks)
    mask = masks.get("a", np.zeros(SHAPE, dtype=bool))
    return sources.detect(stack, images["a"], mask, make_wcs(), **({"fwhm_pixels": 3.3} | settings))


def test_all_sources_are_found_brightest_first() -> None:
    result = run(make_images())
    catalogue = result.catalogue
    assert catalogue["id"].tolist() == [1, 2, 3, 4]
    for row, (y, x, flux) in zip(catalogue, SOURCES, strict=False):
        # Noise of a centroid: sigma / S/N, at most 2.5 / 10 = 0.25.
        assert (row["y"], row["x"]) == pytest.approx((y, x), abs=0.5)
        # The segment ends at a low isophote and misses up to a third of the faintest; the noise adds its own.
        assert 0.65 * flux < row["flux"] < flux + 3.0 * row["flux_err"]
        assert result.segments[round(y), round(x)] == row["id"]
    assert (np.diff(catalogue["flux"]) < 0).all()
    assert np.bincount(result.segments.ravel())[1:].tolist() == catalogue["area"].tolist()
    assert result.dropped["min_snr"] > 0
    assert result.segments.dtype == np.int32


def test_the_edit_stage_finds_the_same_fluxes_from_the_segments() -> None:
    images = make_images()
    result = run(images)
    stack, mask = stack_images(images, {}), np.zeros(SHAPE, dtype=bool)
    background, rms = sources.flux_level(images["a"], mask, result.segments)
    again = sources.measure(result.segments, stack, images["a"], mask, make_wcs(), background=background, rms=rms)
    assert again.tobytes() == result.catalogue.tobytes()


def test_minimum_area_and_snr() -> None:
    images = make_images()
    assert run(images, min_snr=25.0).catalogue.size == 2
    assert run(images, min_snr=2.0).catalogue.size > 4
    assert (run(images, min_snr=2.0, min_area=40).catalogue["area"] >= 40).all()


def test_close_pair_is_deblended_or_not_by_the_contrast() -> None:
    light = gaussian(100, 100, 2000, 2.5) + gaussian(100, 109, 1500, 2.5)
    images = {"a": light + np.random.default_rng(2).normal(size=SHAPE)}
    assert run(images).catalogue.size == 2
    assert run(images, deblend_contrast=1.0).catalogue.size == 1


def test_no_source_is_detected() -> None:
    images = {"a": np.random.default_rng(3).normal(size=SHAPE)}
    with pytest.raises(UnblendError, match=r"No source is detected: no 10 connected pixels are above 8 sigma.*lower"):
        run(images, threshold=8.0)
    with pytest.raises(UnblendError, match=r"candidates are below S/N 50"):
        run(images, min_snr=50.0)


def test_masked_pixels_are_neither_detected_nor_counted() -> None:
    images = make_images()
    bad = np.zeros(SHAPE, dtype=bool)
    bad[30:55, 40:60] = True
    hot = images["a"].copy()
    hot[bad] = 1e5
    result = run({"a": hot}, {"a": bad})
    assert (result.segments[bad] == 0).all()
    assert result.catalogue["flux"].max() < 1000


def test_a_local_change_changes_nothing_elsewhere_bit_for_bit() -> None:
    images = make_images()
    before = run(images)
    bad = np.zeros(SHAPE, dtype=bool)
    bad[39:42, 49:52] = True  # the core of the brightest, which stays the brightest
    after = run(images, {"a": bad, "b": bad})
    far = np.ones(SHAPE, dtype=bool)
    far[15:65, 25:75] = False
    assert np.array_equal(before.segments[far], after.segments[far])
    assert np.array_equal(before.snr[far], after.snr[far])
    assert before.catalogue[1:].tobytes() == after.catalogue[1:].tobytes()
    assert before.catalogue["flux"][0] > after.catalogue["flux"][0]
    first, second = (stack_images(images, masks) for masks in ({}, {"a": bad, "b": bad}))
    assert first.data[far].tobytes() == second.data[far].tobytes()
    assert first.error[far].tobytes() == second.error[far].tobytes()


def crowd(seed: int, bright: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=SHAPE)
    for _ in range(60):
        image += gaussian(rng.uniform(0, 200), rng.uniform(0, 220), 10 ** rng.uniform(1.5, 2.8), rng.uniform(1.5, 3.0))
    return image + (gaussian(10, 10, 400, 2.0) + gaussian(10, 15, 300, 2.0) if bright else 0.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_connected_area_is_deblended_separately(seed: int) -> None:
    found = [
        sources.find_segments(
            crowd(seed, bright),
            np.zeros(SHAPE, dtype=bool),
            threshold=1.0,
            min_area=10,
            deblend_levels=32,
            deblend_contrast=1e-3,
        )[50:]
        for bright in (False, True)
    ]
    # The same partition into segments; the numbers differ. Pairs of numbers are as many as segments on either side.
    pairs = np.unique(np.stack([part.ravel() for part in found]), axis=1).shape[1]
    assert pairs == np.unique(found[0]).size == np.unique(found[1]).size > 10


def test_measure_positions_moments_and_flags() -> None:
    light = gaussian(100.4, 90.2, 5000.0, 4.0, q=0.5, theta=30.0)
    stack = Stack(light, np.full(SHAPE, 0.1), {}, {}, {})
    segments = np.zeros(SHAPE, dtype=np.int32)
    segments[60:140, 50:130] = 7
    segments[10:13, 20:25] = 30
    mask = np.zeros(SHAPE, dtype=bool)
    image = light + 2.0
    catalogue = sources.measure(segments, stack, image, mask, make_wcs(), background=2.0, rms=0.5, flags={30: 4096})
    bright, dark = catalogue
    assert catalogue["id"].tolist() == [7, 30]
    assert (bright["y"], bright["x"]) == pytest.approx((100.4, 90.2), abs=1e-6)
    # sqrt(1/12 + 16), sqrt(1/12 + 4): a Gaussian sampled at pixel centres keeps its moments.
    assert (bright["a"], bright["b"], bright["theta"]) == pytest.approx((4.01040, 2.02073, 30.0), rel=1e-4)
    assert bright["flux"] == pytest.approx(5000.0, rel=1e-6)
    assert bright["flux_err"] == pytest.approx(0.5 * 80.0)
    assert bright["snr"] == bright["flux"] / bright["flux_err"]
    # A segment without flux has the geometric centre, (5² - 1)/12 + 1/12 and so on as moments.
    assert (dark["y"], dark["x"], dark["area"], dark["flag"]) == (11.0, 22.0, 15, 4096)
    assert (dark["a"], dark["b"], dark["theta"]) == pytest.approx((np.sqrt(25 / 12), np.sqrt(9 / 12), 0.0))
    ra, dec = make_wcs().all_pix2world(22.0, 11.0, 0)
    assert (dark["ra"], dark["dec"]) == pytest.approx((float(ra), float(dec)), abs=1e-10)


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_catalogue_regions_lie_on_their_sources(flip: float) -> None:
    wcs = make_wcs()
    c, s = np.cos(0.5), np.sin(0.5)
    wcs.wcs.cd = np.array([[c, -s], [s, c]]) @ np.diag([-flip, 1.0]) * 0.06 / 3600.0
    wcs.wcs.set()
    light = gaussian(100.4, 90.2, 5000.0, 6.0, q=0.4, theta=30.0)
    segments = (light > 0.5).astype(np.int32)
    stack = Stack(light, np.full(SHAPE, 0.1), {}, {}, {})
    catalogue = sources.measure(segments, stack, light, segments < 0, wcs, background=0.0, rms=0.5)
    (region,) = sources.catalogue_regions(catalogue, wcs)
    assert region.text == "1"
    mask = region_mask([region], wcs, SHAPE)
    y, x = np.indices(SHAPE)
    theta, a, b = np.deg2rad(catalogue["theta"][0]), 3 * catalogue["a"][0], 3 * catalogue["b"][0]
    dy, dx = y - catalogue["y"][0], x - catalogue["x"][0]
    u, v = dx * np.cos(theta) + dy * np.sin(theta), dy * np.cos(theta) - dx * np.sin(theta)
    assert np.array_equal(mask, (u / a) ** 2 + (v / b) ** 2 <= 1)


def test_measure_without_usable_pixels_gives_nan() -> None:
    segments = np.zeros(SHAPE, dtype=np.int32)
    segments[10:13, 20:25] = 1
    mask = segments > 0
    stack = Stack(np.full(SHAPE, np.nan), np.full(SHAPE, np.inf), {}, {}, {})
    (row,) = sources.measure(segments, stack, np.ones(SHAPE), mask, make_wcs(), background=0.0, rms=1.0)
    assert np.isnan([row["flux"], row["flux_err"], row["snr"]]).all()
    assert (row["y"], row["x"]) == (11.0, 22.0)
    partly = mask & (np.indices(SHAPE)[1] > 20)
    (row,) = sources.measure(segments, stack, np.ones(SHAPE), partly, make_wcs(), background=0.0, rms=1.0)
    assert (row["flux"], row["flux_err"]) == pytest.approx((3.0, np.sqrt(3.0)))


def test_no_sky_for_the_flux_level() -> None:
    with pytest.raises(UnblendError, match="outside the segments"):
        sources.flux_level(np.ones((3, 3)), np.zeros((3, 3), dtype=bool), np.ones((3, 3), dtype=int))
