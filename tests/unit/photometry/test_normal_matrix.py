from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from unblend.core.errors import UnblendError
from unblend.photometry.linear_system import box_array
from unblend.photometry.normal_matrix import (
    NormalEquations,
    scaled_solve,
    solve,
    whole_matrix,
)
from unblend.photometry.stamps import pair_products


def test_scaled_solve_mirrors_a_matrix_larger_than_a_block():
    rng = np.random.default_rng(8)
    half = rng.normal(size=(600, 900))
    matrix = half @ half.T
    right = rng.normal(size=600)
    solution, inverse = scaled_solve(matrix.copy(), right)
    # ridge 1e-10 times the condition number, below 1e3
    np.testing.assert_allclose(inverse @ matrix, np.eye(600), atol=1e-6)
    np.testing.assert_allclose(matrix @ solution, right, atol=1e-6)


def test_a_matrix_with_its_border_by_hand():
    found = whole_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([4.0, 1.0, 2.0]), np.ones((2, 1)), [[9.0]])
    assert found.toarray().tolist() == [[4.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 9.0]]


def equations():
    """Return the equations of two sources, with matrix [[4, 1], [1, 2]], and a background level."""
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]])
    return NormalEquations(
        boxes, np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([4.0, 1.0, 2.0]), np.ones((2, 1)),
        np.array([[10.0]]), np.array([6.0, 4.0, 12.0]),
    )  # fmt: skip


def dense(inverse):
    """Return all elements of an inverse."""
    return np.array([inverse.elements(k, np.arange(inverse.size)) for k in range(inverse.size)])


@pytest.mark.parametrize("tile_size", [1, 500])
def test_solutions_by_hand(tile_size):
    system = equations()
    assert system.n == 2 and system.diagonal.tolist() == [4.0, 2.0]
    amplitudes, inverse = solve(system, tile_size=tile_size)
    matrix = np.array([[4.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 10.0]])
    # the ridge of 1e-10
    assert amplitudes == pytest.approx(np.linalg.solve(matrix, system.right), rel=1e-8)
    assert dense(inverse) == pytest.approx(np.linalg.inv(matrix), rel=1e-8)


def random_equations(count, rng, *, wide=0, side=300):
    """Return the equations of Gaussians that overlap in chains, the last `wide` of them as large as the field."""
    templates, _ = gaussian_field(count, side, rng, half=6)
    templates += [gaussian(count + 1 + k, 120 + 40 * k, 150, (side, side), sigma=60.0, half=299) for k in range(wide)]
    boxes = box_array(templates)
    i, j, value = pair_products(boxes, lambda k: np.asarray(templates[k].data), boxes, [t.data for t in templates])
    columns = np.array([[t.data.sum(), np.sum(t.data * np.arange(t.box.x0, t.box.x1) / side)] for t in templates])
    ramp = np.arange(side) / side
    corner = side * np.array([[side, ramp.sum()], [ramp.sum(), (ramp**2).sum()]])
    return NormalEquations(boxes, i, j, value, columns, corner, rng.normal(size=len(templates) + 2))


@pytest.mark.parametrize("wide", [0, 2])
def test_parts_of_the_field_agree_with_the_whole_matrix(wide):
    system = random_equations(900, np.random.default_rng(3), wide=wide)
    whole, parts = solve(system, tile_size=5000), solve(system, tile_size=100)
    assert parts[1].border.shape == (902 + wide, 2 + wide) and whole[1].border.shape == (902 + wide, 2)
    # relative to the errors, and to the error of 1e-6 of the truncated rows, squared, times the number of neighbours
    assert np.abs((parts[0] - whole[0]) / np.sqrt(whole[1].variances())).max() < 1e-9
    np.testing.assert_allclose(parts[1].variances(), whole[1].variances(), rtol=1e-9)
    matrix = system.matrix().toarray()
    expected = np.linalg.inv(matrix)
    np.testing.assert_allclose(parts[1].variances(), np.diag(expected), rtol=1e-6)  # the ridge
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert (np.abs(dense(parts[1]) - expected) / scale).max() < 1e-6


def test_a_part_with_too_many_sources_around_it_is_divided(monkeypatch):
    monkeypatch.setattr("unblend.photometry.normal_matrix.MAX_MEMBERS", 300)
    system = random_equations(900, np.random.default_rng(5))
    parts, whole = solve(system, tile_size=250), solve(system, tile_size=5000)
    np.testing.assert_allclose(parts[1].variances(), whole[1].variances(), rtol=1e-9)


def test_errors_that_cannot_be_exact_are_reported(monkeypatch, caplog):
    monkeypatch.setattr("unblend.photometry.normal_matrix.MAX_MEMBERS", 70)
    system = random_equations(900, np.random.default_rng(5), side=200)
    amplitudes, inverse = solve(system, tile_size=250)
    assert "flux errors of some sources are approximate: more than 70 templates overlap" in caplog.text
    # fluxes are exact nevertheless
    expected = solve(system, tile_size=5000)
    assert np.abs((amplitudes - expected[0]) / np.sqrt(expected[1].variances())).max() < 1e-8
    np.testing.assert_allclose(inverse.variances(), expected[1].variances(), rtol=1e-2)


def test_a_matrix_that_is_not_positive_definite_is_an_error():
    with pytest.raises(UnblendError, match="normal matrix of 2 amplitudes is not positive definite"):
        scaled_solve(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2))
