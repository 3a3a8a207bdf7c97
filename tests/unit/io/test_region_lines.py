from __future__ import annotations

import time

import pytest
from unblend.io.region_lines import read_properties, split_statements


@pytest.mark.parametrize(
    ("line", "statements"),
    [
        ("circle(1,2,3)", [("circle(1,2,3)", "")]),
        ("icrs; circle(1,2,3) # color=red", [("icrs", ""), (" circle(1,2,3) ", " color=red")]),
        (
            "circle(1,2,3) # text={a; b} ; box(1,2,3,4,0)",
            [("circle(1,2,3) ", " text={a; b} "), (" box(1,2,3,4,0)", "")],
        ),
        ('global color=green font="helvetica; 10"', [("global", ' color=green font="helvetica; 10"')]),
        ("circle(1,2,3) # text={open; box(1,2,3,4,0)", [("circle(1,2,3) ", " text={open"), (" box(1,2,3,4,0)", "")]),
    ],
)
def test_statements_of_a_line(line, statements):
    assert list(split_statements(line)) == statements


def test_properties_lose_their_quotes():
    found = read_properties(""" color=red text={two words} Font="helvetica 10" tag='a b' width = 2""")
    assert found == {"color": "red", "text": "two words", "font": "helvetica 10", "tag": "a b", "width": "2"}


def test_the_time_follows_the_length_of_the_line():
    """Lines of a megabyte that would take minutes in a time that grows with the square of their length."""
    start = time.process_time()
    for line in ("circle(1,2,3) # " + "text={" * 150_000, ";" * 1_000_000, "#" + "a=" * 300_000):
        for _, properties in split_statements(line):
            read_properties(properties)
    assert time.process_time() - start < 20.0
