from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from unblend.photometry.bordered_inverse import BorderedInverse

N, BORDER = 40, np.array([7, 38, 39])
"""A chain of sources, one of them in the border, and two terms of the background."""
REST = np.setdiff1d(np.arange(N), BORDER)


def matrix_of(rng):
    """Return a matrix that is banded but for the border."""
    distance = np.abs(np.subtract.outer(np.arange(N), np.arange(N)))
    matrix = np.where(distance < 4, 0.5**distance, 0.0)
    for b in BORDER:
        matrix[b] = matrix[:, b] = 0.08 * rng.uniform(-1.0, 1.0, N)
        matrix[b, b] = 3.0
    matrix[7, 20] = matrix[20, 7] = 1.0
    matrix = (matrix + matrix.T) / 2.0
    assert np.linalg.eigvalsh(matrix)[0] > 0
    return matrix


@pytest.fixture
def both():
    """Return the inverse in two parts, and the same as a dense matrix."""
    matrix = matrix_of(np.random.default_rng(1))
    inverse = np.linalg.inv(matrix)
    core = np.zeros((N, N))
    core[np.ix_(REST, REST)] = np.linalg.inv(matrix[np.ix_(REST, REST)])
    vectors = np.zeros((N, 3))
    vectors[REST] = core[np.ix_(REST, REST)] @ matrix[np.ix_(REST, BORDER)]
    vectors[BORDER] = -np.eye(3)
    tiles = tuple(np.array_split(REST, 5))
    return BorderedInverse(csr_array(core), vectors, inverse[np.ix_(BORDER, BORDER)], tiles), inverse


def test_variances_elements_and_products_are_those_of_the_dense_inverse(both):
    found, expected = both
    np.testing.assert_allclose(found.variances(), np.diag(expected), rtol=1e-12)
    for row in (0, 7, 39):
        columns = np.array([0, 3, 7, 20, 39])
        np.testing.assert_allclose(found.elements(row, columns), expected[row, columns], atol=1e-14)
    right = np.random.default_rng(2).normal(size=(N, 2))
    np.testing.assert_allclose(found.apply(right), expected @ right, atol=1e-12)
    np.testing.assert_allclose(found.apply(right[:, 0]), expected @ right[:, 0], atol=1e-12)


def test_propagated_noise_and_shapes(both):
    found, expected = both
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.2)
    noise = noise + noise.T
    variances, border = found.propagated(csr_array(noise))
    dense = expected @ noise @ expected
    np.testing.assert_allclose(variances, np.diag(dense), atol=1e-12)
    np.testing.assert_allclose(border, dense[np.ix_(BORDER, BORDER)], atol=1e-12)
    responses = rng.normal(size=(70, N)) * (rng.random((70, N)) < 0.1)
    squares = found.summed_squares(csr_array(responses))
    np.testing.assert_allclose(squares, np.sum((responses @ expected) ** 2, axis=0), rtol=1e-10)


def test_another_order_and_another_noise(both):
    found, expected = both
    order = np.random.default_rng(4).permutation(N)
    moved = found.permuted(order) * 2.5
    expected = 2.5 * expected[np.ix_(order, order)]
    np.testing.assert_allclose(moved.variances(), np.diag(expected), rtol=1e-12)
    identity = csr_array(np.eye(N))
    np.testing.assert_allclose(moved.propagated(identity)[0], np.diag(expected @ expected), rtol=1e-10)
    np.testing.assert_allclose(moved.elements(5, np.arange(N)), expected[5], atol=1e-13)
    assert found.permuted(np.arange(N)) is found


@pytest.mark.parametrize("at_once", [1_000_000, 30])
def test_the_strongest_correlations(both, monkeypatch, at_once):
    monkeypatch.setattr("unblend.photometry.bordered_inverse.ELEMENTS_AT_ONCE", at_once)
    found, expected = both
    sources = expected[:38, :38]
    rho = sources / np.sqrt(np.outer(np.diag(sources), np.diag(sources)))
    np.fill_diagonal(rho, 0.0)
    worst = np.argmax(np.abs(rho), axis=1)
    index, correlation = found.strongest_correlations(38, 0.01)
    np.testing.assert_array_equal(index, worst)
    np.testing.assert_allclose(correlation, rho[np.arange(38), worst], rtol=1e-12)
    # one source is most correlated with the one in the border
    assert worst[20] == 7 and worst[7] == 20
    index, correlation = found.strongest_correlations(38, 0.5)
    strong = np.abs(rho[np.arange(38), worst]) >= 0.5
    np.testing.assert_array_equal(correlation != 0, strong)
    assert (index[~strong] == 0).all() and strong.any() and not strong.all()


def test_distant_sources_are_correlated_through_the_border_alone():
    # two sources without a common neighbour, both with a large part of the background
    core = csr_array(np.diag([1.0, 1.0, 1.0, 0.0]))
    vectors = np.array([[0.5], [0.5], [0.01], [-1.0]])
    found = BorderedInverse(core, vectors, np.array([[1.0]]), (np.arange(3),))
    index, correlation = found.strongest_correlations(3, 0.01)
    assert index.tolist() == [1, 0, 0] and correlation[:2] == pytest.approx(0.25 / 1.25) and correlation[2] == 0.0
