from __future__ import annotations

import pytest
from unblend.plan.batches import GROUPS_PER_BATCH, assign_batches


def groups(count):
    return [str(k) for k in range(1, count + 1)]


@pytest.mark.parametrize("size", ["auto", 1, 7, 1000])
@pytest.mark.parametrize("count", [0, 1, 3, 170, 2000])
def test_every_group_is_in_one_batch(count, size):
    batches = assign_batches(groups(count), size)
    assert sorted(g for batch in batches.values() for g in batch) == sorted(groups(count))
    assert all(batches.values())


def test_one_group_a_job():
    assert assign_batches(["7", "12"], 1) == {"7": ["7"], "12": ["12"]}


def test_by_hand():
    # five groups at two a batch need four batches; the batch is the name modulo four
    assert assign_batches(["1", "2", "3", "4", "5"], 2) == {"1": ["1", "5"], "2": ["2"], "3": ["3"], "0": ["4"]}
    assert assign_batches(["1", "2", "3"], 10) == {"0": ["1", "2", "3"]}


def test_batches_are_even():
    assert len(assign_batches(groups(GROUPS_PER_BATCH))) == 1
    sizes = [len(batch) for batch in assign_batches(groups(1000)).values()]
    assert max(sizes) <= GROUPS_PER_BATCH and max(sizes) - min(sizes) <= 1


def test_a_new_group_moves_no_other():
    before, after = assign_batches(groups(600)), assign_batches([*groups(600), "601"])
    assert [name for name in after if after[name] != before[name]] == [str(601 % 4)]


def test_the_order_does_not_matter():
    assert assign_batches(groups(50)[::-1]) == assign_batches(groups(50))
