from __future__ import annotations

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.domain import Box
from unblend.linear import solve
from unblend.rendering import sersic_model
from unblend.shapes import PARAMETERS, all_shape_errors, shape_error, template_derivatives
from unblend.templates import TemplateEngine

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


@pytest.mark.parametrize("name", PARAMETERS)
def test_derivatives_against_differences(name):
    engine, step = engine_of(), STEPS[name]
    stamps, box = template_derivatives(engine, model_at(), oversampling=5, **PROFILE)
    inside = box & Box.of_shape(engine.shape)
    found = np.zeros(engine.shape)
    found[inside.slices] = stamps[PARAMETERS.index(name)][inside.within(box)]

    def moved(sign):
        if name in ("y", "x"):
            return image_of(engine, model_at(**{f"d{name}": sign * step}))
        return image_of(engine, model_at(**{name: PROFILE[name] + sign * step}))

    expected = (moved(1) - moved(-1)) / (2 * step)
    # second-order differences; the stamp of another r_e or n is cut elsewhere: 0.5 % for n
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


def test_a_source_far_off_the_image():
    model = sersic_model(flux=1.0, sky=(SKY[0] + 1.0, SKY[1]), pixel_to_sky=STACK, oversampling=5, **PROFILE)
    assert template_derivatives(engine_of(), model, oversampling=5, **PROFILE) is None
    error = shape_error(
        engine_of(), model, lambda box: np.ones(box.shape), oversampling=5, covariance=np.eye(6), **PROFILE
    )
    assert np.isnan(error)


def matched(engine, model):
    """Influence of each pixel on the flux of one source alone in white noise of sigma 1: T / sum T²."""
    image = image_of(engine, model)
    return lambda box: image[box.slices] / np.sum(image**2)


def test_an_error_of_r_e_is_what_a_wrong_r_e_does():
    engine, model = engine_of(), model_at()
    covariance = np.zeros((6, 6))
    covariance[5, 5] = 0.1**2
    found = shape_error(engine, model, matched(engine, model), oversampling=5, covariance=covariance, **PROFILE)
    truth, used = image_of(engine, model_at(r_e=PROFILE["r_e"] + 0.1)), image_of(engine, model)
    flux = np.sum(used * truth) / np.sum(used**2)
    # first order: r_e wrong by 2 %
    assert found == pytest.approx(abs(flux - 1.0), rel=0.03)
    assert found > 0.003


def test_a_wrong_position_costs_nothing_in_first_order():
    engine, model = engine_of(), model_at()
    covariance = np.diag([0.1**2, 0.1**2, 0.0, 0.0, 0.0, 0.0])
    found = shape_error(engine, model, matched(engine, model), oversampling=5, covariance=covariance, **PROFILE)
    # the flux of a matched template is at its maximum
    assert found < 1e-6


def test_nan_and_zero_covariance():
    engine, model = engine_of(), model_at()
    error = {"oversampling": 5, **PROFILE}
    assert shape_error(engine, model, matched(engine, model), covariance=np.zeros((6, 6)), **error) == 0.0
    assert np.isnan(shape_error(engine, model, matched(engine, model), covariance=np.full((6, 6), np.nan), **error))


SHAPE_DTYPE = np.dtype(
    [("id", "i4"), *((name, "f8") for name in ("pa", "ell", "n", "r_e", "oversampling")), ("covariance", "f8", (6, 6))]
)


def rows_of(ids, covariance):
    rows = np.zeros(len(ids), dtype=SHAPE_DTYPE)
    rows["id"], rows["oversampling"], rows["covariance"] = ids, 5.0, covariance
    for name, value in PROFILE.items():
        rows[name] = value
    return rows


def test_all_errors_in_the_order_of_the_solution():
    grid = Grid(scale=0.15, side=61, phase=(0.0, 0.0))
    engine = engine_of(grid)
    places = {4: (0.0, 0.0), 9: (60.0, 30.0), 2: (-20.0, 9.0), 7: (5000.0, 0.0)}
    models = {i: model_at(dy, dx) for i, (dy, dx) in places.items()}
    templates = [engine.template(i, model) for i, model in models.items()]
    image = sum((image_of(engine, model) * 100.0 for model in models.values()), np.zeros(engine.shape))
    weight = np.ones(engine.shape)
    solution = solve(image, weight, templates)
    covariance = np.zeros((6, 6))
    covariance[5, 5] = 0.1**2
    rows = rows_of([2, 4, 9], covariance)
    rows["covariance"][2] = np.nan
    errors = all_shape_errors(engine, models, rows, solution, templates, weight)
    assert solution.ids.tolist() == [4, 9, 2, 7] and errors.shape == (4,)
    # 9 has no covariance, 7 is off the image
    assert np.isfinite(errors[[0, 2]]).all() and np.isnan(errors[[1, 3]]).all()
    # the same profile, far from each other: the same error, to what the neighbours and the constant take
    assert errors[0] == pytest.approx(errors[2], rel=0.1)
    alone = shape_error(engine, models[4], matched(engine, models[4]), oversampling=5, covariance=covariance, **PROFILE)
    assert errors[0] == pytest.approx(alone, rel=0.2)
