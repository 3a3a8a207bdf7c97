from __future__ import annotations

from unblend.core.polynomials import degrees


def test_the_constant_is_first_and_terms_of_one_degree_follow_each_other():
    assert degrees(0) == ((0, 0),)
    assert degrees(2) == ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
