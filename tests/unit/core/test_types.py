from __future__ import annotations

import numpy as np
import pytest
from unblend.core.types import Box, Region

BOX = Box(2, 3, 6, 10)


def test_shape_slices_and_emptiness():
    assert BOX.shape == (4, 7) and not BOX.is_empty
    assert np.zeros((20, 20))[BOX.slices].shape == (4, 7)
    assert Box.of_shape((5, 8)) == Box(0, 0, 5, 8)
    for empty in (Box(2, 3, 2, 10), Box(2, 3, 6, 3), Box(5, 5, 1, 1)):
        assert empty.is_empty and empty.shape[0] * empty.shape[1] == 0


@pytest.mark.parametrize(
    ("centre", "half", "box"),
    [
        ((10.0, 20.0), 2, Box(8, 18, 13, 23)),
        ((10.4, 19.6), 1.2, Box(8, 18, 13, 23)),
        ((-3.0, 0.0), 0, Box(-3, 0, -2, 1)),
    ],
)
def test_around_is_a_square_of_odd_side(centre, half, box):
    found = Box.around(*centre, half)
    assert found == box and found.shape[0] == found.shape[1] and found.shape[0] % 2 == 1


def test_intersection_and_union():
    other = Box(4, 0, 9, 5)
    assert BOX & other == other & BOX == Box(4, 3, 6, 5)
    assert BOX | other == other | BOX == Box(2, 0, 9, 10)
    assert BOX & BOX == BOX | BOX == BOX


@pytest.mark.parametrize("far", [Box(6, 3, 8, 10), Box(20, 20, 30, 30), Box(-9, -9, -1, -1)])
def test_boxes_that_do_not_overlap(far):
    assert not BOX.overlaps(far) and not far.overlaps(BOX)
    assert (BOX & far).is_empty and (BOX & far).shape[0] * (BOX & far).shape[1] == 0


def test_containment():
    assert Box(3, 4, 5, 9) in BOX and BOX in BOX
    assert Box(3, 4, 7, 9) not in BOX and BOX not in Box(3, 4, 5, 9)


def test_shift_grow_and_index_within():
    assert BOX.shifted(-2, 5) == Box(0, 8, 4, 15)
    assert BOX.shifted(-2, 5).shifted(2, -5) == BOX
    assert BOX.grown(1) == Box(1, 2, 7, 11) and BOX.grown(3).grown(-3) == BOX
    image = np.arange(200).reshape(10, 20)
    inner = Box(3, 5, 5, 8)
    np.testing.assert_array_equal(image[BOX.slices][inner.within(BOX)], image[inner.slices])


def test_boxes_sort_and_hash():
    assert sorted([Box(1, 0, 2, 1), Box(0, 5, 1, 6)])[0].x0 == 5
    assert len({Box(0, 0, 1, 1), Box(0, 0, 1, 1)}) == 1


def test_boxes_are_frozen():
    with pytest.raises(AttributeError):
        BOX.y0 = 3  # type: ignore[misc]


@pytest.mark.parametrize("box", [Box(0, 0, 10, 7), Box(-3, 5, 9, 8), Box(2, 2, 2, 9)])
def test_tiles_cover_a_box_once(box):
    count = np.zeros((20, 20), dtype=int)
    for tile in box.tiles(4):
        assert max(tile.shape) <= 4 and tile in box and not tile.is_empty
        count[tile.shifted(5, 5).slices] += 1
    expected = np.zeros((20, 20), dtype=int)
    expected[box.shifted(5, 5).slices] = 1
    np.testing.assert_array_equal(count, expected)


def test_strips_and_the_middle_of_a_box():
    strips = Box(2, 3, 9, 5).strips(3)
    assert strips == [Box(2, 3, 5, 5), Box(5, 3, 8, 5), Box(8, 3, 9, 5)]
    assert Box(0, 0, 10, 4).middle(6) == Box(2, 0, 8, 4)


def test_a_region_in_another_image():
    size = ((1.0, "pixel"), (1.0, "pixel"))
    assert Region("circle", "image", ((5.0, 6.0),), size).moved(-2.0, 1.0).points == ((3.0, 7.0),)
    on_sky = Region("circle", "icrs", ((150.0, 2.0),), size)
    assert on_sky.moved(-2.0, 1.0) == on_sky
