"""Fluxes on a background that varies, fitted with a polynomial: drawn noise, and the real noise of an image by MUSE."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from gaussians import covariance, gaussian, gaussian_field
from unblend.core.statistics import median, robust_sigma
from unblend.images.masks import grow_mask
from unblend.io.images import read_array
from unblend.photometry.correlated_noise import correlated_errors, draw_noise, measure_noise, positive_definite
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.monte_carlo import monte_carlo
from unblend.photometry.weight_rescaling import rescale_weights

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "hdfs"
SIDE = 120
Y, X = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")


def glow(shape, amplitude):
    """Return the light of a star beyond a corner of the image on a gradient: no polynomial."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return amplitude * (2.0 * np.exp(-np.hypot(y + 1.4, x - 1.2) / 1.2) + 0.3 * x - 0.2 * y)


def test_fluxes_and_coefficients_are_recovered_exactly_without_noise():
    templates, truth = gaussian_field(20, SIDE, np.random.default_rng(1))
    background = 1e3 + 5.0 * Y - 3.0 * X + 2.0 * (2 * X**2 - 1) + 0.5 * X * Y
    answer = solve_fluxes(model_image(templates, truth, Y.shape, background), np.ones(Y.shape), templates, order=2)
    np.testing.assert_allclose(answer.flux, truth, rtol=1e-6)
    np.testing.assert_allclose(answer.coefficients, [1e3, 5.0, -3.0, 0.0, 0.5, 2.0], atol=1e-7)
    np.testing.assert_allclose(answer.background_image, background, atol=1e-7)
    assert answer.background == pytest.approx(background.mean()) and np.abs(answer.residual).max() < 1e-6


@pytest.mark.parametrize("tile_size", [5, 500])
def test_errors_agree_with_a_dense_design_matrix(tile_size):
    rng = np.random.default_rng(2)
    side, lag = 30, 2
    templates, truth = gaussian_field(9, side, rng, half=6)
    weight = rng.uniform(0.5, 2.0, (side, side)) * (rng.random((side, side)) > 0.1)
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    canvases = [model_image([template], np.ones(1), y.shape) for template in templates]
    design = np.array([*canvases, np.ones_like(y), y, x]).reshape(12, -1).T
    image = model_image(templates, truth, y.shape, 3.0 + y) + rng.normal(size=y.shape)
    answer = solve_fluxes(image, weight, templates, order=1, tile_size=tile_size)
    inverse = np.linalg.inv(design.T @ (weight.ravel()[:, None] * design))
    expected = inverse @ design.T @ (weight * image).ravel()
    np.testing.assert_allclose([*answer.flux, *answer.coefficients], expected, rtol=1e-7)
    np.testing.assert_allclose(covariance(answer), inverse, rtol=1e-5, atol=1e-8 * np.abs(inverse).max())
    np.testing.assert_allclose(answer.err, np.sqrt(np.diag(inverse))[:9], rtol=1e-7)
    usable = weight > 0
    mean = np.array([np.zeros(side * side)] * 9 + [t.ravel() for t in (np.ones_like(y), y, x)])[:, usable.ravel()].mean(
        1
    )
    assert answer.background_err == pytest.approx(np.sqrt(mean @ inverse @ mean), rel=1e-6)

    rows, columns = np.mgrid[-lag : lag + 1, -lag : lag + 1]
    correlation = positive_definite(np.exp(-(rows**2 + columns**2) / 1.5))
    noise = np.zeros((side * side, side * side))
    for dy in range(-lag, lag + 1):
        for dx in range(-lag, lag + 1):
            i, j = np.mgrid[max(0, -dy) : side - max(0, dy), max(0, -dx) : side - max(0, dx)]
            noise[(i * side + j).ravel(), ((i + dy) * side + j + dx).ravel()] = correlation[dy + lag, dx + lag]
    weighted = design * np.sqrt(weight.ravel())[:, None]
    sandwich = inverse @ weighted.T @ noise @ weighted @ inverse
    err, background = correlated_errors(answer, templates, weight, correlation)
    np.testing.assert_allclose(err, np.sqrt(np.diag(sandwich))[:9], rtol=1e-6)
    np.testing.assert_allclose(background, sandwich[9:, 9:], rtol=1e-5, atol=1e-8 * np.abs(sandwich).max())


