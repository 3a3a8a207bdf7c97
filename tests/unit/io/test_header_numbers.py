from __future__ import annotations

import math

import pytest
from unblend.core.errors import InputError
from unblend.io.header_numbers import needed_number, number, positive


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


def test_a_number_that_is_needed():
    assert needed_number({"KEY": "2.5"}, "KEY", "a.fits") == 2.5
    assert needed_number({}, "KEY", "a.fits", default=1.0) == 1.0
    for header in ({}, {"KEY": "two"}, {"KEY": math.inf}):
        with pytest.raises(InputError, match=r"a\.fits: its header has KEY = .*; expected a number"):
            needed_number(header, "KEY", "a.fits")
