"""Numbers of things as text."""

from __future__ import annotations

from unblend.core.counts import count


def test_the_noun_follows_the_number():
    assert [count(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
