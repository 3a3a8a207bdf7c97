from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from scipy.sparse import csr_array
from unblend.core.split_matrix import SplitMatrix
from unblend.photometry.adopted_covariance import (
    CovarianceParts,
    adopted_covariance,
    model_covariance,
    model_draws,
    noise_covariance,
)
from unblend.photometry.flux_draws import DRAWS
from unblend.photometry.linear_system import solve_fluxes
from unblend.photometry.shape_errors import PARAMETERS, ShapeResponses

IDS = np.array([5, 2, 9])
NOISE, MODEL = np.array([[4.0, -2.0, 0.0], [-2.0, 9.0, 0.0], [0.0, 0.0, 1.0]]), np.diag([1.0, 2.0, 0.0])


def parts():
    rng = np.random.default_rng(1)
    drawn = [np.linalg.cholesky(m + 1e-12 * np.eye(3)) @ rng.standard_normal((3, DRAWS)) for m in (NOISE, MODEL)]
    none = np.zeros((3, 0))
    noise, model = (SplitMatrix(csr_array(m), none, np.zeros(0)) for m in (NOISE, MODEL))
    return CovarianceParts(IDS, noise, model, *drawn)


def test_the_diagonal_is_the_square_of_the_adopted_error():
    flux = np.array([10.0, 20.0, np.nan])
    known = 4.0 * NOISE + MODEL
    # a misfit of 3 for the first source, nothing else for the second, no flux of the third
    err = np.sqrt([known[0, 0] + 9.0, known[1, 1], np.nan])
    covariance, draws = adopted_covariance(parts(), flux, err, scale=2.0, band="k")
    expected = known + np.diag([9.0, 0.0, 0.0])
    expected[2] = expected[:, 2] = 0.0
    np.testing.assert_allclose(covariance.dense(), expected, atol=1e-12)
    assert np.isnan(draws[2]).all()
    assert draws[:2].mean(axis=1) == pytest.approx(flux[:2], abs=3.0)
    assert draws[:2].std(axis=1) == pytest.approx(err[:2], rel=0.2)
    assert np.corrcoef(draws[:2])[0, 1] == pytest.approx(-8.0 / err[0] / err[1], abs=0.25)


def test_an_adopted_error_below_the_known_parts_scales_its_row():
    err = np.array([2.0, 4.0, 1.0])
    covariance, draws = adopted_covariance(parts(), np.zeros(3), err, scale=1.0, band="k")
    np.testing.assert_allclose(covariance.diagonal(), err**2)
    # (4 + 1) became 4; the second source has 16 in place of 11
    assert covariance.dense()[0, 1] == pytest.approx(-2.0 * np.sqrt(4.0 / 5.0))
    assert np.linalg.eigvalsh(covariance.dense())[0] > 0
    assert draws.std(axis=1) == pytest.approx(err, rel=0.2)


def test_parts_in_the_order_of_the_catalogue():
    found = parts().in_order(np.array([1, 9, 5, 2]))
    np.testing.assert_allclose(found.noise.dense()[np.ix_([2, 3, 1], [2, 3, 1])], NOISE)
    assert not found.noise.dense()[0].any() and not found.model_draws[0].any()
    np.testing.assert_array_equal(found.noise_draws[[2, 3, 1]], parts().noise_draws)
    empty = CovarianceParts.unknown(IDS).in_order(np.array([2, 7]))
    assert empty.model.dense().shape == (2, 2) and not empty.noise_draws.any()


def test_the_parts_of_a_fit():
    places = [(1, 20.0, 20.0), (2, 21.5, 22.0), (3, 200.0, 20.0), (4, 40.0, 40.0)]
    templates = [gaussian(i, y, x, (60, 60)) for i, y, x in places]
    solution = solve_fluxes(np.zeros((60, 60)), np.ones((60, 60)), templates)
    assert solution.active.tolist() == [0, 1, 3]
    noise = noise_covariance(solution, 3, None)
    # the third has no pixels; the fourth only this band shows
    np.testing.assert_allclose(np.sqrt(noise.diagonal()[:2]), solution.err[:2])
    assert noise.dense()[0, 1] < 0 and not noise.dense()[2].any()
    size = len(PARAMETERS)
    axes = np.zeros((2 * size, solution.inverse.size))
    axes[0, 0] = axes[size, 1] = 1.0
    known = np.array([True, True, False])
    responses = ShapeResponses(known, np.repeat([1, 2], size), csr_array(axes))
    common = np.array([[3.0], [-4.0], [np.nan], [0.0]])
    detail = np.array([5.0, 0.0, np.nan, 0.0])
    model = model_covariance(solution, 3, responses, common, detail)
    shapes = responses.errors(solution)
    expected = np.square(shapes[:2]) + np.array([9.0 + 25.0, 16.0])
    np.testing.assert_allclose(model.diagonal()[:2], expected, rtol=1e-6)
    # one shift moves both, in opposite directions
    assert model.dense()[0, 1] < -10.0
    drawn = model_draws(solution, responses, common, detail, "k")
    assert drawn[:2].std(axis=1) == pytest.approx(np.sqrt(expected), rel=0.2)
    # the detail of a galaxy is the same in another band, the shift is not
    other = model_draws(solution, responses, common, detail, "h")
    assert np.corrcoef(drawn[0], other[0])[0, 1] == pytest.approx(1 - 9.0 / expected[0], abs=0.2)
