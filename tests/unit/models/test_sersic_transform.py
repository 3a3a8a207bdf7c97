from __future__ import annotations

import numpy as np
import pytest
from unblend.models.sersic import b_n
from unblend.models.sersic_transform import sersic_derivatives, sersic_transform

RHO = np.array([0.0, 1e-3, 0.03, 0.3, 1.0, 3.0, 10.0, 30.0])
# Linear interpolation between points that lie 3 % apart in ρ.
PRECISION = 1e-4


def test_a_gaussian():
    found = sersic_transform(RHO, 0.5)[0]
    assert found == pytest.approx(np.exp(-(RHO**2) / (4.0 * b_n(0.5))), abs=PRECISION)


def test_an_exponential():
    found, slope, _ = sersic_transform(RHO, 1.0)
    square = (RHO / b_n(1.0)) ** 2
    assert found == pytest.approx((1.0 + square) ** -1.5, abs=PRECISION)
    # a slope taken over two points is less exact
    assert slope == pytest.approx(-3.0 * square * (1.0 + square) ** -2.5, abs=1e-3)


@pytest.mark.parametrize("n", [0.4, 2.5, 4.0, 6.0])
def test_against_galsim(n):
    galsim = pytest.importorskip("galsim")
    profile = galsim.Sersic(n, half_light_radius=1.0)
    expected = [profile.kValue(rho, 0.0).real for rho in RHO]
    assert sersic_transform(RHO, n)[0] == pytest.approx(expected, abs=PRECISION)


@pytest.mark.parametrize("n", [0.1, 0.7, 3.0, 8.0])
def test_the_derivative_with_respect_to_n(n):
    step = 0.01 * n
    found = sersic_transform(RHO, n)[2]
    expected = (sersic_transform(RHO, n + step)[0] - sersic_transform(RHO, n - step)[0]) / (2.0 * step)
    # the changed profiles carry the error of the interpolation, divided by the step
    assert found == pytest.approx(expected, abs=0.02 * np.abs(expected).max() + PRECISION / n)
    assert np.isfinite(sersic_transform(RHO, n)).all()


@pytest.mark.parametrize("name", ["pa", "ell", "n", "r_e"])
def test_derivatives_of_a_rotated_elliptical_profile(name):
    shape = {"pa": 30.0, "ell": 0.4, "n": 2.0, "r_e": 3.0}
    ky, kx = np.fft.fftfreq(21), np.fft.rfftfreq(21)
    jacobian = np.array([[0.4, 0.1], [-0.2, 0.5]])
    step = {"pa": 0.5, "ell": 0.005, "n": 0.02, "r_e": 0.03}[name]
    order = ["y", "x", "pa", "ell", "n", "r_e"]
    found = sersic_derivatives(ky, kx, jacobian, **shape)[1][order.index(name)].real
    ends = [sersic_derivatives(ky, kx, jacobian, **{**shape, name: shape[name] + s})[0] for s in (step, -step)]
    expected = (ends[0] - ends[1]) / (2.0 * step)
    # the interpolation's error over the step
    assert found == pytest.approx(expected, abs=0.02 * np.abs(expected).max())


def test_the_axes():
    # pa = 0: the major axis lies along y, so that along y the transform falls off first
    ky = kx = np.array([0.0, 0.1])
    seen, _ = sersic_derivatives(ky, kx, np.eye(2), pa=0.0, ell=0.5, n=1.0, r_e=3.0)
    assert seen[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert seen[1, 0] == pytest.approx(sersic_transform(np.array([0.6 * np.pi]), 1.0)[0][0])
    assert seen[0, 1] == pytest.approx(sersic_transform(np.array([0.3 * np.pi]), 1.0)[0][0])
