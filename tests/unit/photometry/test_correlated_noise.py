from __future__ import annotations

import numpy as np
import pytest
from gaussians import covariance, gaussian_field
from scipy.ndimage import gaussian_filter
from unblend.core.errors import UnusableBandError
from unblend.core.types import Box, Template
from unblend.photometry.correlated_noise import (
    autocorrelation,
    correlated_errors,
    debiased_autocorrelation,
    draw_noise,
    measure_noise,
    positive_definite,
)
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.weight_rescaling import rescale_weights


def gaussian_correlation(sigma: float, lag: int = 7) -> np.ndarray:
    """Return the autocorrelation of white noise smoothed by a Gaussian of `sigma` pixels."""
    rows, columns = np.mgrid[-lag : lag + 1, -lag : lag + 1]
    return positive_definite(np.exp(-(rows**2 + columns**2) / (4 * sigma**2)))


def test_simulated_noise_has_the_given_correlation():
    truth = gaussian_correlation(0.7)
    noise = draw_noise(truth, (400, 401), np.random.default_rng(1))
    measured, pairs = autocorrelation(noise, np.ones(noise.shape), max_lag=7)
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    # 160 000 pixels, three correlated ones per cell: 0.005 each, 225 lags
    np.testing.assert_allclose(measured, truth, atol=0.02)
    assert pairs[7, 7] == pytest.approx(noise.size, rel=1e-3)
    assert pairs[7, 14] == pytest.approx(400 * 394, rel=1e-3)


def test_misfits_masks_and_weights_do_not_change_the_correlation():
    rng = np.random.default_rng(2)
    truth = gaussian_correlation(0.6)
    weight = np.ones((300, 300))
    weight[:, 150:] = 0.01
    residual = draw_noise(truth, weight.shape, rng) / np.sqrt(weight)
    residual[rng.random(weight.shape) < 0.002] = 1e4
    exclude = np.zeros(weight.shape, dtype=bool)
    exclude[100:120] = True
    residual[100:120] = 5.0
    residual[200:210] = np.nan
    measured, _ = autocorrelation(residual, weight, exclude, max_lag=7)
    # 80 000 pixels: 0.006 for the largest of 225 lags within three sigma
    np.testing.assert_allclose(measured, truth, atol=0.025)


def test_white_noise_gives_a_delta_and_the_formal_errors():
    rng = np.random.default_rng(3)
    templates, truth = gaussian_field(30, 120, rng)
    weight = np.full((120, 120), 4.0)
    image = model_image(templates, truth, weight.shape) + 0.5 * rng.normal(size=weight.shape)
    answer = solve_fluxes(image, weight, templates)
    correlation = debiased_autocorrelation(answer, templates, weight, rng=rng)
    np.testing.assert_array_equal(correlation, [[1.0]])
    err, background = correlated_errors(answer, templates, weight, correlation)
    np.testing.assert_array_equal(err, answer.err)
    assert np.sqrt(background[0, 0]) == answer.background_err


def test_errors_for_white_noise_are_those_of_the_inverse():
    rng = np.random.default_rng(4)
    templates, truth = gaussian_field(25, 50, rng)
    weight = rng.uniform(0.5, 2.0, (50, 50)) * (rng.random((50, 50)) > 0.1)
    templates.append(Template(99, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0))
    answer = solve_fluxes(model_image(templates, np.append(truth, 0.0), weight.shape), weight, templates)
    delta = np.zeros((11, 11))
    delta[5, 5] = 1.0
    err, background = correlated_errors(answer, templates, weight, delta)
    # the ridge of 1e-10, times the condition of the crowded field
    np.testing.assert_allclose(err[:-1], answer.err[:-1], rtol=1e-6)
    assert np.isnan(err[-1])
    assert np.sqrt(background[0, 0]) == pytest.approx(answer.background_err, rel=1e-6)


