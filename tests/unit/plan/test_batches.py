from __future__ import annotations

import math

import numpy as np
import pytest
from unblend.plan.batches import GROUPS_PER_BATCH, assign_batches

SHAPE = (1000, 2000)


def boxes(count: int, seed: int = 1) -> dict[str, list[int]]:
    """Cutouts of 20 × 20 pixels all over an image; the first ones are not beside each other, as IDs by flux."""
    places = np.random.default_rng(seed).uniform((0, 0), SHAPE, (count, 2)).astype(int)
    return {str(k): [int(y) - 10, int(x) - 10, int(y) + 10, int(x) + 10] for k, (y, x) in enumerate(places, 1)}


@pytest.mark.parametrize("size", ["auto", 1, 7, 1000])
@pytest.mark.parametrize("count", [0, 1, 3, 170, 2000])
def test_every_group_is_in_one_batch(count, size):
    batches = assign_batches(boxes(count), SHAPE, size)
    assert sorted(g for batch in batches.values() for g in batch) == sorted(boxes(count))
    assert all(batches.values()) and all(name.isdigit() for name in batches)
    most = GROUPS_PER_BATCH if size == "auto" else size
    assert all(len(batch) <= most for batch in batches.values())


def test_one_group_a_job():
    assert assign_batches(boxes(12), SHAPE, 1) == {group: [group] for group in boxes(12)}


def test_by_hand():
    corners = {"1": [0, 0, 2, 2], "2": [0, 1990, 2, 1992], "3": [990, 0, 992, 2], "4": [990, 1990, 992, 1992]}
    # halved across the longer side, x, and then across y
    assert assign_batches(corners, SHAPE, 2) == {"1": ["1", "3"], "2": ["2", "4"]}
    assert assign_batches({**corners, "5": [4, 4, 6, 6]}, SHAPE, 2) == {"2": ["2", "4"], "3": ["1", "5"], "4": ["3"]}
    assert assign_batches(corners, SHAPE, 10) == {"0": ["1", "2", "3", "4"]}


def test_groups_of_a_batch_are_close_to_each_other():
    places = boxes(5000)
    batches = assign_batches(places, SHAPE, 100)
    area = math.prod(SHAPE) * 100 / 5000
    for groups in batches.values():
        y, x = np.array([places[group][:2] for group in groups]).T
        # a cell with at most a hundred of them is no larger than twice their share of the image, and nearly square
        assert np.ptp(y) * np.ptp(x) <= 2.2 * area and max(np.ptp(y), np.ptp(x)) <= 2.2 * math.sqrt(area)


def test_a_new_group_moves_no_other_unless_its_cell_is_divided():
    places = boxes(600)
    before = assign_batches(places, SHAPE, 100)
    roomy = next(name for name, groups in before.items() if len(groups) < 100)
    after = assign_batches({**places, "601": places[before[roomy][0]]}, SHAPE, 100)
    assert after == {**before, roomy: [*before[roomy], "601"]}
    full = assign_batches(places, SHAPE, max(map(len, before.values())))
    most = max(full, key=lambda name: len(full[name]))
    divided = assign_batches({**places, "601": places[full[most][0]]}, SHAPE, len(full[most]))
    assert {name for name in full if divided.get(name) != full[name]} == {most}


def test_more_groups_in_one_place_than_fit_into_a_batch_stay_together():
    same = {str(k): [10, 10, 20, 20] for k in range(1, 6)}
    assert list(assign_batches(same, SHAPE, 2).values()) == [["1", "2", "3", "4", "5"]]


def test_the_order_does_not_matter():
    places = boxes(50)
    turned = dict(reversed(places.items()))
    assert assign_batches(turned, SHAPE, 10) == assign_batches(places, SHAPE, 10)


def test_a_cutout_beyond_the_image_has_a_batch():
    assert assign_batches({"1": [-50, -50, -10, -10], "2": [1100, 2100, 1200, 2200]}, SHAPE, 2) == {"0": ["1", "2"]}
