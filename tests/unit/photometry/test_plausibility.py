"""Negative images, and images whose light is where no source is."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.plausibility import Peaks, find_peaks, negative_warning, peaks_warning

SHAPE = (140, 160)
PLACES = [(30.2, 30.4), (32.7, 120.1), (80.0, 75.5), (112.4, 35.2), (111.3, 128.8), (61.0, 40.0)]
FWHM = 2.3548 * 1.5


def templates(places=PLACES):
    return [gaussian(k, y, x, SHAPE) for k, (y, x) in enumerate(places, 1)]


def solved(image):
    weight = np.ones(SHAPE)
    return weight, solve_fluxes(image, weight, templates())


def field(places=PLACES, flux=500.0, seed=1):
    drawn = templates(places)
    return model_image(drawn, np.full(len(drawn), flux), SHAPE, 3.0) + np.random.default_rng(seed).normal(size=SHAPE)


def test_a_field_with_its_sources_is_plausible():
    image = field()
    weight, solution = solved(image)
    found = find_peaks(image, weight, templates(), solution, FWHM)
    assert found.missed == 0 and found.compared >= 4
    assert peaks_warning(found, "k") is None and negative_warning(solution, solution.err, "k") is None


@pytest.mark.parametrize("turned", [np.flipud, np.fliplr, lambda i: np.roll(i, 9, axis=1)])
def test_an_image_that_is_mirrored_or_far_off_has_peaks_without_sources(turned):
    image = turned(field())
    weight, solution = solved(image)
    found = find_peaks(image, weight, templates(), solution, FWHM)
    assert found.is_odd
    warning = peaks_warning(found, "k")
    assert warning is not None and warning.startswith(f"k: {found.missed} of {found.compared} bright peaks")


def test_a_source_that_was_not_detected_is_not_odd():
    image = field([*PLACES, (50.0, 100.0)])
    weight, solution = solved(image)
    found = find_peaks(image, weight, templates(), solution, FWHM)
    assert found.missed == 1 and not found.is_odd


def test_faint_bands_and_bands_without_sources_say_nothing():
    image = field(flux=20.0)
    weight, solution = solved(image)
    assert find_peaks(image, weight, templates(), solution, FWHM) == Peaks(0, 0)
    assert find_peaks(image, 0.0 * weight, templates(), solution, FWHM) == Peaks(0, 0)
    assert negative_warning(solution, solution.err, "k") is None


def test_a_negative_image_is_noticed_and_single_negative_fluxes_are_not():
    _, solution = solved(-field())
    warning = negative_warning(solution, solution.err, "k")
    assert warning is not None and warning.startswith("k: 6 of 6 fluxes of at least 10 errors are negative")
    image = field() - model_image(templates()[:1], np.array([1000.0]), SHAPE)
    _, solution = solved(image)
    assert negative_warning(solution, solution.err, "k") is None
