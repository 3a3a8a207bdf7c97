from __future__ import annotations

import math

import numpy as np
import pytest
from unblend.core.units import (
    FWHM_PER_SIGMA,
    flux_to_mag,
    flux_to_ujy,
    jy_of_flux_per_wavelength,
    round_significant,
    zero_point_of_jy,
)


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


def test_zero_points_of_flux_densities():
    assert [zero_point_of_jy(jy) for jy in (1.0, 1e-6, 1e-8)] == pytest.approx([8.9, 23.9, 28.9])


def test_flux_per_wavelength():
    """An AB source of magnitude 0 has 0.1088 / lambda^2 erg/s/cm2/Angstrom, with lambda in Angstrom."""
    assert jy_of_flux_per_wavelength(0.10885 / 5000.0**2, 5000.0) == pytest.approx(3631.0, rel=1e-3)
