from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from unblend.core.split_matrix import SplitMatrix

DENSE = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.001], [0.0, 0.001, 2.0]])
COLUMNS, SIGNS = np.array([[1.0, 0.5], [2.0, 0.0], [-1.0, 0.5]]), np.array([1.0, -1.0])


@pytest.fixture
def matrix():
    return SplitMatrix(csr_array(DENSE), COLUMNS, SIGNS)


def whole():
    return DENSE + np.outer(COLUMNS[:, 0], COLUMNS[:, 0]) - np.outer(COLUMNS[:, 1], COLUMNS[:, 1])


def test_diagonal_sums_and_factors_are_those_of_the_whole_matrix(matrix):
    np.testing.assert_allclose(matrix.dense(), whole())
    np.testing.assert_allclose(matrix.diagonal(), np.diag(whole()))
    np.testing.assert_allclose((matrix + matrix.plus_diagonal(np.ones(3))).dense(), 2 * whole() + np.eye(3))
    factors = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(matrix.scaled(factors).dense(), whole() * np.outer(factors, factors))
    np.testing.assert_allclose(matrix.scaled(2.0).dense(), 4.0 * whole())
    np.testing.assert_allclose(SplitMatrix.of_columns(COLUMNS).dense(), COLUMNS @ COLUMNS.T)
    assert not SplitMatrix.zero(4).dense().any()


def test_a_part_is_placed_among_all(matrix):
    placed = matrix.placed(np.array([4, -1, 0]), 5)
    expected = np.zeros((5, 5))
    expected[np.ix_([4, 0], [4, 0])] = whole()[np.ix_([0, 2], [0, 2])]
    np.testing.assert_allclose(placed.dense(), expected)


def test_weak_correlations_are_left_out_of_the_sparse_part_and_no_variance(matrix):
    found = matrix.significant(np.array([2.0, 2.0, 1e6]), 1e-3)
    # 0.001 / (2 · 1e6) is weak, and so is 2 / 1e12 on the diagonal
    assert found.sparse.nnz == 5
    np.testing.assert_allclose(found.diagonal(), matrix.diagonal())
    np.testing.assert_allclose(found.columns, COLUMNS)
