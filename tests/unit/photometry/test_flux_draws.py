from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from scipy.sparse import csr_array
from unblend.core.types import Box, Template
from unblend.photometry.correlated_noise import noise_matrix, positive_definite
from unblend.photometry.flux_covariance import flux_covariance
from unblend.photometry.flux_draws import DRAWS, noise_draws, of_band, of_source, shape_draws
from unblend.photometry.linear_system import solve_fluxes
from unblend.photometry.shape_errors import PARAMETERS, ShapeResponses

LAG = 4
ROWS, COLUMNS = np.mgrid[-LAG : LAG + 1, -LAG : LAG + 1]
CORRELATION = positive_definite(np.exp(-(ROWS**2 + COLUMNS**2) / (4 * 0.8**2)))


def test_random_numbers_belong_to_a_source_and_to_a_band():
    np.testing.assert_array_equal(of_source(7, 6), of_source(7, 7)[:6])
    assert not np.array_equal(of_source(7, 6), of_source(8, 6))
    drawn = [of_band(*words).standard_normal() for words in (("ks", "noise"), ("ks", "own"), ("j", "noise"))]
    assert len(set(drawn)) == 3 and of_band("ks", "noise").standard_normal() == drawn[0]


@pytest.mark.parametrize("correlation", [np.ones((1, 1)), CORRELATION], ids=["white", "correlated"])
def test_drawn_noise_scatters_the_fluxes_by_their_covariance(correlation):
    rng = np.random.default_rng(1)
    templates, _ = gaussian_field(80, 150, rng)
    templates.append(Template(99, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0))
    weight = rng.uniform(0.2, 0.4, (150, 150))
    answer = solve_fluxes(np.zeros((150, 150)), weight, templates)
    draws = noise_draws(answer, templates, weight, correlation, rng)
    assert draws.shape == (81, DRAWS) and np.isnan(draws[80]).all()
    expected = flux_covariance(answer.inverse, 80, noise_matrix(answer, templates, weight, correlation))
    sigma = np.sqrt(expected.diagonal())
    ratio = draws[:80].std(axis=1) / sigma
    # 100 draws: 0.07 for a source, 0.01 for the mean of 80
    assert ratio == pytest.approx(1.0, abs=0.3) and ratio.mean() == pytest.approx(1.0, abs=0.03)
    differences = (np.corrcoef(draws[:80]) - expected.dense() / np.outer(sigma, sigma))[np.triu_indices(80, 1)]
    assert differences.std() < 0.12 and np.abs(differences.mean()) < 0.01


def test_few_fields_of_noise_serve_many_draws(monkeypatch):
    monkeypatch.setattr("unblend.photometry.flux_draws.NOISE_PIXELS", 0)
    monkeypatch.setattr("unblend.photometry.flux_draws.PIXELS_AT_ONCE", 200_000)
    rng = np.random.default_rng(2)
    templates, _ = gaussian_field(80, 150, rng)
    answer = solve_fluxes(np.zeros((150, 150)), np.ones((150, 150)), templates)
    draws = noise_draws(answer, templates, np.ones((150, 150)), CORRELATION, rng)
    expected = flux_covariance(answer.inverse, 80, noise_matrix(answer, templates, np.ones((150, 150)), CORRELATION))
    ratio = draws.std(axis=1) / np.sqrt(expected.diagonal())
    assert ratio.mean() == pytest.approx(1.0, abs=0.04) and np.abs(draws.mean(axis=1) / draws.std(axis=1)).max() < 0.4


def responses(ids, size):
    """Return a response of each source's own amplitude along the first axis of its shape."""
    matrix = np.zeros((len(ids) * len(PARAMETERS), size))
    for k in range(len(ids)):
        matrix[k * len(PARAMETERS), k] = 10.0
    return ShapeResponses(np.ones(len(ids), dtype=bool), np.repeat(ids, len(PARAMETERS)), csr_array(matrix))


def test_one_shape_changes_the_fluxes_of_all_bands():
    drawn = []
    for sigma in (1.5, 2.5):
        # another order of the sources in each band; IDs as large as those of hidden sources
        templates = [gaussian(i, y, x, (60, 60), sigma=sigma) for i, y, x in ((10_000_001, 20, 20), (3, 40, 40))]
        templates = templates[:: 1 if sigma < 2 else -1]
        answer = solve_fluxes(np.zeros((60, 60)), np.ones((60, 60)), templates)
        ids = np.array([template.id for template in templates])
        draws = shape_draws(responses(ids, answer.inverse.size), answer)
        drawn.append(draws[np.argsort(ids)])
        own = 10.0 / np.sum(templates[0].data ** 2)
        assert draws[0].std() == pytest.approx(own, rel=0.2)
    across = np.corrcoef(np.vstack(drawn))
    # the same source in two bands, then two sources
    assert across[0, 2] > 0.99 and across[1, 3] > 0.99 and abs(across[0, 1]) < 0.4


def test_without_any_known_shape_nothing_changes():
    templates = [gaussian(1, 20, 20, (40, 40))]
    answer = solve_fluxes(np.zeros((40, 40)), np.ones((40, 40)), templates)
    nothing = ShapeResponses(np.zeros(1, dtype=bool), np.zeros(0, dtype=int), None)
    np.testing.assert_array_equal(shape_draws(nothing, answer), np.zeros((1, DRAWS)))
