"""What scripts compute themselves."""

from __future__ import annotations

import numpy as np
import pytest
from subtract_models import flux_in_segment
from unblend.domain import Box, Template


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
