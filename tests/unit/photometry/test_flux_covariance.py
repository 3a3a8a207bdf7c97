"""The covariance of fluxes against dense matrices, and against the scatter of fits to drawn noise."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import covariance, gaussian, gaussian_field
from unblend.photometry.correlated_noise import draw_noise, noise_matrix, positive_definite
from unblend.photometry.flux_covariance import flux_covariance
from unblend.photometry.linear_system import model_image, solve_fluxes

LAG = 4
ROWS, COLUMNS = np.mgrid[-LAG : LAG + 1, -LAG : LAG + 1]
CORRELATION = positive_definite(np.exp(-(ROWS**2 + COLUMNS**2) / (4 * 0.8**2)))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("tile_size", [500, 20])
@pytest.mark.parametrize("correlated", [False, True])
def test_all_elements_are_those_of_the_dense_matrices(order, tile_size, correlated):
    rng = np.random.default_rng(3)
    templates, truth = gaussian_field(60, 90, rng, half=8)
    # as large as the field: it belongs to the border where the inverse is made in parts
    templates.append(gaussian(99, 45.0, 45.0, (90, 90), sigma=20.0, half=45))
    weight = rng.uniform(0.5, 2.0, (90, 90))
    image = model_image(templates, np.append(truth, 3000.0), weight.shape)
    answer = solve_fluxes(image, weight, templates, order=order, tile_size=tile_size)
    matrix = noise_matrix(answer, templates, weight, CORRELATION if correlated else np.ones((1, 1)))
    assert (matrix is not None) == correlated
    dense = covariance(answer)
    expected = (dense @ matrix.toarray() @ dense if correlated else dense)[:61, :61]
    found = flux_covariance(answer.inverse, 61, matrix)
    sigma = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(found.diagonal(), sigma**2, rtol=1e-6)
    # elements below a correlation of 1e-4 of the white errors, which are lower, are left out
    assert np.abs((found.dense() - expected) / np.outer(sigma, sigma)).max() < 1.01e-4
    assert np.abs(expected / np.outer(sigma, sigma) - np.eye(61)).max() > 0.3


def test_the_scatter_of_fits_to_drawn_noise_has_this_covariance():
    rng = np.random.default_rng(4)
    places = [(20.0, 20.0), (21.5, 22.0), (18.5, 22.5), (45.0, 40.0)]
    templates = [gaussian(k + 1, y, x, (60, 60)) for k, (y, x) in enumerate(places)]
    weight = np.full((60, 60), 0.25)
    answer = solve_fluxes(np.zeros((60, 60)), weight, templates)
    expected = flux_covariance(answer.inverse, 4, noise_matrix(answer, templates, weight, CORRELATION)).dense()
    noise = (2.0 * draw_noise(CORRELATION, (60, 60), rng) for _ in range(200))
    found = np.cov([solve_fluxes(image, weight, templates).flux for image in noise], rowvar=False)
    sigma = np.sqrt(np.diag(expected))
    # 200 fits give a correlation to 0.07
    np.testing.assert_allclose(found / np.outer(sigma, sigma), expected / np.outer(sigma, sigma), atol=0.25)
    assert (expected / np.outer(sigma, sigma))[0, 1] < -0.3


def test_no_number_of_sources_squared_is_stored():
    templates, _ = gaussian_field(400, 600, np.random.default_rng(5), half=8)
    answer = solve_fluxes(np.zeros((600, 600)), np.ones((600, 600)), templates, tile_size=50)
    found = flux_covariance(answer.inverse, 400, noise_matrix(answer, templates, np.ones((600, 600)), CORRELATION))
    assert found.sparse.nnz < 5 * 400
    assert found.columns.shape == (400, 2)
