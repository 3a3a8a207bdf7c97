"""The terms of polynomials in the position on an image."""

from __future__ import annotations


def degrees(order: int) -> tuple[tuple[int, int], ...]:
    """Return the degrees (i, j) along y and x of the terms with i + j <= order, the constant first."""
    return tuple((total - j, j) for total in range(order + 1) for j in range(total + 1))