def test_errors_agree_with_dense_matrices():
    rng = np.random.default_rng(5)
    side, lag = 24, 3
    templates, _ = gaussian_field(6, side, rng, half=5)
    weight = rng.uniform(0.5, 2.0, (side, side))
    answer = solve_fluxes(np.zeros((side, side)), weight, templates)
    correlation = positive_definite(gaussian_correlation(0.7, lag))
    design = np.ones((side * side, 7))
    for k, template in enumerate(templates):
        canvas = np.zeros((side, side))
        canvas[template.box.slices] = template.data
        design[:, k] = canvas.ravel()
    y, x = np.divmod(np.arange(side * side), side)
    dy, dx = y[:, None] - y, x[:, None] - x
    near = (np.abs(dy) <= lag) & (np.abs(dx) <= lag)
    matrix = np.where(near, correlation[np.clip(dy, -lag, lag) + lag, np.clip(dx, -lag, lag) + lag], 0.0)
    weighted = design * np.sqrt(weight.ravel())[:, None]
    inverse = covariance(answer)
    expected = np.diag(inverse @ weighted.T @ matrix @ weighted @ inverse)
    err, background = correlated_errors(answer, templates, weight, correlation)
    np.testing.assert_allclose([*err, background[0, 0] ** 0.5], np.sqrt(expected), rtol=1e-8)


@pytest.mark.parametrize("sigma", [0.6, 0.8])
def test_pulls_with_correlated_noise_in_a_crowded_field(sigma):
    rng = np.random.default_rng(6)
    truth_r = gaussian_correlation(sigma)
    templates, truth = gaussian_field(150, 120, rng, sigma=1.3, half=7)
    clean = model_image(templates, truth, (120, 120))
    weight = np.full(clean.shape, 0.25)
    pulls, white = [], []
    for trial in range(12):
        answer = solve_fluxes(clean + 2.0 * draw_noise(truth_r, clean.shape, rng), weight, templates)
        if trial < 3:  # later realizations use the errors of the third
            r = debiased_autocorrelation(answer, templates, weight, rng=rng)
            err, _ = correlated_errors(answer, templates, weight, r)
        pulls.append((answer.flux - truth) / err)
        white.append((answer.flux - truth) / answer.err)
    # 1800 pulls, two correlated ones per cell: 0.025; R from one field: 0.03
    assert np.std(pulls) == pytest.approx(1.0, abs=0.08)
    assert np.std(white) > 1.5


def test_debiasing_corrects_for_the_noise_that_the_fit_absorbs():
    rng = np.random.default_rng(7)
    truth_r = gaussian_correlation(0.8)
    templates, truth = gaussian_field(500, 150, rng, sigma=1.3, half=7)
    clean = model_image(templates, truth, (150, 150))
    weight = np.ones(clean.shape)
    raw, debiased = [], []
    for _ in range(4):
        answer = solve_fluxes(clean + draw_noise(truth_r, clean.shape, rng), weight, templates)
        raw.append(autocorrelation(answer.residual, weight, max_lag=5)[0][5, 6:8])
        r = debiased_autocorrelation(answer, templates, weight, rng=rng)
        middle = len(r) // 2
        debiased.append(r[middle, middle + 1 : middle + 3])
    expected = truth_r[7, 8:10]
    bias = np.abs(np.mean(raw, axis=0) - expected)
    corrected_bias = np.abs(np.mean(debiased, axis=0) - expected)
    # four fields of 22 500 pixels: 0.01
    assert (bias > 0.03).all()
    assert (corrected_bias < 0.02).all()


def test_the_same_seed_gives_the_same_correlation():
    templates, truth = gaussian_field(20, 80, np.random.default_rng(8))
    clean = model_image(templates, truth, (80, 80))
    noise = draw_noise(gaussian_correlation(0.7), clean.shape, np.random.default_rng(9))
    answer = solve_fluxes(clean + noise, np.ones(clean.shape), templates)
    one, two = (
        debiased_autocorrelation(answer, templates, np.ones(clean.shape), rng=np.random.default_rng(5)) for _ in "ab"
    )
    assert len(one) >= 11
    np.testing.assert_array_equal(one, two)


