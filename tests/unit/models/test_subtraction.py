from __future__ import annotations

import numpy as np
import pytest
from unblend.core.types import Box, Model, Template
from unblend.models.subtraction import flux_in_segment, subtract_models

LIGHT = np.array([[0.1, 0.2], [0.3, 0.4]])
TEMPLATE = Template(7, Box(1, 1, 3, 3), LIGHT)


@pytest.fixture
def images():
    """Stack, error, segments, mask: a template of flux 5 whose segment is the upper row of its box."""
    stack = np.full((4, 4), 99.0)
    stack[1, 1:3], stack[2, 1:3] = 5.0 * LIGHT[0], -1.0
    segments = np.zeros((4, 4), dtype=int)
    segments[1, 1:3] = 7
    return stack, np.ones((4, 4)), segments, np.zeros((4, 4), dtype=bool)


def in_box(images):
    """Return the parts of the images in the box of the template."""
    return [image[TEMPLATE.box.slices] for image in images]


def test_flux_of_a_template_comes_from_its_own_segment(images):
    stack, error, segments, mask = in_box(images)
    assert flux_in_segment(TEMPLATE, stack, error, segments, mask) == pytest.approx(5.0)
    assert flux_in_segment(TEMPLATE, stack, error, np.zeros_like(segments), mask) == 0.0
    assert flux_in_segment(TEMPLATE, stack, error, segments, ~mask) == 0.0


def test_flux_of_a_template_is_weighted_by_the_inverse_variance(images):
    stack, error = images[:2]
    stack[1, 1], error[1, 1] = 1.0, 2.0
    # pixels 1 and 1 (light 0.1 and 0.2, weights 1/4 and 1): (0.1/4 + 0.2) / (0.01/4 + 0.04)
    assert flux_in_segment(TEMPLATE, *in_box(images)) == pytest.approx(0.225 / 0.0425)


@pytest.mark.parametrize("unusable", ["data", "error", "zero error", "mask"])
def test_unusable_pixels_do_not_enter_the_flux(images, unusable):
    stack, error, _, mask = images
    stack[1, 1] = np.nan if unusable == "data" else 1e6
    error[1, 1] = {"error": np.inf, "zero error": 0.0}.get(unusable, 1.0)
    mask[1, 1] = unusable == "mask"
    assert flux_in_segment(TEMPLATE, *in_box(images)) == pytest.approx(5.0)


class Stamps:
    """An engine whose template of a model is the model itself, at a given place."""

    def __init__(self, boxes):
        self.boxes = boxes

    def template(self, i, model):
        return Template(
            i, self.boxes[i], model.data / model.data.sum() if self.boxes[i].shape != (0, 0) else model.data
        )


def test_fitted_models_are_subtracted_with_their_own_flux_and_others_with_that_in_their_segment():
    boxes = {1: Box(0, 0, 2, 2), 2: Box(2, 2, 4, 4), 3: Box(0, 0, 0, 0)}
    light = np.array([[1.0, 2.0], [3.0, 4.0]])
    stack, segments = np.zeros((4, 4)), np.zeros((4, 4), dtype=int)
    stack[2:, 2:], segments[2:, 2:] = 7.0 * light, 2
    stack[0, 3] = np.nan
    # the masked outlier and the pixel without weight do not change the flux of 70
    error, mask = np.ones((4, 4)), np.zeros((4, 4), dtype=bool)
    stack[2, 2], mask[2, 2] = 500.0, True
    stack[2, 3], error[2, 3] = -500.0, np.inf
    models = [(i, Model(light, (0.5, 0.5), (0.0, 0.0), np.eye(2), 20.0), i != 2) for i in boxes]

    def flux_of(template):
        return flux_in_segment(template, *(a[template.box.slices] for a in (before, error, segments, mask)))

    before = stack.copy()
    residual = subtract_models(stack, Stamps(boxes), models, flux_of)
    np.testing.assert_allclose(residual[:2, :2], -2.0 * light, rtol=1e-14)  # 20 times light / 10
    np.testing.assert_allclose(residual[3, 2:], 0.0, atol=1e-13)
    np.testing.assert_allclose(residual[2, 2:], [493.0, -514.0])
    assert np.isnan(residual[0, 3]) and residual is stack
