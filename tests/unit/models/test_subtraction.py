from __future__ import annotations

import numpy as np
import pytest
from unblend.core.nouns import Box, Model, Template
from unblend.models.subtraction import flux_in_segment, subtract_models


def test_a_users_model_is_scaled_to_its_own_segment():
    light = np.array([[0.1, 0.2], [0.3, 0.4]])
    template = Template(7, Box(1, 1, 3, 3), light)
    stack = np.full((4, 4), 99.0)
    stack[1:3, 1:3] = 5.0 * light
    segments = np.zeros((4, 4), dtype=int)
    segments[1, 1:3] = 7
    stack[2, 1:3] = -1.0  # not its own: does not count
    assert flux_in_segment(template, stack, segments) == pytest.approx(5.0)
    stack[1, 1] = np.nan
    assert flux_in_segment(template, stack, segments) == pytest.approx(5.0)
    assert flux_in_segment(template, stack, np.zeros_like(segments)) == 0.0


class Stamps:
    """An engine whose template of a model is the model itself, at a given place."""

    def __init__(self, boxes):
        self.boxes = boxes

    def template(self, i, model):
        return Template(
            i, self.boxes[i], model.data / model.data.sum() if self.boxes[i].shape != (0, 0) else model.data
        )


def test_models_are_subtracted_with_their_own_flux_and_the_users_with_that_of_its_segment():
    boxes = {1: Box(0, 0, 2, 2), 2: Box(2, 2, 4, 4), 3: Box(0, 0, 0, 0)}
    light = np.array([[1.0, 2.0], [3.0, 4.0]])
    stack, segments = np.zeros((4, 4)), np.zeros((4, 4), dtype=int)
    stack[2:, 2:], segments[2:, 2:] = 7.0 * light, 2
    stack[0, 3] = np.nan
    models = [(i, Model(light, (0.5, 0.5), (0.0, 0.0), np.eye(2), 20.0), i != 2) for i in boxes]
    left = subtract_models(stack, segments, Stamps(boxes), models)
    np.testing.assert_allclose(left[:2, :2], -2.0 * light, rtol=1e-14)  # 20 times light / 10
    np.testing.assert_allclose(left[2:, 2:], 0.0, atol=1e-13)
    assert np.isnan(left[0, 3]) and stack[0, 0] == 0.0