def test_lags_reach_as_far_as_the_correlation():
    rng = np.random.default_rng(10)
    wide = gaussian_correlation(2.5, 15)
    noise = draw_noise(wide, (300, 300), rng)
    answer = solve_fluxes(noise, np.ones(noise.shape), [])
    # exp(-r²/25) falls below 0.01 at 10.7 pixels; the mean of a square ring, with its corners, earlier
    assert 13 <= len(debiased_autocorrelation(answer, [], np.ones(noise.shape), rng=rng)) <= 25


def test_positive_definite_clips_the_spectrum_only_where_needed():
    good = gaussian_correlation(0.8, 7)
    np.testing.assert_allclose(positive_definite(good), good, atol=1e-6)
    bad = np.zeros((3, 3))
    bad[1, :] = [0.9, 1.0, 0.9]  # a spectrum of 1 + 1.8 cos k, negative
    repaired = positive_definite(bad)
    assert repaired[1, 1] == 1.0 and repaired[1, 0] < 0.9


def test_constant_residual_is_an_error():
    with pytest.raises(UnusableBandError, match="residual pixels with non-zero scatter"):
        autocorrelation(np.zeros((60, 60)), np.ones((60, 60)))


def test_steps_that_are_larger_than_the_noise_are_an_error():
    # the noise of a fifth of a step leaves 1.2 % of the pixels different from the others
    steps = np.rint(np.random.default_rng(2).normal(0.0, 0.2, (60, 60)))
    with pytest.raises(UnusableBandError, match="steps of the image"):
        autocorrelation(steps + 0.1, np.ones((60, 60)))


SIDE = 90
TEMPLATES, FLUX = gaussian_field(8, SIDE, np.random.default_rng(11))
CLEAN = model_image(TEMPLATES, FLUX, (SIDE, SIDE), 3.0)
FWHM = 1.5 * 2.3548
"""FWHM of the Gaussian templates in pixels."""


def rescaled_fit(noise):
    """Return the solution for the clean image plus noise of 0.5 per pixel."""
    weight = np.full(CLEAN.shape, 4.0)
    return rescale_weights(CLEAN + noise, weight, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k")


def white_noise():
    return 0.5 * np.random.default_rng(12).normal(size=CLEAN.shape)


def test_white_noise_is_measured_as_uncorrelated():
    rescaled = rescaled_fit(white_noise())
    noise = measure_noise(rescaled, TEMPLATES, name="k")
    # 8000 pixels: the correlation is known to 1.1 %
    assert abs(noise.lag_one) < 0.05
    assert noise.err == pytest.approx(rescaled.solution.err, rel=0.1)


def test_noise_measured_as_correlated_gives_larger_errors():
    smooth = gaussian_filter(np.random.default_rng(5).normal(size=CLEAN.shape), 0.8, mode="wrap")
    smooth *= 0.5 / smooth.std()
    rescaled = rescaled_fit(smooth)
    noise = measure_noise(rescaled, TEMPLATES, name="k")
    # exp(−1/(4 · 0.8²)) = 0.68 between neighbours
    assert noise.lag_one == pytest.approx(0.68, abs=0.06)
    # for sources broader than the correlation the variance grows by its area, 4 pi 0.8² = 8; here by less
    assert np.median(noise.err / rescaled.solution.err) == pytest.approx(2.3, abs=0.4)


def test_the_measured_noise_is_reproducible():
    rescaled = rescaled_fit(white_noise())
    np.testing.assert_array_equal(
        measure_noise(rescaled, TEMPLATES, name="k").err, measure_noise(rescaled, TEMPLATES, name="k").err
    )
