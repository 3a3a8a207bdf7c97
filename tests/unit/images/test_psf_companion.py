"""A neighbour in the stamp of a PSF is found; wings, rings, spikes, lobes and noise are not."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from unblend.images.psf import prepare_psf
from unblend.images.psf_companion import find_companion

Y, X = np.indices((41, 41)) - 20.0
R = np.hypot(Y, X)
FWHM = 4.0


def star(y=0.0, x=0.0):
    return np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * (FWHM / 2.3548) ** 2))


@pytest.mark.parametrize(("y", "x", "height"), [(8.0, -3.0, 0.1), (0.0, 15.0, 0.03), (-7.0, 0.0, 0.5)])
def test_a_neighbour_is_found(y, x, height):
    found = find_companion(star() + height * star(y, x), (20.0, 20.0), FWHM)
    assert found is not None and found.place == (20 + y, 20 + x) and found.height == pytest.approx(height, rel=0.1)


def test_wings_rings_and_spikes_are_not_neighbours():
    ring = 0.05 * np.exp(-0.5 * ((R - 9.0) / 1.5) ** 2) * (1.0 + 0.4 * np.cos(np.arctan2(Y, X)))
    spikes = 0.05 * (np.abs(Y * X) < 1.0) * (R < 18)
    rng = np.random.default_rng(1)
    for added in (0.0 * R, ring, spikes, 0.1 / (1.0 + R**2), rng.normal(0.0, 0.004, R.shape)):
        assert find_companion(star() + added, (20.0, 20.0), FWHM) is None
    # a lobe is no second peak
    assert find_companion(0.8 * star() + 0.2 * star(0.0, 4.0), (20.0, 20.0), FWHM) is None


def test_the_user_is_told(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        prepare_psf(star() + 0.1 * star(8.0, -3.0), name="k-psf.fits")
    assert "k-psf.fits: the PSF has a second peak of 10 % of the first at x=18 y=29 (1-based)" in caplog.text
