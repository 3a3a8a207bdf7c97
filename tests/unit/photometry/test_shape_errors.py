from __future__ import annotations

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.core.types import Template
from unblend.models.rendering import sersic_model
from unblend.models.templates import TemplateEngine
from unblend.photometry.detail_amplitude import DetailAmplitudes, fit_amplitudes
from unblend.photometry.linear_system import solve_fluxes
from unblend.photometry.shape_errors import PARAMETERS, ShapeDerivatives, known_shapes, shape_responses

STACK = np.array([[0.0, -0.06], [0.06, 0.0]])  # detection pixels: north up, east left
PROFILE = {"n": 2.0, "r_e": 5.0, "ell": 0.4, "pa": 30.0}
STEPS = {"y": 0.02, "x": 0.02, "pa": 0.5, "ell": 0.01, "n": 0.05, "r_e": 0.05}
SHEARED = Grid(scale=0.15, side=101, rotation=20.0, shear=0.1, flipped=True)


def engine_of(grid=SHEARED):
    return TemplateEngine(wcs_of(grid), (grid.side, grid.side), psf_of(Blur(3.0)))


def model_at(dy=0.0, dx=0.0, **profile):
    """Return the model with its position moved by detection pixels."""
    east, north = STACK @ [dy, dx] / 3600.0
    sky = (SKY[0] + east / np.cos(np.deg2rad(SKY[1])), SKY[1] + north)
    return sersic_model(flux=5.0, sky=sky, pixel_to_sky=STACK, oversampling=5, **{**PROFILE, **profile})


def image_of(engine, model):
    template = engine.template(1, model)
    image = np.zeros(engine.shape)
    image[template.box.slices] = template.data
    return image


def response_of(engine, model, g, **profile):
    """Return the response of a flux with the influence `g`, an image of the band."""
    shape = {"oversampling": 5.0, **PROFILE, **profile}
    box, images = ShapeDerivatives(engine)(model, **shape)
    return np.einsum("pyx,yx->p", images, g[box.slices])


def error_of(response, covariance):
    return np.sqrt(response @ covariance @ response)


@pytest.mark.parametrize("name", PARAMETERS)
def test_responses_against_differences(name):
    engine, step = engine_of(), STEPS[name]
    rows, columns = np.indices(engine.shape)
    # an influence without symmetry: every parameter changes the flux
    g = np.exp(-((rows - 52.0) ** 2 + 0.5 * (columns - 46.0) ** 2 + 0.6 * (rows - 52) * (columns - 46)) / 18.0)

    def seen(sign):
        if name in ("y", "x"):
            model = model_at(**{f"d{name}": sign * step})
        else:
            model = model_at(**{name: PROFILE[name] + sign * step})
        return np.sum(g * image_of(engine, model))

    expected = (seen(1) - seen(-1)) / (2 * step)
    found = response_of(engine, model_at(), g)[PARAMETERS.index(name)]
    # second-order differences; the stamp of another r_e or n is cut elsewhere: 0.5 % for n
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("blur", [Blur(3.0, oversampling=3.0), Blur(3.0, even=True, offset=(0.3, -0.4))])
def test_psfs_of_every_kind(blur):
    engine = TemplateEngine(wcs_of(SHEARED), (101, 101), psf_of(blur))
    g = np.zeros(engine.shape)
    g[44:53, 47:58] = 1.0
    ends = [np.sum(g * image_of(engine, model_at(r_e=PROFILE["r_e"] + step))) for step in (0.05, -0.05)]
    # second-order differences
    assert response_of(engine, model_at(), g)[5] == pytest.approx((ends[0] - ends[1]) / 0.1, rel=0.01)


def test_a_source_far_off_the_image():
    model = sersic_model(flux=1.0, sky=(SKY[0] + 1.0, SKY[1]), pixel_to_sky=STACK, oversampling=5, **PROFILE)
    engine = engine_of()
    assert ShapeDerivatives(engine)(model, oversampling=5.0, **PROFILE) is None


def test_a_source_on_the_edge():
    engine = engine_of()
    model = model_at(120.0, 0.0)
    g = np.ones(engine.shape)
    ends = [np.sum(image_of(engine, model_at(120.0 + dy, 0.0))) for dy in (0.02, -0.02)]
    # light off the image is lost: second-order differences
    assert response_of(engine, model, g)[0] == pytest.approx((ends[0] - ends[1]) / 0.04, rel=0.01)


