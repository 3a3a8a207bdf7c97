from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from photutils.aperture import CircularAperture, aperture_photometry
from unblend.core.types import Box
from unblend.photometry.aperture import aperture_fluxes, circle_weights
from unblend.photometry.correlated_noise import draw_noise, positive_definite
from unblend.photometry.linear_system import model_image, solve_fluxes

SHAPE, SIGMA = (70, 80), 2.0
RADIUS = 2.355 * SIGMA
PLACES = [(20.3, 20.2), (24.1, 22.9), (45.5, 60.25)]
TEMPLATES = [gaussian(k + 1, y, x, SHAPE, sigma=SIGMA, half=15) for k, (y, x) in enumerate(PLACES)]
FLUX = np.array([900.0, 400.0, 600.0])
WHITE = np.ones((1, 1))
WEIGHT = np.full(SHAPE, 0.25)


@pytest.mark.parametrize("radius", [0.6, 3.0, 4.71])
def test_the_circle_is_that_of_photutils(radius):
    expected = CircularAperture((60.25, 45.5), radius).to_mask(method="exact").to_image(SHAPE)
    box = Box(36, 50, 56, 72)
    np.testing.assert_allclose(circle_weights(box, 45.5, 60.25, radius), expected[box.slices], atol=1e-6)


def test_fluxes_are_those_of_photutils_without_the_neighbours():
    rng = np.random.default_rng(1)
    # the third source is broader than its template
    image = model_image(TEMPLATES[:2], FLUX[:2], SHAPE) + 5.0 + rng.normal(0.0, 2.0, SHAPE)
    broad = gaussian(3, *PLACES[2], SHAPE, sigma=1.3 * SIGMA, half=15)
    image[broad.box.slices] += 600.0 * broad.data
    solution = solve_fluxes(image, WEIGHT, TEMPLATES)
    found = aperture_fluxes(solution, TEMPLATES, WEIGHT, WHITE, RADIUS)
    for k, (y, x) in enumerate(PLACES):
        others = [template for j, template in enumerate(TEMPLATES) if j != k]
        alone = image - model_image(others, np.delete(solution.flux, k), SHAPE, solution.background)
        circle = CircularAperture((x, y), RADIUS)
        light = aperture_photometry(alone, circle)["aperture_sum"][0]
        whole = aperture_photometry(model_image([TEMPLATES[k]], np.ones(1), SHAPE), circle)["aperture_sum"][0]
        assert found.flux[k] == pytest.approx(light / whole, rel=1e-4)
        assert found.fraction[k] == pytest.approx(whole, rel=1e-4)
    # a circle of two FWHM holds 94 % of a Gaussian
    assert found.fraction == pytest.approx(0.9375, abs=0.006)


@pytest.mark.parametrize("correlation", [WHITE, "smooth"], ids=["white", "correlated"])
def test_the_error_is_the_scatter_in_the_circle(correlation):
    if isinstance(correlation, str):
        rows, columns = np.mgrid[-4:5, -4:5]
        correlation = positive_definite(np.exp(-(rows**2 + columns**2) / (4 * 0.8**2)))
    rng = np.random.default_rng(2)
    solution = solve_fluxes(model_image(TEMPLATES, FLUX, SHAPE), WEIGHT, TEMPLATES)
    expected = aperture_fluxes(solution, TEMPLATES, WEIGHT, correlation, RADIUS)
    circle = CircularAperture([(x, y) for y, x in PLACES], RADIUS)
    sums = [aperture_photometry(2.0 * draw_noise(correlation, SHAPE, rng), circle)["aperture_sum"] for _ in range(300)]
    # 300 draws give each scatter to 4 %
    assert expected.err * expected.fraction == pytest.approx(np.std(sums, axis=0), rel=0.15)


def test_masked_pixels_count_neither_as_light_nor_as_fraction():
    weight = WEIGHT.copy()
    weight[:, 61:] = 0.0
    image = model_image(TEMPLATES, FLUX, SHAPE)
    image[:, 61:] = 1e5
    solution = solve_fluxes(image, weight, TEMPLATES)
    found = aperture_fluxes(solution, TEMPLATES, weight, WHITE, RADIUS)
    assert found.flux == pytest.approx(FLUX, rel=1e-6)
    assert 0.4 < found.fraction[2] < 0.65 < found.fraction[0]
    weight[:, 50:] = 0.0
    weight[40, 50] = 0.25
    found = aperture_fluxes(solve_fluxes(image, weight, TEMPLATES), TEMPLATES, weight, WHITE, RADIUS)
    assert np.isnan([found.flux[2], found.err[2], found.fraction[2]]).all()
