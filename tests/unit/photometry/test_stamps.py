from __future__ import annotations

import numpy as np
from unblend.core.types import Box
from unblend.photometry.box_index import BoxIndex
from unblend.photometry.stamps import overlapping_pairs, pair_products, stacked


def test_pairs_are_all_overlaps():
    rng = np.random.default_rng(7)
    start = rng.integers(0, 60, (80, 2))
    boxes = np.hstack([start, start + rng.integers(1, 15, (80, 2))])
    expected = [(i, j) for i in range(80) for j in range(i, 80) if Box(*boxes[i]).overlaps(Box(*boxes[j]))]
    assert list(zip(*overlapping_pairs(boxes, BoxIndex(boxes)), strict=True)) == expected


def test_products_of_overlapping_boxes_by_hand():
    # the boxes share the pixel (1, 1) only, the third box is apart
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])
    stamps = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]]), np.array([[9.0]])]
    i, j, value = pair_products(boxes, lambda k: stamps[k], boxes, stamps)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1), (2, 2)]
    assert value.tolist() == [30.0, 20.0, 174.0, 81.0]


def random_stamps(count, rng, *, grown=0):
    """Return boxes, larger ones around them, and stamps on each."""
    start = rng.integers(0, 150, (count, 2))
    inner = np.hstack([start, start + rng.integers(1, 50, (count, 2))])
    outer = inner + grown * np.array([-1, -1, 1, 1])
    return (
        inner,
        outer,
        [rng.normal(size=box[2:] - box[:2]) for box in inner],
        [rng.normal(size=box[2:] - box[:2]) for box in outer],
    )


def test_products_of_many_stamps_agree_with_plain_sums():
    rng = np.random.default_rng(8)
    inner, outer, b, a = random_stamps(70, rng, grown=4)
    outer, inner, offset = outer + 4, inner + 4, 220

    def canvas(box, stamp):
        image = np.zeros((offset, offset))
        image[box[0] : box[2], box[1] : box[3]] = stamp
        return image

    made = []

    def make(k):
        made.append(k)
        return a[k]

    i, j, value = pair_products(outer, make, inner, [stamp.astype(np.float32) for stamp in b])
    assert sorted(made) == list(range(70))
    rounded = [canvas(box, stamp.astype(np.float32)) for box, stamp in zip(inner, b, strict=True)]
    whole = [canvas(box, stamp) for box, stamp in zip(outer, a, strict=True)]
    expected = [np.sum(whole[p] * rounded[q]) for p, q in zip(i, j, strict=True)]
    np.testing.assert_allclose(value, expected, atol=1e-10)
    assert len(i) == sum(Box(*outer[p]).overlaps(Box(*outer[q])) for p in range(70) for q in range(p, 70))


def test_only_the_stamps_across_a_row_of_the_image_are_kept():
    boxes = np.array([[y, 0, y + 20, 20] for y in range(0, 2000, 10)])
    alive = set()

    class Counted(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    largest = [0]

    def make(k):
        stamp = np.ones((20, 20)).view(Counted)
        alive.add(id(stamp))
        largest[0] = max(largest[0], len(alive))
        return stamp

    _, _, value = pair_products(boxes, make, boxes, [np.ones((20, 20))] * len(boxes))
    assert set(value) == {400.0, 200.0} and largest[0] <= 10


def test_stamps_on_a_part_of_the_image():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 4]])
    stamps = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.arange(6.0).reshape(2, 3)]
    found = stacked(np.array([1, 1, 3, 3]), np.array([0, 1]), boxes, stamps)
    assert found.tolist() == [[[4.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [3.0, 4.0]]]
    assert stacked(np.array([1, 1, 3, 3]), np.array([], dtype=int), boxes, stamps).shape == (0, 2, 2)


def test_no_stamps():
    i, j, value = pair_products(
        np.zeros((0, 4), dtype=int), lambda k: np.zeros((1, 1)), np.zeros((0, 4), dtype=int), []
    )
    assert len(i) == len(j) == len(value) == 0