def matched(engine, model):
    """Return the influence of each pixel on the flux of an isolated source in white noise of sigma 1: T / sum T²."""
    image = image_of(engine, model)
    return image / np.sum(image**2)


def test_an_error_of_r_e_gives_the_flux_error_of_a_wrong_r_e():
    engine, model = engine_of(), model_at()
    covariance = np.zeros((6, 6))
    covariance[5, 5] = 0.1**2
    found = error_of(response_of(engine, model, matched(engine, model)), covariance)
    truth, used = image_of(engine, model_at(r_e=PROFILE["r_e"] + 0.1)), image_of(engine, model)
    flux = np.sum(used * truth) / np.sum(used**2)
    # first order: r_e wrong by 2 %
    assert found == pytest.approx(abs(flux - 1.0), rel=0.03)
    assert found > 0.003


def test_a_wrong_position_does_not_change_the_flux_to_first_order():
    engine, model = engine_of(), model_at()
    covariance = np.diag([0.1**2, 0.1**2, 0.0, 0.0, 0.0, 0.0])
    found = error_of(response_of(engine, model, matched(engine, model)), covariance)
    # the flux of a matched template is at its maximum; the rest is light outside the square of the response
    assert found < 1e-5


SHAPE_DTYPE = np.dtype(
    [("id", "i4"), *((name, "f8") for name in ("pa", "ell", "n", "r_e", "oversampling")), ("covariance", "f8", (6, 6))]
)


def rows_of(ids, covariance):
    rows = np.zeros(len(ids), dtype=SHAPE_DTYPE)
    rows["id"], rows["oversampling"], rows["covariance"] = ids, 5.0, covariance
    for name, value in PROFILE.items():
        rows[name] = value
    return rows


def errors_of(engine, models, rows, solution, templates, weight):
    fitted = DetailAmplitudes.as_in_stack(templates)
    return shape_responses(engine, models, known_shapes(rows), solution, fitted, weight).errors(solution)


def test_all_errors_in_the_order_of_the_solution():
    grid = Grid(scale=0.15, side=61, phase=(0.0, 0.0))
    engine = engine_of(grid)
    places = {4: (0.0, 0.0), 9: (60.0, 30.0), 2: (-20.0, 9.0), 7: (5000.0, 0.0)}
    models = {i: model_at(dy, dx) for i, (dy, dx) in places.items()}
    templates = [engine.template(i, model) for i, model in models.items()]
    image = sum((image_of(engine, model) * 100.0 for model in models.values()), np.zeros(engine.shape))
    weight = np.ones(engine.shape)
    solution = solve_fluxes(image, weight, templates)
    covariance = np.zeros((6, 6))
    covariance[5, 5] = 0.1**2
    rows = rows_of([2, 4, 9], covariance)
    rows["covariance"][2] = np.nan
    errors = errors_of(engine, models, rows, solution, templates, weight)
    assert solution.ids.tolist() == [4, 9, 2, 7] and errors.shape == (4,)
    # 9 has no covariance, 7 is off the image
    assert np.isfinite(errors[[0, 2]]).all() and np.isnan(errors[[1, 3]]).all()
    # the same profile, far from each other: the same error, except for the neighbours and the background level
    assert errors[0] == pytest.approx(errors[2], rel=0.1)
    alone = error_of(response_of(engine, models[4], matched(engine, models[4])), covariance)
    assert errors[0] == pytest.approx(100.0 * alone, rel=0.2)


