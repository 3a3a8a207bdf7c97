"""Sums of products of many stamps: stamps that touch a small part of the image are multiplied there all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .box_index import BoxIndex

SMALLEST_PART = 16
"""Smallest side in pixels of the parts of the image in which stamps are multiplied."""


def single_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread: with more, the last bit of its sums depends on their number."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def stacked(
    part: np.ndarray, members: np.ndarray, boxes: np.ndarray, stamps: Sequence[np.ndarray] | Mapping[int, np.ndarray]
) -> np.ndarray:
    """Return what some stamps have in a part of the image, float64, shape (members, ny, nx); 0 outside a stamp.

    Parameters
    ----------
    part : int array (4,)
        y0, x0, y1, x1.
    members : int array
        Indices of the stamps, which must touch the part.
    boxes : int array (n, 4)
        Boxes of all stamps.
    stamps : sequence or mapping of index to array
        Of any type of float, each with the shape of its box.
    """
    stack = np.zeros((len(members), part[2] - part[0], part[3] - part[1]))
    own = boxes[members]
    common = np.hstack([np.maximum(own[:, :2], part[:2]), np.minimum(own[:, 2:], part[2:])])
    # plain integers: a Box for each stamp would take longer than its pixels
    in_part, in_own = common - np.tile(part[:2], 2), common - np.tile(own[:, :2], 2)
    for row, (k, (y0, x0, y1, x1), (v0, u0, v1, u1)) in enumerate(
        zip(members.tolist(), in_part.tolist(), in_own.tolist(), strict=True)
    ):
        stack[row, y0:y1, x0:x1] = stamps[k][v0:v1, u0:u1]
    return stack


def pair_products(
    boxes_a: np.ndarray, make_a: Callable[[int], np.ndarray], boxes_b: np.ndarray, b: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (i, j, value) with i <= j: the sums of a_i × b_j over common pixels, for pairs whose `boxes_a` overlap.

    Parameters
    ----------
    boxes_a, boxes_b : arrays (n, 4)
        Not empty, columns y0, x0, y1, x1; each box of `b` lies inside its box of `a`.
    make_a : callable
        Index -> array of the shape of its box. Called once per stamp, in the order of its first row, so that only the
        stamps that cross one row of the image are in memory.
    b : sequence of arrays
        Of any type of float, so that float32 stays in memory.
    """
    n, index = len(boxes_a), BoxIndex(boxes_a, _side(boxes_a))
    i, j = overlapping_pairs(boxes_a, index)
    keys, value = i * n + j, np.zeros(len(i))
    made: dict[int, np.ndarray] = {}
    with single_thread():
        for (row, column), members in sorted(index.cells.items()):
            for k in members[[k not in made for k in members.tolist()]].tolist():
                made[k] = make_a(k)
            part = np.array([row, column, row + 1, column + 1]) * index.side
            places, products = _products_in(part, members, boxes_a, made, boxes_b, b)
            key = members[places[0]] * n + members[places[1]]
            found = np.minimum(np.searchsorted(keys, key), max(len(keys) - 1, 0))
            overlap = keys[found] == key
            value[found[overlap]] += products[overlap]
            for k in members[(boxes_a[members, 2] <= part[2]) & (boxes_a[members, 3] <= part[3])].tolist():
                del made[k]
    return i, j, value


def _products_in(
    part: np.ndarray,
    members: np.ndarray,
    boxes_a: np.ndarray,
    a: Mapping[int, np.ndarray],
    boxes_b: np.ndarray,
    b: Sequence[np.ndarray],
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the places (row <= column) of pairs of members, and the sums of their products in a part of the image."""
    own = boxes_b[members]
    inside = np.flatnonzero(((own[:, :2] < part[2:]) & (own[:, 2:] > part[:2])).all(axis=1))
    stack_a, stack_b = stacked(part, members, boxes_a, a), stacked(part, members[inside], boxes_b, b)
    rows, columns = np.nonzero(np.arange(len(members))[:, None] <= inside)
    return (rows, inside[columns]), np.tensordot(stack_a, stack_b, ((1, 2), (1, 2)))[rows, columns]


def _side(boxes: np.ndarray) -> int:
    """Return the side of the parts of the image: half of a typical stamp is fastest."""
    return max(SMALLEST_PART, int(np.median(boxes[:, 2:] - boxes[:, :2])) // 2) if len(boxes) else SMALLEST_PART


def overlapping_pairs(boxes: np.ndarray, index: BoxIndex) -> tuple[np.ndarray, np.ndarray]:
    """Return indices (i, j), i <= j, of all pairs of boxes (n, 4) that share a pixel; each box does so with itself.

    `index` is that of the boxes. The pairs are in the order of i, then of j.
    """
    later = [(met := index.meeting(box))[np.searchsorted(met, k) :] for k, box in enumerate(boxes)]
    i = np.repeat(np.arange(len(boxes)), [len(others) for others in later])
    return i, np.concatenate([np.zeros(0, dtype=int), *later])
