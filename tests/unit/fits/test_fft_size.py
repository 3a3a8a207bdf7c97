from __future__ import annotations

import pytest
from unblend.core.types import Box
from unblend.fits.fft_size import good_box, good_side, is_good_size


@pytest.mark.parametrize(
    ("size", "good"), [(1, True), (144, True), (353, False), (360, True), (2 * 11, False), (343, True)]
)
def test_good_sizes_have_no_prime_factor_above_seven(size, good):
    assert is_good_size(size) == good


def test_the_side_grows_to_the_next_good_size():
    # 51 + 303 − 1 = 353 is prime, 360 = 2³ 3² 5 is the next good size; 52 + 92 = 144 is good as it is
    assert good_side(51, 101) == 58
    assert good_side(52, 31) == 52


def test_a_box_grows_about_equally_on_all_sides():
    box = Box(-3, 10, 48, 62)
    grown = good_box(box, 101)
    assert grown == Box(-6, 7, 52, 65)
    assert box in grown


def test_a_box_of_good_size_is_unchanged():
    box = Box(0, 0, 52, 52)
    assert good_box(box, 31) == box
