from __future__ import annotations

import numpy as np
from unblend.core.types import Box
from unblend.photometry.box_index import BoxIndex, edges


def test_all_boxes_that_share_a_pixel_are_found():
    rng = np.random.default_rng(7)
    start = rng.integers(-30, 300, (200, 2))
    boxes = np.hstack([start, start + rng.integers(1, 40, (200, 2))])
    boxes = np.vstack([boxes, [-30, -30, 340, 340], [5, 5, 5, 9]])  # one over everything, one empty
    index = BoxIndex(boxes)
    for wanted in [*boxes, np.array([0, 0, 1, 1]), np.array([-500, -500, -400, -400]), np.array([9, 9, 4, 12])]:
        expected = [k for k, box in enumerate(boxes) if Box(*box).overlaps(Box(*wanted))]
        assert index.meeting(wanted).tolist() == expected


def test_boxes_that_only_touch_do_not_meet():
    index = BoxIndex(np.array([[0, 0, 10, 10]]))
    assert index.meeting(np.array([10, 0, 20, 10])).size == 0 and index.meeting(np.array([9, 9, 20, 20])).tolist() == [
        0
    ]


def test_no_boxes():
    assert BoxIndex(np.zeros((0, 4), dtype=int)).meeting(np.array([0, 0, 5, 5])).size == 0


def test_the_cells_that_a_box_touches():
    index = BoxIndex(np.array([edges(Box(0, 15, 10, 33)), [5, 5, 6, 6]]), side=16)
    assert {cell: members.tolist() for cell, members in index.cells.items()} == {
        (0, 0): [0, 1], (0, 1): [0], (0, 2): [0]
    }  # fmt: skip
