from __future__ import annotations

import numpy as np
from gaussians import gaussian_field
from unblend.core.types import Box
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.template_products import TemplateProducts

SIDE = 60


def test_products_give_the_change_of_the_fluxes_for_a_change_of_the_image():
    rng = np.random.default_rng(3)
    templates, truth = gaussian_field(9, SIDE, rng)
    weight = rng.uniform(0.5, 2.0, (SIDE, SIDE)) * (rng.random((SIDE, SIDE)) > 0.1)
    image = model_image(templates, truth, (SIDE, SIDE), 2.0)
    solution = solve_fluxes(image, weight, templates, order=1)
    box = Box(20, 15, 41, 38)
    changes = rng.normal(size=(2, *box.shape))
    met, products = TemplateProducts(solution, templates, weight)(changes, box)
    right = np.zeros((solution.inverse.size, 2))
    right[met] = products.T
    for found, change in zip(solution.inverse.apply(right).T, changes, strict=True):
        changed = image.copy()
        changed[box.slices] += change
        again = solve_fluxes(changed, weight, templates, order=1)
        expected = np.append(again.flux - solution.flux, again.coefficients - solution.coefficients)
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_pixels_without_weight_or_value_do_not_count():
    templates, truth = gaussian_field(3, SIDE, np.random.default_rng(4))
    image, weight = model_image(templates, truth, (SIDE, SIDE)), np.ones((SIDE, SIDE))
    image[10:20], weight[30:40], weight[41] = np.nan, 0.0, np.nan
    products = TemplateProducts(solve_fluxes(image, weight, templates), templates, weight)
    for box in (Box(10, 0, 20, SIDE), Box(30, 0, 40, SIDE), Box(41, 0, 42, SIDE)):
        assert not products(np.full((1, *box.shape), 7.0), box)[1].any()
