from __future__ import annotations

import blurred_band as band
import numpy as np
import pytest
from unblend.core.types import Box, Template
from unblend.photometry.residual_peaks import MisfitLight, PointFilter, highest_pixels, template_centre, value_at

POINT = band.drawn(band.point(), 6.0, 6.0, shape=(13, 13))
"""A point source out to two FWHM."""


def test_the_filter_measures_the_flux_of_a_point_source_on_a_pedestal():
    flux, ratio = PointFilter(np.full(band.SHAPE, 4.0), POINT)(7.0 + 50.0 * band.drawn(band.point(), 40.0, 50.0))
    assert flux[40, 50] == pytest.approx(50.0, rel=1e-3)
    # for white noise of 1/2 the error is 1/2 (sum P^2)^-1/2, and larger by some 10 % for the constant
    alone = 50.0 * 2.0 * np.sqrt(np.sum(POINT**2))
    assert 0.85 * alone < ratio[40, 50] < alone
    assert abs(flux[20, 20]) < 1e-3


def test_the_scatter_of_the_filter_is_that_of_the_noise():
    finder = PointFilter(np.full(band.SHAPE, 1.0), POINT)
    nowhere = np.zeros(band.SHAPE, dtype=bool)
    for sigma, largest in ((0.0, 1.1), (0.6, 2.2)):
        _, ratio = finder(3.0 * band.noise(2, sigma))
        assert finder.scatter(ratio, nowhere) / 3.0 == pytest.approx(np.std(ratio) / 3.0, rel=0.1)
        assert 0.9 < finder.scatter(ratio, nowhere) / 3.0 < largest


def test_masked_pixels_are_ignored_and_too_many_of_them_end_the_search():
    weight = np.ones(band.SHAPE)
    weight[40, 51] = 0.0
    weight[:, :10] = 0.0
    image = 50.0 * band.drawn(band.point(), 40.0, 50.0)
    image[40, 51], image[:, :10] = 1e9, np.nan
    finder = PointFilter(weight, POINT)
    flux, ratio = finder(image)
    assert flux[40, 50] == pytest.approx(50.0, rel=1e-3)
    assert not finder.usable[40, 8] and ratio[40, 8] == 0.0 and finder.usable[40, 14]
    assert PointFilter(np.zeros(band.SHAPE), POINT).scatter(ratio, weight == 0) == np.inf


def test_misfit_is_a_fraction_of_a_points_light_and_several_times_that_of_a_galaxy():
    star, disc = band.template(1, band.point(), 30.0, 30.0), band.template(2, band.galaxy(8.0), 60.0, 60.0)
    misfit = MisfitLight([star, disc], np.array([100.0, 100.0]), POINT, band.FWHM)
    assert misfit.fraction[0] == pytest.approx(0.3, abs=0.01) and misfit.fraction[1] > 2.6
    light = misfit.image(band.SHAPE)
    assert misfit.at(30.0, 30.0, light, {}) == pytest.approx(30.0 * star.data.max(), rel=0.01)
    # at 4 FWHM of the star: 0.1 / 16 of its peak
    assert misfit.at(30.0, 18.0, light, {}) == pytest.approx(100.0 * star.data.max() * 0.1 / 16.0, rel=0.05)
    assert misfit.at(60.0, 64.0, light, {}) > 2.0 * 100.0 * value_at(disc, 60, 64)
    # with the star at a tenth of its flux
    assert misfit.at(30.0, 30.0, light, {0: 10.0}) == pytest.approx(3.0 * star.data.max(), rel=0.01)


def test_sources_without_a_flux_leave_nothing():
    empty = Template(3, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
    templates = [band.template(1, band.point(), 30.0, 30.0), band.template(2, band.point(), 50.0, 30.0), empty]
    misfit = MisfitLight(templates, np.array([np.nan, -5.0, 1.0]), POINT, band.FWHM)
    light = misfit.image(band.SHAPE)
    assert not light.any() and misfit.at(30.0, 30.0, light, {}) == 0.0
    assert np.isnan(misfit.centres[2]).all()


@pytest.mark.parametrize("place", [(40.0, 50.0), (40.4, 49.7)])
def test_the_centre_of_a_template(place):
    assert template_centre(band.template(1, band.galaxy(2.0), *place)) == pytest.approx(place, abs=0.1)


def test_peaks_are_local_maxima_in_order():
    ratio = np.zeros((20, 20))
    ratio[5, 5], ratio[5, 6], ratio[12, 15], ratio[18, 2] = 6.0, 5.5, 9.0, 4.9
    everywhere = np.ones(ratio.shape, dtype=bool)
    assert highest_pixels(ratio, 5.0, 1.5, everywhere) == [(12, 15), (5, 5)]
    everywhere[12] = False
    assert highest_pixels(ratio, 5.0, 1.5, everywhere) == [(5, 5)]
