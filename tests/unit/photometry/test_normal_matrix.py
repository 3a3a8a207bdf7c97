from __future__ import annotations

import numpy as np
import pytest
from unblend.core.errors import UnblendError
from unblend.core.types import Box
from unblend.photometry.normal_matrix import (
    NormalEquations,
    overlapping_pairs,
    pair_products,
    permuted_inverse,
    scaled_solve,
    solve_dense,
    solve_local,
)


def test_pairs_are_all_overlaps():
    rng = np.random.default_rng(7)
    start = rng.integers(0, 60, (80, 2))
    boxes = np.hstack([start, start + rng.integers(1, 15, (80, 2))])
    expected = [(i, j) for i in range(80) for j in range(i, 80) if Box(*boxes[i]).overlaps(Box(*boxes[j]))]
    assert list(zip(*overlapping_pairs(boxes), strict=True)) == expected


def test_scaled_solve_mirrors_a_matrix_larger_than_a_block():
    rng = np.random.default_rng(8)
    half = rng.normal(size=(600, 900))
    matrix = half @ half.T
    right = rng.normal(size=600)
    solution, inverse = scaled_solve(matrix.copy(), right)
    # ridge 1e-10 times the condition number, below 1e3
    np.testing.assert_allclose(inverse @ matrix, np.eye(600), atol=1e-6)
    np.testing.assert_allclose(matrix @ solution, right, atol=1e-6)


def test_products_of_overlapping_boxes_by_hand():
    # the boxes share the pixel (1, 1) only, the third box is apart
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])
    stamps = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]]), np.array([[9.0]])]
    i, j, value = pair_products(boxes, lambda k: stamps[k], boxes, stamps)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1), (2, 2)]
    assert value.tolist() == [30.0, 20.0, 174.0, 81.0]


def equations():
    """Return the equations of two sources, with matrix [[4, 1], [1, 2]], and a background level."""
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]])
    return NormalEquations(
        boxes, np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([4.0, 1.0, 2.0]), np.array([1.0, 1.0]), 10.0,
        np.array([6.0, 4.0, 12.0]),
    )  # fmt: skip


@pytest.mark.parametrize("solve", [solve_dense, solve_local])
def test_solutions_by_hand(solve):
    system = equations()
    assert system.n == 2 and system.diagonal.tolist() == [4.0, 2.0]
    amplitudes, inverse = solve(system)
    matrix = np.array([[4.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 10.0]])
    # the ridge of 1e-10
    assert amplitudes == pytest.approx(np.linalg.solve(matrix, system.right), rel=1e-8)
    rows = inverse if isinstance(inverse, np.ndarray) else inverse.rows(np.arange(3))
    assert rows == pytest.approx(np.linalg.inv(matrix), rel=1e-8)


def test_the_inverse_in_another_order_of_sources():
    inverse = np.arange(9.0).reshape(3, 3)
    assert permuted_inverse(inverse, np.array([0, 1])) is inverse
    assert permuted_inverse(inverse, np.array([1, 0])).tolist() == [[4.0, 3.0, 5.0], [1.0, 0.0, 2.0], [7.0, 6.0, 8.0]]


def test_a_matrix_that_is_not_positive_definite_is_an_error():
    with pytest.raises(UnblendError, match="normal matrix of 2 amplitudes is not positive definite"):
        scaled_solve(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2))
