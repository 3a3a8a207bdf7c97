"""Errors from the uncertain shift and PSF against the scatter of fluxes with drawn shifts and PSFs.

Sources are points and PSFs Gaussians: images are drawn from the formula, without the templates of the program.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import SKY, Grid, wcs_of
from unblend.core.coordinates import pixel_to_sky
from unblend.core.shift_field import ShiftField
from unblend.core.types import Model, Psf
from unblend.models.templates import TemplateEngine
from unblend.photometry.common_errors import psf_changes, shift_changes, total_error
from unblend.photometry.detail_amplitude import DetailAmplitudes, with_amplitude
from unblend.photometry.linear_system import solve_fluxes

SIDE, SIGMA = 81, 1.5
GRID = Grid(scale=0.15, side=SIDE, rotation=20.0)
REALISATIONS = 200
PLACES = np.array(
    [(20.3, 20.2), (22.4, 23.1), (18.9, 23.6), (60.2, 18.4), (61.8, 21.7), (40.5, 41.1), (43.0, 42.2), (19.6, 60.7),
     (22.3, 60.9), (60.4, 59.5), (61.2, 62.6), (63.9, 60.3), (40.0, 70.0)]
)  # fmt: skip
FLUX = np.array([900.0, 300.0, 500.0, 400.0, 800.0, 1000.0, 200.0, 300.0, 700.0, 500.0, 600.0, 400.0, 800.0])
ALONE = len(FLUX) - 1
"""Index of the last source, which has no neighbour within eight FWHM."""
WEIGHT = np.ones((SIDE, SIDE))


def shift_errors(*given):
    return total_error(shift_changes(*given))


def psf_errors(*given):
    return total_error(psf_changes(*given))


def psf(sigma=SIGMA):
    rows, columns = np.indices((41, 41)) - 20.0
    data = np.exp(-(rows**2 + columns**2) / (2 * sigma**2))
    return Psf(data / data.sum(), (20.0, 20.0))


def drawn(places, sigma=SIGMA):
    """Return the image of the sources at these positions (y, x)."""
    rows, columns = np.indices((SIDE, SIDE))
    image = np.full((SIDE, SIDE), 3.0)
    for (y, x), flux in zip(places, FLUX, strict=True):
        image += flux * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return image


def points():
    """Return a point source at each of the places, by ID; the IDs run against the places."""
    ra, dec = pixel_to_sky(wcs_of(GRID), *PLACES.T)
    return {
        20 - k: Model(np.ones((1, 1)), (0.0, 0.0), (float(a), float(d)), 0.05 * np.eye(2), 1.0, pixel_integrated=False)
        for k, (a, d) in enumerate(zip(ra, dec, strict=True))
    }


@pytest.fixture(scope="module")
def fitted():
    """Return engine, models, solution and templates of the field without any shift."""
    engine, models = TemplateEngine(wcs_of(GRID), (SIDE, SIDE), psf()), points()
    templates = [engine.template(i, model) for i, model in models.items()]
    solution = solve_fluxes(drawn(PLACES), WEIGHT, templates)
    assert solution.flux == pytest.approx(FLUX, rel=1e-4)
    return engine, models, solution, DetailAmplitudes(templates, np.ones(len(FLUX)), np.zeros(len(FLUX)))


def scatter_of(solution, detail, images):
    """Return the rms deviation of the fluxes from the truth over images."""
    found = [solve_fluxes(image, WEIGHT, detail.templates).flux - solution.flux for image in images]
    return np.sqrt(np.mean(np.square(found), axis=0))


def moved_by(shift):
    """Return the places shifted by a field of shifts."""
    return PLACES + np.array([shift.at(y, x) for y, x in PLACES])


CONSTANT = ShiftField.constant((0.0, 0.0), (0.04, 0.02))
# three terms of a plane, with correlated coefficients
PLANE = ShiftField(
    1, (10.0, 10.0, 70.0, 70.0), np.zeros((2, 3)),
    0.03**2 * np.array([[[1.0, 0.5, 0.0], [0.5, 2.0, -0.4], [0.0, -0.4, 1.5]], np.diag([0.5, 1.0, 2.0])]),
)  # fmt: skip


@pytest.mark.parametrize("shift", [CONSTANT, PLANE], ids=["constant", "field"])
def test_shifts_drawn_from_their_covariance_scatter_the_fluxes_by_the_error(fitted, shift):
    engine, models, solution, detail = fitted
    random = np.random.default_rng(5)
    zero = np.zeros(len(shift.degrees))
    coefficients = np.stack([random.multivariate_normal(zero, c, REALISATIONS) for c in shift.covariance], axis=1)
    images = (drawn(moved_by(replace(shift, coefficients=values))) for values in coefficients)
    scatter = scatter_of(solution, detail, images)
    error = shift_errors(engine, models, shift, solution, detail, WEIGHT)
    blended = np.arange(len(FLUX)) != ALONE
    # 200 draws give each scatter to 5 %
    assert error[blended] == pytest.approx(scatter[blended], rel=0.15)
    assert np.mean(scatter[blended] / error[blended]) == pytest.approx(1.0, abs=0.05)
    assert error[blended].max() > 0.005 * FLUX.max()
    # alone, a flux changes to second order only: by shift² / 4 sigma², 3e-4
    assert error[ALONE] < 1e-4 * FLUX[ALONE] and scatter[ALONE] < 1e-3 * FLUX[ALONE]


def test_a_given_shift_is_exact_and_an_unknown_error_is_nan(fitted):
    engine, _, solution, detail = fitted
    for exact in (None, ShiftField.constant((0.1, 0.2))):
        # no model is read
        np.testing.assert_array_equal(shift_errors(engine, {}, exact, solution, detail, WEIGHT), 0.0)
    unknown = ShiftField.constant((0.0, 0.0), (np.nan, np.nan))
    assert np.isnan(shift_errors(engine, {}, unknown, solution, detail, WEIGHT)).all()


def test_drawn_widths_of_the_psf_scatter_the_fluxes_by_the_error(fitted):
    engine, models, solution, detail = fitted
    widths = SIGMA * (1.0 + 0.02 * np.random.default_rng(6).normal(size=REALISATIONS))
    scatter = scatter_of(solution, detail, (drawn(PLACES, sigma) for sigma in widths))
    error = psf_errors(engine, models, 0.02, solution, detail, WEIGHT)
    assert error == pytest.approx(scatter, rel=0.15)
    # alone, the flux of a Gaussian follows the width of the PSF: 2 (1 + e)² / (1 + (1 + e)²) = 1 + e
    assert error[ALONE] == pytest.approx(0.02 * FLUX[ALONE], rel=0.03)


def test_a_psf_that_is_wrong_by_its_error_has_pulls_of_one(fitted):
    engine, models, solution, detail = fitted
    error = psf_errors(engine, models, 0.02, solution, detail, WEIGHT)
    for sign in (-1.0, 1.0):
        flux = solve_fluxes(drawn(PLACES, SIGMA * (1.0 + 0.02 * sign)), WEIGHT, detail.templates).flux
        # second order: the square of 2 % with a blend's amplification
        assert np.abs((flux - FLUX) / error) == pytest.approx(1.0, abs=0.1)


def test_an_exact_psf_reads_no_model(fitted):
    engine, _, solution, detail = fitted
    np.testing.assert_array_equal(psf_errors(engine, {}, 0.0, solution, detail, WEIGHT), 0.0)


def test_a_source_without_a_model_stays_where_it_is(fitted):
    engine, models, solution, detail = fitted
    first, second = (int(solution.ids[k]) for k in (5, 6))  # a pair
    shift = ShiftField.constant((0.0, 0.0), (0.03, 0.0))
    error = shift_errors(engine, {first: models[first]}, shift, solution, detail, WEIGHT)
    moved = engine.with_psf(engine.psf)
    moved.shift_field = ShiftField.constant((0.03, 0.0))
    templates = [moved.template(t.id, models[t.id]) if t.id == first else t for t in detail.templates]
    change = np.abs(solve_fluxes(drawn(PLACES), WEIGHT, templates).flux - solution.flux)
    assert second == first - 1 and change[6] > 1.0
    # second order: 0.03² / 4 sigma² of a flux of 1000
    assert error == pytest.approx(change, abs=0.3)


def test_sources_without_a_flux_have_no_error(fitted):
    engine, models, _, detail = fitted
    weight = WEIGHT.copy()
    weight[55:70, 10:30] = 0.0
    solution = solve_fluxes(drawn(PLACES), weight, detail.templates)
    unseen = np.isnan(solution.flux)
    assert unseen.sum() == 2
    for error in (
        shift_errors(engine, models, CONSTANT, solution, detail, weight),
        psf_errors(engine, models, 0.02, solution, detail, weight),
    ):
        np.testing.assert_array_equal(np.isnan(error), unseen)


def knotty():
    """Return a disc with a bright knot as its detail, and a point source beside it."""
    rows, columns = np.indices((41, 41)) - 20.0
    disc = np.exp(-(rows**2 + columns**2) / 200.0)
    knot = 0.4 * disc.sum() * ((np.abs(rows - 12) < 1) & (np.abs(columns + 9) < 1))
    pixel = 0.05 * np.eye(2)
    detail = Model(knot, (20.0, 20.0), SKY, pixel, float(knot.sum()))
    galaxy = Model(disc, (20.0, 20.0), SKY, pixel, float(disc.sum()), detail=detail)
    y, x = TemplateEngine(wcs_of(GRID), (SIDE, SIDE), psf()).position(galaxy)
    (ra,), (dec,) = pixel_to_sky(wcs_of(GRID), np.array([y + 2.0]), np.array([x - 4.0]))
    return {1: galaxy, 2: replace(points()[20], sky=(float(ra), float(dec)))}


def test_the_amplitude_of_a_detail_moves_with_the_source():
    models, errors = knotty(), []
    for amplitude in (1.0, 2.5):

        def engine_at(step):
            return TemplateEngine(wcs_of(GRID), (SIDE, SIDE), psf(), (0.0, step * GRID.scale))

        def templates_at(step, value=(amplitude, 1.0), engine_at=engine_at):
            made = (engine_at(step).template(i, model) for i, model in models.items())
            return [with_amplitude(template, a) for template, a in zip(made, value, strict=True)]

        templates = templates_at(0.0)
        image = sum((flux * image_of(t) for flux, t in zip((800.0, 300.0), templates, strict=True)), 0.0 * WEIGHT)
        solution = solve_fluxes(image, WEIGHT, templates)
        found = DetailAmplitudes(templates, np.array([amplitude, 1.0]), np.zeros(2))
        shift = ShiftField.constant((0.0, 0.0), (0.05, 0.0))
        errors.append(shift_errors(engine_at(0.0), models, shift, solution, found, WEIGHT))
        plus, minus = (solve_fluxes(image, WEIGHT, templates_at(step)).flux for step in (0.05, -0.05))
        # third order
        assert errors[-1] == pytest.approx(np.abs(plus - minus) / 2.0, rel=0.01)
    assert np.abs(errors[1] / errors[0] - 1.0).max() > 0.2


def image_of(template):
    image = np.zeros((SIDE, SIDE))
    image[template.box.slices] = template.data
    return image
