"""Shapes of single stars: exact for Gaussians of any shape and place, and hardly changed by noise and wings."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.images.star_psf import Moffat, StarStamp
from unblend.images.star_shapes import star_shape

SIDE = 41
ROWS, COLUMNS = np.indices((SIDE, SIDE)).astype(float)


def stamp_of(light: np.ndarray, y: float, x: float, error: float = 1.0) -> StarStamp:
    return StarStamp(light + 3.0, np.full(light.shape, error), y, x, 1000.0, np.zeros((0, 3)), 3.0)


def gaussian(y: float, x: float, sigma: float, ell: float, pa: float) -> np.ndarray:
    """Return a Gaussian; `sigma` is the geometric mean, `pa` from +y towards −x."""
    along = np.array([np.cos(np.radians(pa)), -np.sin(np.radians(pa))])
    dy, dx = ROWS - y, COLUMNS - x
    major, minor = sigma / np.sqrt(1.0 - ell), sigma * np.sqrt(1.0 - ell)
    u, v = dy * along[0] + dx * along[1], dx * along[0] - dy * along[1]
    light = np.exp(-0.5 * ((u / major) ** 2 + (v / minor) ** 2))
    return 1000.0 * light / light.sum()


@pytest.mark.parametrize(
    ("sigma", "ell", "pa"), [(1.2, 0.0, 0.0), (1.5, 0.1, 30.0), (2.5, 0.4, 120.0), (2.0, 0.2, 179.0)]
)
def test_a_gaussian_has_its_own_shape(sigma, ell, pa):
    found = star_shape(stamp_of(gaussian(20.3, 19.6, sigma, ell, pa), 20.3, 19.6), 4.0)
    # sampled at the centres of pixels
    assert found.fwhm == pytest.approx(2.3548 * sigma, rel=1e-3) and found.ell == pytest.approx(ell, abs=1e-3)
    if ell:
        assert (found.pa - pa + 90.0) % 180.0 - 90.0 == pytest.approx(0.0, abs=0.2)


def test_noise_and_a_masked_corner_hardly_change_it():
    rng, found = np.random.default_rng(1), []
    for _ in range(50):
        stamp = stamp_of(gaussian(20.0, 20.0, 1.6, 0.15, 60.0) + rng.normal(0.0, 1.0, (SIDE, SIDE)), 20.0, 20.0)
        stamp.error[:6, :6] = np.inf
        stamp.data[:6, :6] = 1e6
        shape = star_shape(stamp, 3.0)
        found.append((shape.fwhm, shape.ell, shape.pa))
    fwhm, ell, pa = np.array(found).T
    # S/N = 1000 / (1 × √(4π) 1.6) = 176: 1 % in width and in the axis ratio
    assert np.mean(fwhm) == pytest.approx(2.3548 * 1.6, rel=0.003) and np.std(fwhm) / 3.77 < 0.01
    assert np.mean(ell) == pytest.approx(0.15, abs=0.005) and np.std(ell) < 0.02 and np.std(pa) < 6.0


def test_a_round_profile_with_wings_is_round():
    light = 1000.0 * Moffat(2.5, 2.5)(ROWS - 20.2, COLUMNS - 20.1)
    found = star_shape(stamp_of(light, 20.2, 20.1), 3.0)
    # the core decides: the FWHM of the profile is 2.8
    assert found.ell < 2e-3 and found.fwhm == pytest.approx(Moffat(2.5, 2.5).fwhm, rel=0.25)


def test_what_is_no_star_has_no_shape():
    assert np.isnan(star_shape(stamp_of(np.zeros((SIDE, SIDE)), 20.0, 20.0), 3.0).fwhm)
    assert np.isnan(star_shape(stamp_of(-gaussian(20.0, 20.0, 1.5, 0.0, 0.0) + 1.0, 20.0, 20.0), 3.0).ell)
