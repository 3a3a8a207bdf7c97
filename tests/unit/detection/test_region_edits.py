"""IDs, pixels and warnings of merged segments and manual sources."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.core.types import Box, Footprint, Region
from unblend.detection.region_edits import add_manual, edit_segments, merge_segments

MERGED, MANUAL = int(Flag.MERGED_SEGMENTS), int(Flag.MANUAL_DETECTION)


def segments() -> np.ndarray:
    """Return sources 1, 2, 3, 4 of 2×2 pixels, in a row with a gap of one."""
    image = np.zeros((6, 14), dtype=np.int32)
    for i in range(4):
        image[2:4, 1 + 3 * i : 3 + 3 * i] = i + 1
    return image


def block(y0: int, x0: int, y1: int, x1: int, text: str = "", line: int = 1) -> Footprint:
    box = Box(y0, x0, y1, x1) & Box(0, 0, 6, 14)
    return Footprint(Region("box", "image", ((0.0, 0.0),), text=text, line=line), box, np.ones(box.shape, dtype=bool))


def test_the_lowest_id_remains_and_other_segments_are_not_changed() -> None:
    edited = merge_segments(segments(), [block(2, 5, 3, 8)])
    assert np.unique(edited.segments).tolist() == [0, 1, 2, 4]
    assert np.array_equal(edited.segments == 2, np.isin(segments(), [2, 3]))
    assert edited.flags == {2: MERGED}
    assert edited.warnings == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_regions_that_share_a_segment_merge_all(order: tuple[int, int]) -> None:
    merges = [block(2, 2, 3, 5), block(2, 5, 3, 8)]
    edited = merge_segments(segments(), [merges[i] for i in order])
    assert np.array_equal(edited.segments == 1, np.isin(segments(), [1, 2, 3]))
    assert edited.flags == {1: MERGED}


def test_a_merge_of_one_or_no_segment_changes_nothing() -> None:
    edited = merge_segments(segments(), [block(2, 1, 4, 3), block(0, 0, 1, 14, line=5)])
    assert np.array_equal(edited.segments, segments())
    assert edited.flags == {}
    assert edited.warnings == ["The merge region in line 5 touches no segment and has no effect."]


def test_manual_ids_follow_the_automatic_ones_in_the_order_of_the_file() -> None:
    first, second = block(0, 0, 1, 2), block(5, 5, 6, 9)
    one = add_manual(segments(), [first], last_id=4)
    two = add_manual(segments(), [first, second], last_id=4)
    assert one.flags == {5: MANUAL}
    assert two.flags == {5: MANUAL, 6: MANUAL}
    assert np.array_equal(one.segments == 5, two.segments == 5)
    assert np.array_equal(two.segments * (two.segments < 5), segments())


def test_regions_of_one_text_are_one_source() -> None:
    manual = [block(0, 0, 1, 2, "x"), block(5, 5, 6, 9), block(0, 8, 1, 10, " x "), block(5, 0, 6, 1)]
    edited = add_manual(segments(), manual, last_id=4)
    assert np.bincount(edited.segments.ravel())[5:].tolist() == [4, 4, 1]


def test_manual_sources_take_pixels_of_other_segments() -> None:
    edited = add_manual(segments(), [block(2, 2, 4, 4)], last_id=4)
    assert (edited.segments[2:4, 2:4] == 5).all()
    assert (edited.segments[2:4, 1] == 1).all()
    assert edited.warnings == []


def test_a_manual_region_does_not_remove_a_source() -> None:
    edited = add_manual(segments(), [block(1, 0, 5, 5, "core", line=3)], last_id=4)
    assert np.array_equal(edited.segments == 1, segments() == 1)
    assert np.array_equal(edited.segments == 2, (segments() == 2) & (np.indices((6, 14))[1] == 5))
    assert (edited.segments == 5).sum() == 20 - 4
    (warning,) = edited.warnings
    assert warning.startswith("The manual region in line 3 (core) covers all of source 1, which keeps its pixels")


def test_a_manual_region_equal_to_a_segment_is_not_added() -> None:
    edited = add_manual(segments(), [block(2, 1, 4, 3), block(0, 0, 1, 1)], last_id=4)
    assert np.unique(edited.segments).tolist() == [0, 1, 2, 3, 4, 6]
    assert "Source 5 is not added" in edited.warnings[1]


def test_a_region_outside_the_image_uses_an_id() -> None:
    edited = add_manual(segments(), [block(20, 20, 25, 25, line=9), block(0, 0, 1, 2)], last_id=4)
    assert edited.flags == {6: MANUAL}
    assert edited.warnings == ["The manual region in line 9 has no free pixel on the image. Source 5 is not added."]


def test_merging_the_last_source_does_not_change_manual_ids() -> None:
    edited = edit_segments(segments(), [block(2, 8, 3, 11)], [block(0, 0, 1, 2)])
    assert np.unique(edited.segments).tolist() == [0, 1, 2, 3, 5]
    assert edited.flags == {3: MERGED, 5: MANUAL}


def test_inputs_are_not_changed_and_no_edit_is_the_identity() -> None:
    automatic = segments()
    edited = edit_segments(automatic, [], [])
    assert np.array_equal(edited.segments, automatic)
    assert edited.flags == {}
    edit_segments(automatic, [block(0, 0, 6, 14)], [block(2, 2, 4, 4)])
    assert np.array_equal(automatic, segments())
