from __future__ import annotations

import logging

import numpy as np
import pytest
from gaussians import gaussian_field
from scipy.ndimage import gaussian_filter
from unblend.domain import Model
from unblend.extraction import measure_noise, near_sources, nearest_source, settle_weights
from unblend.linear import model_image, solve

SIDE = 90
RNG = np.random.default_rng(11)
TEMPLATES, FLUX = gaussian_field(8, SIDE, RNG)
CLEAN = model_image(TEMPLATES, FLUX, (SIDE, SIDE), 3.0)
WHITE = RNG.normal(size=(SIDE, SIDE))


def settle(claimed, actual=0.5, trusted=False):
    return settle_weights(
        CLEAN + actual * WHITE, np.full(CLEAN.shape, claimed**-2.0), TEMPLATES, trusted=trusted, name="k"
    )


def test_weights_that_agree_are_kept():
    settled = settle(0.5)
    assert settled.scale == 1.0 and settled.rms == pytest.approx(0.5)
    np.testing.assert_allclose(settled.solution.flux, FLUX, atol=5 * 0.5 * 6)


@pytest.mark.parametrize("claimed", [0.1, 2.0])
def test_weights_that_contradict_the_scatter_are_scaled(claimed, caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        settled = settle(claimed)
    # the MAD of 8000 pixels has an error of 1.3 %
    assert settled.rms == pytest.approx(0.5, rel=0.05)
    assert settled.scale == pytest.approx(0.5 / claimed, rel=0.05)
    assert "k: source-free pixels scatter" in caplog.text and "weights are scaled to agree" in caplog.text
    # the errors follow
    assert settled.solution.err == pytest.approx(settle(0.5).solution.err, rel=0.05)


def test_a_number_the_user_gave_is_kept(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        settled = settle(0.1, trusted=True)
    assert settled.scale == 1.0 and settled.rms == pytest.approx(0.1)
    assert "the value given is kept" in caplog.text


def test_scaled_weights_do_not_move_the_fluxes():
    np.testing.assert_allclose(settle(0.1).solution.flux, settle(2.0).solution.flux, rtol=1e-6)


def test_near_sources_is_where_models_shine():
    solution = solve(CLEAN, np.ones(CLEAN.shape), TEMPLATES)
    near = near_sources(solution, TEMPLATES, np.ones(CLEAN.shape))
    np.testing.assert_array_equal(near, CLEAN - 3.0 > 0.5)
    assert 0.01 < near.mean() < 0.5


def test_white_noise_has_no_correlation():
    settled = settle(0.5)
    noise = measure_noise(settled, TEMPLATES, name="k")
    # 8000 pixels: the correlation has an error of 1.1 %
    assert abs(noise.lag_one) < 0.05
    assert noise.err == pytest.approx(settled.solution.err, rel=0.1)


def test_correlated_noise_makes_larger_errors():
    smooth = gaussian_filter(np.random.default_rng(5).normal(size=CLEAN.shape), 0.8, mode="wrap")
    smooth *= 0.5 / smooth.std()
    settled = settle_weights(CLEAN + smooth, np.full(CLEAN.shape, 4.0), TEMPLATES, trusted=False, name="k")
    noise = measure_noise(settled, TEMPLATES, name="k")
    # exp(−1/(4 · 0.8²)) = 0.68 between neighbours
    assert noise.lag_one == pytest.approx(0.68, abs=0.06)
    # sources broader than the correlation: the variance grows by its area, 4 pi 0.8² = 8, less what is resolved
    assert np.median(noise.err / settled.solution.err) == pytest.approx(2.3, abs=0.4)


def test_the_noise_does_not_depend_on_chance():
    settled = settle(0.5)
    np.testing.assert_array_equal(
        measure_noise(settled, TEMPLATES, name="k").err, measure_noise(settled, TEMPLATES, name="k").err
    )


def model_at(ra, dec):
    return Model(np.ones((1, 1)), (0.0, 0.0), (ra, dec), np.eye(2), 1.0)


def test_nearest_source():
    models = {3: model_at(10.0, 60.0), 7: model_at(10.002, 60.0), 1: model_at(10.0, 60.0012)}
    # a step in right ascension is half as long at 60 degrees
    assert nearest_source(models, {"ra": 10.0014, "dec": 60.0}) == 7
    assert nearest_source(models, {"ra": 10.0009, "dec": 60.0}) == 3
    assert nearest_source(models, {"ra": 10.0, "dec": 60.0007}) == 1


def test_nearest_source_across_the_origin():
    models = {1: model_at(359.9999, 0.0), 2: model_at(0.0005, 0.0)}
    assert nearest_source(models, {"ra": 0.0, "dec": 0.0}) == 1
