"""Connected areas and segments across the borders of strips, against scipy on the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import find_objects, label
from unblend.core.areas import connected_areas, extents, known_ids, number_of_areas, only_ids, whole_segments
from unblend.core.strips import Workspace

MASK = np.random.default_rng(3).random((97, 83)) < 0.33
LABELS, NUMBER = label(MASK, np.ones((3, 3)))
ROWS = [1, 2, 7, 1000]


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two arrays of numbers differ by the numbers alone."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1).shape[1]
    return pairs == np.unique(first).size == np.unique(second).size


@pytest.mark.parametrize("rows", ROWS)
def test_areas_are_those_of_the_whole_image(rows):
    areas = connected_areas(MASK.shape, lambda strip: MASK[strip.slices], Workspace(rows=rows))
    assert len(areas) == NUMBER and same_partition(areas[:, :], LABELS)
    assert np.array_equal(areas[:, :] > 0, MASK)
    number = np.arange(NUMBER + 1)
    number[5] = 0
    assert not areas.renumbered(number)[:, :][areas[:, :] == 5].any()


def test_a_mask_without_pixels_has_no_area():
    for count in (lambda *mask: len(connected_areas(*mask)), number_of_areas):
        assert count((5, 6), lambda strip: np.zeros(strip.core.shape, dtype=bool), Workspace(rows=2)) == 0


@pytest.mark.parametrize("rows", ROWS)
def test_areas_that_share_corners_only_are_counted_apart(rows):
    number = number_of_areas(MASK.shape, lambda strip: MASK[strip.slices], Workspace(rows=rows))
    assert number == label(MASK)[1] > NUMBER


@pytest.mark.parametrize("rows", ROWS)
def test_ids_of_segments_and_segments_of_ids(rows):
    segments = np.where(LABELS % 3 == 1, LABELS + 2_000_000_000, LABELS)
    work = Workspace(rows=rows)
    assert np.array_equal(known_ids(segments, work), np.unique(segments[segments > 0]))
    assert known_ids(np.zeros((3, 4), dtype=int), work).size == 0
    before, ids = segments.copy(), np.array([5, 2_000_000_001, 77_777])
    chosen = only_ids(segments, ids)
    assert np.array_equal(chosen[10:60, 3:], np.where(np.isin(segments, ids), segments, 0)[10:60, 3:])
    assert known_ids(chosen, work).tolist() == [5, 2_000_000_001] and np.array_equal(segments, before)


@pytest.mark.parametrize("rows", ROWS)
def test_extents_of_segments_with_large_ids(rows):
    segments = np.where(LABELS % 3 == 1, LABELS + 2_000_000_000, 0)
    found = extents(segments, Workspace(rows=rows))
    windows = find_objects(LABELS)
    assert found.ids.tolist() == [i + 2_000_000_000 for i in range(1, NUMBER + 1, 3)]
    for i, box in found.boxes().items():
        assert box.slices == windows[i - 2_000_000_001]
    assert found.area.tolist() == [np.count_nonzero(segments == i) for i in found.ids]


@pytest.mark.parametrize("rows", ROWS)
def test_segments_come_whole_and_in_the_order_of_their_pixels(rows):
    values = np.random.default_rng(4).normal(size=MASK.shape)
    seen = []
    for number, y, x, light in whole_segments(LABELS, [values], Workspace(rows=rows)):
        for i in np.unique(number).tolist():
            own = number == i
            rows_of, columns = np.nonzero(i == LABELS)
            assert y[own].tolist() == rows_of.tolist() and x[own].tolist() == columns.tolist()
            np.testing.assert_array_equal(light[own], values[rows_of, columns])
            seen.append(i)
    assert sorted(seen) == list(range(1, NUMBER + 1))
