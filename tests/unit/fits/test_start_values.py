from __future__ import annotations

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy
from unblend.fits.start_values import half_light_radius_pixels, start_values


def test_half_light_radius_of_a_gaussian():
    y, x = np.mgrid[-20:21, -20:21]
    image = np.exp(-(y**2 + x**2) / (2 * 3.0**2))
    # r50 = 1.1774 sigma; 3 % for counting whole pixels
    assert half_light_radius_pixels(image) == pytest.approx(1.1774 * 3.0, rel=0.03)


@pytest.mark.parametrize(
    ("n", "r_e", "ell", "pa"), [(1.0, 4.0, 0.4, 30.0), (1.0, 4.0, 0.5, 170.0), (2.5, 3.0, 0.4, 100.0)]
)
def test_start_values_are_near_the_truth(n, r_e, ell, pa):
    light = galaxy(24.3, 27.6, 3000.0, n, r_e, ell, pa)
    start = start_values(light, light > 1.5, fitting_psf())
    assert (start.y, start.x) == (pytest.approx(24.3, abs=0.05), pytest.approx(27.6, abs=0.05))
    # start values may be wrong by 30 % in r_e, a few degrees, 0.15 in ell and a fifth of the flux
    assert start.r_e == pytest.approx(r_e, rel=0.3)
    assert abs((start.pa - pa + 90.0) % 180.0 - 90.0) < 3.0
    assert start.ell == pytest.approx(ell, abs=0.15)
    assert start.total_flux == pytest.approx(3000.0, rel=0.2)


@pytest.mark.parametrize("value", [np.nan, 0.0, -5.0])
def test_a_segment_without_flux_has_start_values(value):
    segment = np.zeros((9, 9), dtype=bool)
    segment[2:5, 3:7] = True
    start = start_values(np.full((9, 9), value), segment, fitting_psf())
    assert start.total_flux > 0
    assert (start.y, start.x) == (pytest.approx(3.0), pytest.approx(4.5))
    assert start.r_e > 0


def test_start_values_scale_with_the_unit():
    light = galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)
    small = start_values(light * 2.0**-80, light > 1.5, fitting_psf())
    assert small.total_flux == pytest.approx(2.0**-80 * start_values(light, light > 1.5, fitting_psf()).total_flux)
