"""Numbers of things as text, and how often values occur."""

from __future__ import annotations

from collections import Counter

import numpy as np
from unblend.core.counts import add_occurrences, count


def test_the_noun_follows_the_number():
    assert [count(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]


def test_occurrences_of_several_arrays_are_added():
    counts = Counter()
    add_occurrences(counts, np.array([2, 5, 2], dtype=np.uint32))
    add_occurrences(counts, np.array([5, 7], dtype=np.uint32))
    add_occurrences(counts, np.zeros(0, dtype=np.uint32))
    assert counts == {2: 2, 5: 2, 7: 1} and all(type(value) is int for value in counts)
