from __future__ import annotations

import pytest
from unblend.core.angles import degrees_from_text, number_from_text


@pytest.mark.parametrize(("text", "expected"), [("1e-3", 1e-3), (" -.5 ", -0.5), ("7", 7.0)])
def test_a_number_in_text(text, expected):
    assert number_from_text(text) == expected


def test_text_without_a_unit_is_in_hours_for_right_ascensions_only():
    assert degrees_from_text("03:30:00", hours=True) == pytest.approx(52.5, rel=1e-14)
    assert degrees_from_text("03:30:00", hours=False) == pytest.approx(3.5, rel=1e-14)
    assert degrees_from_text("53d05m14s", hours=True) == pytest.approx(53 + 5 / 60 + 14 / 3600, rel=1e-14)
    assert degrees_from_text("53.5", hours=True) == 53.5


def test_the_sign_of_a_small_angle():
    assert degrees_from_text("-00:30:00", hours=False) == -0.5


@pytest.mark.parametrize(("text", "hours"), [("3h32m20s", False), ("3:61:20", True), ("3:32", True), ("north", False)])
def test_other_text_is_no_angle(text, hours):
    assert degrees_from_text(text, hours=hours) == text