def test_monte_carlo_changes_equal_those_of_a_fit_of_the_changed_image():
    rng = np.random.default_rng(3)
    templates, truth = gaussian_field(12, SIDE, rng)
    image, weight = model_image(templates, truth, Y.shape, 4.0 * X) + rng.normal(size=Y.shape), np.ones(Y.shape)
    answer = solve_fluxes(image, weight, templates, order=2)
    places = np.array([[(t.box.y0 + t.box.y1 - 1) // 2, (t.box.x0 + t.box.x1 - 1) // 2] for t in templates])
    change = monte_carlo(
        answer.residual, np.zeros(Y.shape, dtype=bool), templates, answer, weight, [(60.0, 60.0, 4.0)], positions=places
    )
    changed = image.copy()
    for row, column in np.argwhere(np.hypot(*(np.indices(Y.shape) - 60)) <= 4.0):
        y, x = row - 60 + places[3, 0], column - 60 + places[3, 1]
        changed[y, x] += answer.residual[row, column]
    again = solve_fluxes(changed, weight, templates, order=2)
    assert change[3, 0] == pytest.approx(again.flux[3] - answer.flux[3], rel=1e-6, abs=1e-7)


def faint_sources(shape, rng, *, step=15, flux):
    """Return sources of one flux on a grid, each off it by up to 4 pixels."""
    places = np.mgrid[10 : shape[0] - 9 : step, 10 : shape[1] - 9 : step].reshape(2, -1).T
    places = places + rng.uniform(-4.0, 4.0, places.shape)
    return [gaussian(k + 1, y, x, shape, half=8) for k, (y, x) in enumerate(places)], np.full(len(places), flux)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_faint_fluxes_on_a_gradient_are_unbiased(sigma):
    rng = np.random.default_rng(4)
    templates, truth = faint_sources(Y.shape, rng, flux=16.0)  # S/N 3 for white noise
    rows, columns = np.mgrid[-5:6, -5:6]
    correlation = positive_definite(np.exp(-(rows**2 + columns**2) / (4 * sigma**2))) if sigma else np.ones((1, 1))
    light, background = model_image(templates, truth, Y.shape), glow(Y.shape, 2.0)
    pulls, constant = [], []
    for _ in range(25):
        image = light + background + draw_noise(correlation, Y.shape, rng)
        answer = solve_fluxes(image, np.ones(Y.shape), templates, order=4)
        err = correlated_errors(answer, templates, np.ones(Y.shape), correlation)[0]
        pulls.append((answer.flux - truth) / err)
        constant.append((solve_fluxes(image, np.ones(Y.shape), templates).flux - truth) / answer.err)
    # 1600 pulls: 0.025 for their mean and 0.02 for their scatter
    assert abs(np.mean(pulls)) < 0.1 and np.std(pulls) == pytest.approx(1.0, abs=0.07)
    # of each source, over 25 images
    assert np.std(np.mean(pulls, axis=0)) < 0.3 < 1.0 < np.std(np.mean(constant, axis=0))


def test_coefficients_have_the_errors_of_their_scatter():
    rng = np.random.default_rng(5)
    templates, truth = faint_sources(Y.shape, rng, flux=30.0)
    light = model_image(templates, truth, Y.shape, 1.0 + 0.5 * Y * X)
    pulls = []
    for _ in range(60):
        answer = solve_fluxes(light + rng.normal(size=Y.shape), np.ones(Y.shape), templates, order=2)
        error = np.sqrt(np.diag(answer.terms_of(answer.inverse.schur_inverse)))
        pulls.append((answer.coefficients - [1.0, 0.0, 0.0, 0.0, 0.5, 0.0]) / error)
    # 360 pulls
    assert abs(np.mean(pulls)) < 0.2 and np.std(pulls) == pytest.approx(1.0, abs=0.15)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not here")
def test_faint_fluxes_on_a_gradient_in_real_noise():
    """The sky of MUSE between its galaxies, with a glow added: fluxes as in the same noise without it."""
    image = read_array(str(DATA / "muse-white.fits[DATA]"))[20:300, 20:300]
    sky = image - median(image[np.isfinite(image)])
    noise = robust_sigma(sky[np.isfinite(sky)])
    bright = grow_mask(~np.isfinite(sky) | (np.abs(np.nan_to_num(sky)) > 4.0 * noise), 3.0)
    rng = np.random.default_rng(6)
    weight = np.where(bright, 0.0, noise**-2)
    templates, truth = faint_sources(sky.shape, rng, flux=40.0 * noise)
    seen = [t for t in templates if (weight[t.box.slices] > 0).mean() > 0.9]
    truth = truth[: len(seen)]
    assert len(seen) > 60
    light = model_image(seen, truth, sky.shape)
    found = [
        rescale_weights(
            np.nan_to_num(sky) + light + extra, weight, seen, fwhm=3.5, noise_origin="image", name="muse", order=order
        )
        for extra, order in ((0.0, 0), (glow(sky.shape, 4.0 * noise), 4))
    ]
    errors = [measure_noise(fit, seen, name="muse").err for fit in found]
    change = (found[1].solution.flux - found[0].solution.flux) / errors[1]
    # real noise is correlated: errors of 2 times those of white noise
    assert np.median(errors[1] / found[1].solution.err) > 1.5
    assert abs(np.median(change)) < 0.1 and robust_sigma(change) < 0.5
    # the pulls themselves: real sky has undetected sources, and 60 pulls know their mean to 0.13
    pull = (found[1].solution.flux - truth) / errors[1]
    assert abs(np.median(pull)) < 0.4 and robust_sigma(pull) == pytest.approx(1.0, abs=0.35)