def test_the_shape_error_of_a_neighbour_is_included():
    engine = engine_of(Grid(scale=0.15, side=61))
    models = {1: model_at(), 2: model_at(4.0, 14.0)}
    templates = [engine.template(i, model) for i, model in models.items()]
    image = 300.0 * image_of(engine, models[1]) + 100.0 * image_of(engine, models[2])
    weight = np.ones(engine.shape)
    solution = solve_fluxes(image, weight, templates)
    rows = rows_of([1, 2], np.zeros((6, 6)))
    rows["covariance"][0, 5, 5] = 0.1**2
    errors = errors_of(engine, models, rows, solution, templates, weight)
    wrong = [engine.template(1, model_at(r_e=PROFILE["r_e"] + 0.1)), templates[1]]
    moved = np.abs(solve_fluxes(image, weight, wrong).flux - solution.flux)
    # first order: r_e wrong by 2 %
    assert errors == pytest.approx(moved, rel=0.05) and moved[1] > 0.3
    # a neighbour without covariance adds nothing; its own error is not known
    rows["covariance"][0] = np.nan
    np.testing.assert_array_equal(errors_of(engine, models, rows, solution, templates, weight), [np.nan, 0.0])


def test_an_unconstrained_angle_does_not_affect_the_other_parameters():
    # a round profile: its angle has no effect, and a huge variance
    engine = engine_of(Grid(scale=0.15, side=61))
    model = model_at(ell=0.0)
    templates = [engine.template(1, model)]
    weight = np.ones(engine.shape)
    solution = solve_fluxes(100.0 * image_of(engine, model), weight, templates)
    errors = []
    for variance in (0.0, 1e28):
        rows = rows_of([1], np.diag([0.0, 0.0, variance, 0.01, 0.5, 0.1]))
        rows["ell"] = 0.0
        errors.append(errors_of(engine, {1: model}, rows, solution, templates, weight)[0])
    assert errors[1] == pytest.approx(errors[0], rel=1e-6) and errors[0] > 0.1


TWO = ({"n": 2.5, "r_e": 2.0, "ell": 0.1, "pa": 60.0}, {"n": 1.0, "r_e": 7.0, "ell": 0.5, "pa": 30.0})
FRACTIONS = (0.4, 0.6)


def two_profiles(engine, fractions=FRACTIONS, *, free, **change):
    """Return the template of a bulge and a disc whose parameters are changed by those of `change`."""
    second = {name: value + change.get(name, 0.0) for name, value in TWO[1].items()}
    bulge, disc = (engine.template(1, model_at(**profile)) for profile in (TWO[0], second))
    box = bulge.box & disc.box
    parts = [part.data[box.within(part.box)] for part in (bulge, disc)]
    data = fractions[0] * parts[0] + fractions[1] * parts[1]
    return Template(1, box, data, detail=fractions[1] * parts[1] if free else None,
                    detail_share=fractions[1] if free else 0.0, detail_free=free)  # fmt: skip


def components_row(covariance):
    names = ("pa", "ell", "n", "r_e")
    row = np.zeros(
        1, [("id", "i4"), ("fraction", "f8", 2), *((n, "f8", 2) for n in names), ("covariance", "f8", (10, 10))]
    )
    row["id"], row["fraction"], row["covariance"] = 1, FRACTIONS, covariance
    for name in names:
        row[name] = [profile[name] for profile in TWO]
    return row


def light_of(engine, template, flux):
    image = np.zeros(engine.shape)
    image[template.box.slices] = flux * template.data
    return image


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize(("name", "index", "step"), [("r_e", 9, 0.15), ("n", 8, 0.04), ("ell", 7, 0.02)])
def test_two_profiles_respond_as_their_templates_do(free, name, index, step):
    """With free shares the share is fitted again with the wrong shape, as in a band."""
    engine = engine_of(Grid(scale=0.15, side=81))
    share = (0.25, 0.75) if free else FRACTIONS
    image = light_of(engine, two_profiles(engine, share, free=free), 1000.0)
    weight = np.full(engine.shape, 100.0)
    flux, errors = [], None
    for change in (0.0, step):
        found = fit_amplitudes(image, weight, [two_profiles(engine, free=free, **{name: change})])
        solution = solve_fluxes(image, weight, found.templates)
        flux.append(solution.flux[0])
        if errors is None:
            covariance = np.zeros((10, 10))
            covariance[index, index] = step**2
            rows = rows_of([1], np.nan)
            shapes = known_shapes(rows, components_row(covariance))
            responses = shape_responses(engine, {1: model_at(**TWO[1])}, shapes, solution, found, weight)
            errors = responses.errors(solution)
    assert abs(flux[1] - flux[0]) > 0.1
    assert errors[0] == pytest.approx(abs(flux[1] - flux[0]), rel=0.12)
