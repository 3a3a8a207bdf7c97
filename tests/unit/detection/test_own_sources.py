"""Sources that the user gives: segments grown around positions, and what is measured in them."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from detection_field import SHAPE, SOURCES, gaussian, make_images, make_wcs
from unblend.core.errors import UnblendError
from unblend.core.strips import BitMask, Derived, Workspace
from unblend.core.types import Box
from unblend.detection import own_sources
from unblend.detection.detection_image import detection_image
from unblend.detection.own_sources import flood, grow_segments, measure_own, nearest_position
from unblend.detection.sources import DetectedSources, detect
from unblend.detection.stack import stack_images

FWHM = 3.3
ALL = np.ones(SHAPE, dtype=bool)


def grow(ids, y, x, snr, usable=ALL, **settings) -> np.ndarray:
    settings = {"threshold": 1.5, "fwhm_pixels": FWHM} | settings
    return grow_segments(np.array(ids), np.array(y, dtype=float), np.array(x, dtype=float), snr, usable, **settings)


# The watershed ------------------------------------------------------------------------------------------------------


def test_a_ridge_is_parted_at_its_lowest_pixel():
    height = np.array([[9.0, 7.0, 2.0, 4.0, 8.0, 1.0]])
    markers = np.array([[1, 0, 0, 0, 2, 0]])
    # the lowest pixel of the saddle follows the higher of its two neighbours
    assert flood(height, markers, np.ones((1, 6), dtype=bool)).tolist() == [[1, 1, 1, 2, 2, 2]]


def test_pixels_connected_with_no_marker_have_no_label():
    allowed = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 0]], dtype=bool)
    markers = np.array([[5, 0, 0, 0, 8], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert flood(np.ones((3, 5)), markers, allowed).tolist() == [[5, 5, 0, 8, 8], [0] * 5, [0] * 5]


def flood_by_hand(height: np.ndarray, markers: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the watershed by flooding from a queue of pixels, highest first."""
    rank = np.empty(height.size, dtype=int)
    rank[np.argsort(-height, axis=None, kind="stable")] = np.arange(height.size)
    rank = rank.reshape(height.shape)
    result, queue = np.zeros_like(markers), []

    def add(y: int, x: int, label: int) -> None:
        result[y, x] = label
        for v in range(max(y - 1, 0), min(y + 2, height.shape[0])):
            for u in range(max(x - 1, 0), min(x + 2, height.shape[1])):
                step = max(rank[y, x], rank[v, u]), min(rank[y, x], rank[v, u])
                if allowed[v, u] and not markers[v, u]:
                    heapq.heappush(queue, (step, v, u, label))

    for y, x in np.argwhere(markers > 0):
        add(y, x, markers[y, x])
    while queue:
        _, y, x, label = heapq.heappop(queue)
        if not result[y, x]:
            add(y, x, label)
    return result


