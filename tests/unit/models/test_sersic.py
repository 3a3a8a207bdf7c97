from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaincinv
from unblend.models.sersic import (
    Sersic,
    b_n,
    intensity_from_flux,
    k_n,
    total_flux,
)


@pytest.mark.parametrize(("n", "expected"), [(0.5, math.log(2.0)), (1.0, 1.678347), (4.0, 7.669249)])
def test_b_n_of_gaussian_exponential_and_de_vaucouleurs(n, expected):
    # Graham & Driver 2005 give six decimals
    assert b_n(n) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [0.02, 0.1, 0.29, 0.31, 0.7, 2.0, 8.0, 20.0])
def test_b_n_is_the_inverse_of_the_incomplete_gamma_function(n):
    # in the wings 1 - P has lost digits; for the half, scipy's own inverse is good to a few 1e-14
    for share, accuracy in ((0.5, 1e-13), (0.9, 1e-13), (0.999, 1e-11)):
        assert b_n(n, share) == pytest.approx(gammaincinv(2.0 * n, share), rel=accuracy)


def test_b_n_of_an_invalid_index():
    assert math.isnan(b_n(0.0)) and math.isnan(b_n(-1.0)) and math.isnan(b_n(math.nan))


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
def test_k_n_is_the_integral_of_the_profile(n):
    value, _ = quad(lambda t: 2 * math.pi * t ** (2 * n - 1) * n * math.exp(-b_n(n) * (t - 1)), 0.0, np.inf)
    assert k_n(n) == pytest.approx(value, rel=1e-7)  # the quadrature's own accuracy


def test_flux_and_intensity_are_inverse():
    assert total_flux(2.0, 3.0, 0.4, intensity_from_flux(2.0, 3.0, 0.4, 55.0)) == pytest.approx(55.0, rel=1e-12)
    assert Sersic(0, 0, 0, 0.4, 2.0, intensity_from_flux(2.0, 3.0, 0.4, 55.0), 3.0).total_flux == pytest.approx(55.0)
