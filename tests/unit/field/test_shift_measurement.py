"""Which sources can be references of a shift search."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.core.types import Model
from unblend.field.shift_measurement import reference_radius_arcsec


def test_a_users_model_has_a_radius_and_can_be_a_reference():
    rows, columns = np.indices((101, 101)) - 50
    gauss = np.exp(-(rows**2 + columns**2) / 200.0)  # sigma of 10 pixels of 0.02"
    model = Model(gauss, (50.0, 50.0), (150.0, 2.0), 0.02 * np.eye(2), gauss.sum())
    row = np.array([(5, int(Flag.CUSTOM_MODEL), np.nan)], dtype=[("id", "i4"), ("flag", "i4"), ("r_e_arcsec", "f8")])
    # half the light of a Gaussian lies within 1.1774 sigma; half a pixel is what the count of pixels allows
    assert reference_radius_arcsec(row[0], {5: model}) == pytest.approx(0.235, abs=0.01)
    point = Model(np.ones((1, 1)), (0.0, 0.0), (150.0, 2.0), 0.02 * np.eye(2), 1.0)
    assert np.isnan(reference_radius_arcsec(row[0], {5: point}))
    row["flag"], row["r_e_arcsec"] = 0, 0.4
    # the pixels of a fitted model are not needed
    assert reference_radius_arcsec(row[0], {}) == pytest.approx(0.4)
    row["flag"] = int(Flag.POINT_SOURCE)
    assert np.isnan(reference_radius_arcsec(row[0], {5: model}))
