from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from scipy.sparse import csr_array
from unblend.core.types import Box, Template
from unblend.photometry.correlated_noise import positive_definite, right_hand_covariance
from unblend.photometry.flux_covariance import flux_covariance
from unblend.photometry.flux_draws import DRAWS, _correlated, noise_draws, of_band, of_source, shape_draws
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
    matrix = right_hand_covariance(answer, templates, weight, correlation)
    draws = noise_draws(answer, matrix, rng)
    assert draws.shape == (81, DRAWS) and np.isnan(draws[80]).all()
    expected = flux_covariance(answer.inverse, 80, matrix)
    sigma = np.sqrt(expected.diagonal())
    ratio = draws[:80].std(axis=1) / sigma
    # 100 draws: 0.07 for a source, 0.01 for the mean of 80
    assert ratio == pytest.approx(1.0, abs=0.3) and ratio.mean() == pytest.approx(1.0, abs=0.03)
    differences = (np.corrcoef(draws[:80]) - expected.dense() / np.outer(sigma, sigma))[np.triu_indices(80, 1)]
    assert differences.std() < 0.12 and np.abs(differences.mean()) < 0.01


def test_drawn_noise_has_the_covariance_of_the_right_hand_side(monkeypatch):
    monkeypatch.setattr("unblend.photometry.flux_draws.DRAWS", 20_000)
    rng = np.random.default_rng(2)
    # a close pair among others: its fluxes differ by much more than their sum
    templates = [gaussian(k, *place, (60, 60)) for k, place in enumerate([(20, 20), (20, 20.8), (35, 30), (45, 12)], 1)]
    weight = rng.uniform(0.2, 0.4, (60, 60))
    answer = solve_fluxes(np.zeros((60, 60)), weight, templates, order=1)
    matrix = right_hand_covariance(answer, templates, weight, CORRELATION)
    draws = noise_draws(answer, matrix, rng)
    inverse = answer.inverse.apply(np.eye(answer.inverse.size))
    expected = (inverse @ matrix.toarray() @ inverse)[:4, :4]
    sigma = np.sqrt(np.diagonal(expected))
    # 20 000 draws: 0.007
    np.testing.assert_allclose(np.cov(draws) / np.outer(sigma, sigma), expected / np.outer(sigma, sigma), atol=0.03)
    assert np.var(draws[0] + draws[1]) == pytest.approx(expected[:2, :2].sum(), rel=0.05)


def test_two_equal_templates_and_one_without_pixels_do_not_stop_the_draws():
    matrix = csr_array(np.array([[4.0, 4.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 0.0]]))
    drawn = _correlated(matrix, np.random.default_rng(1).standard_normal((3, 1000)))
    assert drawn[:2].std(axis=1) == pytest.approx(2.0, rel=0.1) and not drawn[2].any()
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-3)


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
