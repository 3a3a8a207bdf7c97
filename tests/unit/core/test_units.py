from __future__ import annotations

import math

import numpy as np
import pytest
from unblend.core.units import FWHM_PER_SIGMA, flux_to_mag, flux_to_ujy, round_significant


def test_fwhm_of_a_gaussian():
    assert math.exp(-0.5 * (FWHM_PER_SIGMA / 2) ** 2) == pytest.approx(0.5)


def test_microjansky():
    assert flux_to_ujy(np.array([2.0]), 23.9) == pytest.approx([2.0])
    assert flux_to_ujy(np.array([1.0, -1.0]), 26.4) == pytest.approx([0.1, -0.1])
    assert flux_to_ujy(np.array([1.0]), 21.4) == pytest.approx([10.0])


def test_magnitudes():
    magnitudes = flux_to_mag(np.array([1.0, 100.0, 0.0, -3.0, np.nan]), 25.0)
    assert magnitudes[:2] == pytest.approx([25.0, 20.0])
    assert np.isnan(magnitudes[2:]).all()


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [(123456.0, 3, 123000.0), (-0.00123456, 2, -0.0012), (9.999, 2, 10.0), (0.0, 3, 0.0), (1e-300, 2, 1e-300)],
)
def test_round_significant(value, digits, rounded):
    assert round_significant(value, digits) == pytest.approx(rounded, rel=1e-12)


def test_round_significant_of_nan_and_infinity():
    assert math.isnan(round_significant(math.nan, 3)) and round_significant(math.inf, 3) == math.inf
