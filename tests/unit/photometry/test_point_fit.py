from __future__ import annotations

import blurred_band as band
import numpy as np
import pytest
from unblend.photometry.linear_system import solve_fluxes
from unblend.photometry.point_fit import PointFit, PointFitter
from unblend.photometry.residual_peaks import template_centre

PLACE = (40.37, 49.61)
NEIGHBOUR = (42.0, 52.0)
"""2.9 pixels, about one FWHM, from the point source."""


def fitted(image: np.ndarray, templates: list, start: tuple[float, float], **options) -> PointFit | None:
    weight = np.ones(band.SHAPE)
    solution = solve_fluxes(image, weight, templates)
    centres = np.array([template_centre(t) for t in templates]).reshape(-1, 2)
    scales = (1.0, 1.0)
    return PointFitter(band.engine(), templates, centres, solution, weight, band.FWHM, scales)(*start, **options)


def test_position_and_flux_are_found_although_the_neighbour_had_taken_the_light():
    neighbour = band.template(1, band.galaxy(1.5), *NEIGHBOUR)
    light = 500.0 * band.drawn(band.point(), *PLACE) + 800.0 * band.drawn(band.galaxy(1.5), *NEIGHBOUR)
    image = light + band.noise(1, 0.0)
    assert solve_fluxes(image, np.ones(band.SHAPE), [neighbour]).flux[0] > 900.0
    fit = fitted(image, [neighbour], (40.0, 49.0))
    assert fit is not None
    # the error of the position is the FWHM over the S/N, 0.06 pixels
    assert (fit.y, fit.x) == pytest.approx(PLACE, abs=0.2)
    assert fit.flux == pytest.approx(500.0, abs=4.0 * fit.flux / fit.snr)
    assert fit.neighbours[0] == pytest.approx(800.0, abs=60.0)
    alone = 500.0 * np.sqrt(np.sum(band.drawn(band.point(), *PLACE) ** 2))
    assert fit.explained > 0.98 and 0.5 * alone < fit.snr < alone


def test_errors_are_those_of_the_scatter():
    neighbour = band.template(1, band.galaxy(1.5), *NEIGHBOUR)
    light = 200.0 * band.drawn(band.point(), *PLACE) + 300.0 * band.drawn(band.galaxy(1.5), *NEIGHBOUR)
    fits = [fitted(light + band.noise(seed, 0.0), [neighbour], (40.0, 50.0)) for seed in range(30)]
    pulls = [(fit.flux - 200.0) / (fit.flux / fit.snr) for fit in fits if fit is not None]
    assert len(pulls) == 30 and abs(np.mean(pulls)) < 0.6
    assert 0.7 < np.std(pulls) < 1.3


@pytest.mark.parametrize(("width", "low", "high"), [(1.0, 0.95, 1.0), (2.0, 0.2, 0.74), (2.5, 0.1, 0.6)])
def test_a_galaxy_is_not_explained_by_a_point(width, low, high):
    image = 2000.0 * band.drawn(band.point(), *PLACE, psf=band.moffat(2.8 * width)) + band.noise(3, 0.0)
    fit = fitted(image, [band.template(1, band.point(), 10.0, 10.0)], (40.0, 50.0))
    assert fit is not None and low <= fit.explained <= high


def test_a_hot_pixel_is_not_explained_by_a_point():
    image = band.noise(3, 0.0)
    image[40, 50] += 200.0
    fit = fitted(image, [band.template(1, band.point(), 10.0, 10.0)], (40.0, 50.0))
    assert fit is None or fit.explained < 0.7


def test_noise_is_not_significant_and_a_hole_is_no_source():
    template = [band.template(1, band.point(), 10.0, 10.0)]
    fit = fitted(band.noise(5, 0.0), template, (40.0, 50.0))
    assert fit is None or fit.snr < 4.0
    assert fitted(-500.0 * band.drawn(band.point(), *PLACE), template, (40.0, 50.0)) is None


def test_a_source_in_the_solution_is_fitted_again_in_place_of_its_template():
    image = 500.0 * band.drawn(band.point(), *PLACE) + band.noise(4, 0.0)
    once = band.template(-1, band.point(), 40.8, 49.2)
    fit = fitted(image, [band.template(1, band.point(), 10.0, 10.0), once], (40.8, 49.2), own=1)
    assert fit is not None and (fit.y, fit.x) == pytest.approx(PLACE, abs=0.2)
    assert fit.flux == pytest.approx(500.0, rel=0.1)


def test_without_pixels_there_is_no_source():
    image = np.full(band.SHAPE, np.nan)
    image[:5, :5] = 1.0
    assert fitted(image, [band.template(1, band.point(), 2.0, 2.0)], (60.0, 60.0)) is None
