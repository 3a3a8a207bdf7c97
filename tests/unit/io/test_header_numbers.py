from __future__ import annotations

import math

import pytest
from unblend.io.header_numbers import number, positive


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (25, 25.0),
        ("25.5", 25.5),
        (-1.0, -1.0),
        (True, None),
        ("N/A", None),
        (None, None),
        (math.nan, None),
        ("inf", None),
    ],
)
def test_numbers_of_cards_that_may_hold_anything(value, read):
    assert number({"KEY": value}, "KEY") == read
    assert positive({"KEY": value}, "KEY") == (read if read is not None and read > 0 else None)


def test_missing_card():
    assert number({}, "KEY") is None and positive({}, "KEY") is None
