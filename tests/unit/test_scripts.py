"""What scripts compute themselves."""

from __future__ import annotations

import numpy as np
import pytest
from measure_shift import radius_arcsec
from subtract_models import flux_in_segment
from unblend.domain import Box, Model, Template
from unblend.flags import Flag


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


def test_a_users_model_has_a_radius_and_can_be_a_reference():
    rows, columns = np.indices((101, 101)) - 50
    gauss = np.exp(-(rows**2 + columns**2) / 200.0)  # sigma of 10 pixels of 0.02"
    model = Model(gauss, (50.0, 50.0), (150.0, 2.0), 0.02 * np.eye(2), gauss.sum())
    row = np.array([(int(Flag.CUSTOM_MODEL), np.nan)], dtype=[("flag", "i4"), ("r_e_arcsec", "f8")])
    # half the light of a Gaussian lies within 1.1774 sigma; half a pixel is what the count of pixels allows
    assert radius_arcsec(row[0], model) == pytest.approx(0.235, abs=0.01)
    point = Model(np.ones((1, 1)), (0.0, 0.0), (150.0, 2.0), 0.02 * np.eye(2), 1.0)
    assert np.isnan(radius_arcsec(row[0], point))
    row["flag"], row["r_e_arcsec"] = 0, 0.4
    assert radius_arcsec(row[0], model) == pytest.approx(0.4)
    row["flag"] = int(Flag.POINT_SOURCE)
    assert np.isnan(radius_arcsec(row[0], model))