@pytest.mark.parametrize("seed", range(5))
def test_the_forest_is_the_watershed_of_a_queue(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height = rng.normal(size=(25, 30))
    if seed % 2:
        height = np.rint(height)  # many equal pixels
    allowed, markers = rng.random(height.shape) < 0.8, np.zeros(height.shape, dtype=int)
    for label in range(1, 7):
        y, x = rng.integers(0, 24), rng.integers(0, 29)
        markers[y : y + 2, x : x + 2] = label
    markers[~allowed] = 0
    found = flood(height, markers, allowed)
    assert np.array_equal(found, flood_by_hand(height, markers, allowed))
    assert np.array_equal(found[markers > 0], markers[markers > 0])


def test_the_watershed_does_not_depend_on_far_pixels():
    rng = np.random.default_rng(7)
    height, markers = rng.normal(size=(20, 60)), np.zeros((20, 60), dtype=int)
    markers[5, 5], markers[12, 9], markers[10, 50] = 1, 2, 3
    allowed = np.ones(height.shape, dtype=bool)
    allowed[:, 30] = False
    before = flood(height, markers, allowed)
    height[:, 31:] += rng.normal(size=(20, 29))
    assert np.array_equal(flood(height, markers, allowed)[:, :30], before[:, :30])


# Segments around positions ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def snr() -> np.ndarray:
    return detection_image(stack_images(make_images(), {}), FWHM)[0]


def test_segments_reach_down_to_the_threshold_and_keep_ids(snr):
    y, x, _ = np.array(SOURCES[:3]).T
    segments = grow([40, 7, 900], y, x, snr)
    assert segments.dtype == np.int32 and np.unique(segments).tolist() == [0, 7, 40, 900]
    automatic = detect(stack_images(make_images(), {}), make_images()["a"], ~ALL, make_wcs(), fwhm_pixels=FWHM)
    for id_, number in ((40, 1), (7, 2), (900, 3)):
        own, expected = segments == id_, automatic.segments == number
        # alone in its connected pixels, a source has the segment of the automatic detection
        assert np.count_nonzero(own ^ expected) <= 0.05 * np.count_nonzero(expected)
        assert (snr[own] > 1.5).mean() > 0.95


def test_a_position_without_light_has_a_segment_of_the_psf(snr):
    segments = grow([5], [20.2], [200.4], np.zeros(SHAPE))
    y, x = np.nonzero(segments)
    assert np.hypot(y - 20.2, x - 200.4).max() <= FWHM
    assert y.size == pytest.approx(np.pi * FWHM**2, rel=0.1)


def test_a_psf_narrower_than_a_pixel_leaves_the_pixel_of_the_position():
    assert np.argwhere(grow([5], [20.4], [200.4], np.zeros(SHAPE), fwhm_pixels=0.3)).tolist() == [[20, 200]]


def test_a_blend_is_parted_between_the_positions():
    light = gaussian(100, 100, 2000, 2.5) + gaussian(100, 109, 1500, 2.5)
    segments = grow([1, 2], [100, 100], [100, 109], light)
    assert segments[100, 103] == 1 and segments[100, 107] == 2
    assert np.count_nonzero(segments == 1) == pytest.approx(np.count_nonzero(segments == 2), rel=0.15)


def test_a_faint_source_on_the_wing_of_a_bright_one_keeps_the_core_of_its_position():
    light = gaussian(100, 100, 20000, 2.5)
    segments = grow([1, 2], [100, 100], [100, 106.3], light, fwhm_pixels=6.0)
    y, x = np.nonzero(segments == 2)
    core = np.hypot(y - 100, x - 106.3) <= 3.0
    distance = np.hypot(*(np.indices(SHAPE) - np.array([100, 106.3])[:, None, None]))
    nearer = distance < np.hypot(*(np.indices(SHAPE) - np.array([100, 100])[:, None, None]))
    assert core.sum() == np.count_nonzero((distance <= 3.0) & nearer)


def test_two_positions_in_neighbouring_pixels_have_a_segment_each():
    segments = grow([1, 2], [50.49, 50.0], [50.0, 50.51], np.zeros(SHAPE))
    assert segments[50, 50] == 1 and segments[50, 51] == 2


def test_positions_at_the_edges_and_on_unobserved_pixels():
    usable = ALL.copy()
    usable[100:, :] = False
    segments = grow([1, 2, 3, 4], [-0.5, 100.2, 150, 60], [0, 50, 50, SHAPE[1] - 0.51], np.zeros(SHAPE), usable)
    assert not segments[100:].any()
    # 2 keeps the half of its disc on observed pixels, 3 has none
    assert np.unique(segments).tolist() == [0, 1, 2, 4]


def test_the_order_of_the_positions_does_not_matter(snr):
    y, x, _ = np.array(SOURCES).T
    ids = np.array([3, 9, 4, 8, 1])
    assert np.array_equal(grow(ids, y, x, snr), grow(ids[::-1], y[::-1], x[::-1], snr))


def test_the_watershed_follows_the_surface_brightness_on_a_step_of_the_depth():
    light = gaussian(100, 100, 3000, 4.0) + gaussian(100, 116, 2000, 4.0)
    noise = np.where(np.arange(SHAPE[1]) < 104, 4.0, 1.0) * np.ones(SHAPE)
    parted = [grow([1, 2], [100, 100], [100, 116], light / noise, noise=n) for n in (noise, None)]
    even = grow([1, 2], [100, 100], [100, 116], light)
    inside = (parted[0] > 0) & (even > 0)
    assert np.array_equal(parted[0][inside], even[inside])
    assert not np.array_equal(parted[1][inside], even[inside])


# In parts -----------------------------------------------------------------------------------------------------------


def crowd(number: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return IDs of positions in different pixels, y and x: many in blends, some on the edges and on whole pixels."""
    rng = np.random.default_rng(11)
    y, x = rng.uniform(-0.5, SHAPE[0] - 0.51, number), rng.uniform(-0.5, SHAPE[1] - 0.51, number)
    y[:20], x[:20] = 100 + rng.normal(0, 8, 20), 110 + rng.normal(0, 8, 20)
    y[20:30], x[20:30] = np.rint(y[20:30]), np.rint(x[20:30])
    return 1 + 31_000_000 * rng.permutation(number), y, x


def nearest_by_hand(y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """Return the numbers of the nearest positions from the distances of all pixels from all positions."""
    rows, columns = np.indices(SHAPE)
    distance = np.hypot(rows - y[:, None, None], columns - x[:, None, None])
    last = y.size - np.argmin(distance[::-1], axis=0)  # of several nearest positions the last one
    return np.where(distance.min(axis=0) <= radius, last, 0)


@pytest.mark.parametrize("at_once", [1, 1000, 1_000_000])
@pytest.mark.parametrize("radius", [0.0, 0.6, 3.0, 30.0])
def test_nearest_positions_in_boxes(monkeypatch, radius, at_once):
    monkeypatch.setattr(own_sources, "PIXELS_AT_ONCE", at_once)
    _, y, x = crowd()
    expected = nearest_by_hand(y, x, radius)
    for box in (Box.of_shape(SHAPE), Box(99, 0, 100, SHAPE[1]), Box(90, 100, 131, 117), Box(0, 219, 200, 220)):
        assert np.array_equal(nearest_position(y, x, radius, box), expected[box.slices])


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_segments_do_not_depend_on_the_strips(snr, rows, noisy):
    ids, y, x = crowd()
    light = snr + 30 * gaussian(100, 110, 1000.0, 12.0)
    usable = ALL & (np.random.default_rng(2).random(SHAPE) > 0.05)
    noise = np.where(np.arange(SHAPE[1]) < 104, 4.0, 1.0) * np.ones(SHAPE) if noisy else None
    settings = {"threshold": 1.0, "fwhm_pixels": FWHM, "noise": noise}
    whole = grow_segments(ids, y, x, light, usable, **settings)
    assert np.count_nonzero(np.isin(whole[90:110, 100:120], ids[:20])) > 300  # a blend of twenty
    windows = Derived(SHAPE, lambda window: light[window])
    parts = grow_segments(ids, y, x, windows, BitMask.of(usable), work=Workspace(rows=rows), **settings)
    assert np.array_equal(parts, whole)


@pytest.mark.parametrize("seed", range(3))
def test_segments_are_the_watershed_of_the_whole_image(seed):
    """Flooding all connected areas at once, with the cores of all positions as markers, gives the same."""
    light = np.random.default_rng(seed).normal(size=SHAPE)
    ids, y, x = crowd()
    found = grow_segments(ids, y, x, light, ALL, threshold=0.4, fwhm_pixels=FWHM)
    core = nearest_by_hand(y, x, 0.5 * FWHM)
    allowed = (light > 0.4) | (nearest_by_hand(y, x, FWHM) > 0)
    flooded = flood(light, core, allowed)
    assert np.array_equal(found, np.where(flooded > 0, ids[flooded - 1], 0))


# Measurement --------------------------------------------------------------------------------------------------------


def measured(segments: np.ndarray) -> DetectedSources:
    images = make_images()
    stack = stack_images(images, {})
    return measure_own(segments, detection_image(stack, FWHM)[0], stack, images["a"], ~ALL, make_wcs())


def test_the_segments_of_the_automatic_detection_give_its_catalogue():
    images = make_images()
    automatic = detect(stack_images(images, {}), images["a"], ~ALL, make_wcs(), fwhm_pixels=FWHM)
    own = measured(automatic.segments)
    assert own.catalogue.tobytes() == automatic.catalogue.tobytes()
    assert (own.background, own.rms) == (automatic.background, automatic.rms)
    assert own.snr.tobytes() == automatic.snr.tobytes()


def test_ids_are_kept_and_no_source_is_too_faint_or_too_small():
    segments = np.zeros(SHAPE, dtype=np.int32)
    segments[10:12, 200], segments[36:46, 46:56] = 1_999_999_999, 12
    found = measured(segments).catalogue
    assert found["id"].tolist() == [12, 1_999_999_999] and found["area"].tolist() == [100, 2]
    assert found["snr"][1] < 10.0 < found["snr"][0]
    assert (found["y"][1], found["x"][1]) == (10.5, 200.0)


def test_a_map_without_sky():
    with pytest.raises(UnblendError, match=r"No usable pixel of flux_band is outside the segments.*leave sky \(0\)"):
        measured(np.ones(SHAPE, dtype=np.int32))
