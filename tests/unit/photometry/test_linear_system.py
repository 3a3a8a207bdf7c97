from __future__ import annotations

import numpy as np
import pytest
from gaussians import covariance, gaussian, gaussian_field
from unblend.core.errors import InputError
from unblend.core.flags import Flag
from unblend.core.types import Box, Template
from unblend.photometry.linear_system import model_image, neighbours_removed, scatter_ratio, solve_fluxes

SHAPE = (40, 50)


def dense_answer(image, weight, templates):
    """Return the amplitudes and their covariance from the full design matrix, with the background level last."""
    design = np.ones((image.size, len(templates) + 1))
    for k, template in enumerate(templates):
        canvas = np.zeros(image.shape)
        canvas[template.box.slices] = template.data
        design[:, k] = canvas.ravel()
    inverse = np.linalg.inv(design.T @ (weight.ravel()[:, None] * design))
    return inverse @ design.T @ (weight * image).ravel(), inverse


def test_the_flux_of_two_pixels_by_hand():
    # a template of one pixel and one usable pixel next to it for the background level: 7 = flux + 3
    template = Template(4, Box(0, 0, 1, 1), np.ones((1, 1)))
    answer = solve_fluxes(np.array([[7.0, 3.0]]), np.array([[1.0, 4.0]]), [template])
    # relative ridge: 1e-10
    assert answer.flux[0] == pytest.approx(4.0, rel=1e-8)
    assert answer.background == pytest.approx(3.0, rel=1e-8)
    assert answer.err[0] == pytest.approx(np.sqrt(1.0 + 0.25), rel=1e-8)
    assert answer.err_isolated[0] == pytest.approx(1.0)
    assert answer.background_err == pytest.approx(0.5, rel=1e-8)
    assert answer.worst_neighbour[0] == 0 and answer.correlation[0] == 0.0


def test_noiseless_fluxes_are_recovered_with_negative_ones_and_a_pedestal():
    templates = [gaussian(1, 12, 14, SHAPE), gaussian(2, 14.3, 16.2, SHAPE), gaussian(3, 30, 40, SHAPE)]
    truth = np.array([100.0, -20.0, 3.0])
    image = model_image(templates, truth, SHAPE, background=1e5)
    answer = solve_fluxes(image, np.full(SHAPE, 0.25), templates)
    # with a pedestal of 1e5 the rounding error of a pixel is 1e-11
    np.testing.assert_allclose(answer.flux, truth, atol=1e-6)
    assert answer.background == pytest.approx(1e5, abs=1e-8)
    np.testing.assert_allclose(answer.residual, 0.0, atol=1e-7)


def test_agrees_with_a_dense_design_matrix():
    rng = np.random.default_rng(1)
    templates, truth = gaussian_field(30, 48, rng)
    weight = rng.uniform(0.5, 2.0, (48, 48))
    weight[rng.random((48, 48)) < 0.1] = 0.0
    image = model_image(templates, truth, (48, 48), 2.0) + rng.normal(size=(48, 48))
    image[weight == 0] = np.nan
    expected, inverse = dense_answer(np.nan_to_num(image), weight, templates)
    answer = solve_fluxes(image, weight, templates)
    # the ridge of 1e-10, times the condition of the crowded field
    np.testing.assert_allclose([*answer.flux, answer.background], expected, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(answer.err, np.sqrt(np.diag(inverse))[:-1], rtol=1e-7)
    np.testing.assert_allclose(covariance(answer), inverse, atol=1e-7 * np.abs(inverse).max())
    rho = inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    rho[np.diag_indices_from(rho)] = 0
    worst = np.argmax(np.abs(rho[:-1, :-1]), axis=1)
    np.testing.assert_array_equal(answer.worst_neighbour, worst + 1)
    np.testing.assert_allclose(answer.correlation, rho[np.arange(30), worst], rtol=1e-6)


def test_the_order_of_sources_does_not_change_the_result():
    rng = np.random.default_rng(2)
    templates, truth = gaussian_field(40, 60, rng)
    image = model_image(templates, truth, (60, 60)) + rng.normal(size=(60, 60))
    first = solve_fluxes(image, np.ones((60, 60)), templates)
    order = rng.permutation(40)
    second = solve_fluxes(image, np.ones((60, 60)), [templates[k] for k in order])
    for name in ("ids", "flux", "err", "err_isolated", "worst_neighbour", "correlation", "flags"):
        np.testing.assert_array_equal(getattr(first, name)[order], getattr(second, name))
    every = np.append(order, 40)
    np.testing.assert_array_equal(covariance(first)[np.ix_(every, every)], covariance(second))
    np.testing.assert_array_equal(first.residual, second.residual)


def test_pulls_have_unit_scatter():
    rng = np.random.default_rng(3)
    templates, truth = gaussian_field(60, 80, rng)
    clean = model_image(templates, truth, (80, 80), 1.0)
    pulls = []
    for _ in range(20):
        answer = solve_fluxes(clean + 2.0 * rng.normal(size=clean.shape), np.full(clean.shape, 0.25), templates)
        pulls.append((answer.flux - truth) / answer.err)
    # 1200 pulls: their scatter is known to 0.02, their mean to 0.03
    assert np.std(pulls) == pytest.approx(1.0, abs=0.06)
    assert abs(np.mean(pulls)) < 0.1


def test_identical_templates_share_their_flux_without_affecting_others():
    pair = [gaussian(1, 20, 20, SHAPE), gaussian(2, 20, 20, SHAPE)]
    other = gaussian(3, 20, 24, SHAPE)
    rng = np.random.default_rng(4)
    image = model_image([*pair, other], np.array([30.0, 70.0, 50.0]), SHAPE) + 0.1 * rng.normal(size=SHAPE)
    weight = np.full(SHAPE, 100.0)
    both, single = solve_fluxes(image, weight, [*pair, other]), solve_fluxes(image, weight, [pair[0], other])
    # rounding over the ridge: 1e-16 / 1e-10, times a few
    assert both.flux[0] + both.flux[1] == pytest.approx(single.flux[0], rel=1e-6)
    assert both.flux[0] == pytest.approx(both.flux[1], rel=1e-3)
    assert both.flux[2] == pytest.approx(single.flux[1], rel=1e-6)
    assert both.err[2] == pytest.approx(single.err[1], rel=1e-5)
    assert (both.err[:2] > 1e4 * single.err[0]).all()
    assert (both.flags[:2] & Flag.DEGENERATE).all() and both.flags[2] == 0
    assert both.worst_neighbour[:2].tolist() == [2, 1]
    assert both.correlation[0] == pytest.approx(-1.0, abs=1e-6)


def test_sources_without_pixels_are_not_fitted_and_are_flagged():
    weight = np.ones(SHAPE)
    weight[:, :15] = 0.0
    templates = [
        gaussian(1, 20, 30, SHAPE),
        gaussian(2, 20, 3, SHAPE, half=5),  # wholly masked
        gaussian(3, -30, 20, SHAPE),  # off the image
        Template(5, Box(1, 20, 4, 23), np.zeros((3, 3))),  # a model without light
        Template(6, Box(1, 20, 4, 23), np.full((3, 3), np.nan)),
        gaussian(7, 20, 15, SHAPE),  # a third of it masked
        gaussian(8, 0, 40, SHAPE),  # two fifths of it off the image
    ]
    truth = np.array([10.0, 1e6, 5.0, 5.0, 5.0, 20.0, 30.0])
    image = np.where(weight > 0, model_image([templates[0], *templates[5:]], truth[[0, 5, 6]], SHAPE), np.nan)
    answer = solve_fluxes(image, weight, templates)
    none, no_model = int(Flag.NO_PIXELS), int(Flag.NO_MODEL)
    edges = [int(Flag.PARTLY_MASKED), int(Flag.ON_EDGE)]
    assert answer.flags.tolist() == [0, none, none, none, no_model, *edges]
    measured = np.array([0, 5, 6])
    np.testing.assert_allclose(answer.flux[measured], truth[measured], rtol=1e-7)
    for column in (answer.flux, answer.err, answer.err_isolated, answer.correlation):
        assert np.isnan(np.delete(column, measured)).all()
    assert answer.active.tolist() == [0, 5, 6]
    assert np.isnan(answer.residual[20, 3]) and np.isfinite(answer.residual[20, 30])


def test_a_partly_masked_source_is_unbiased_and_has_a_larger_error():
    rng = np.random.default_rng(12)
    template, weight = gaussian(1, 20, 20, SHAPE), np.ones(SHAPE)
    whole = solve_fluxes(np.zeros(SHAPE), weight, [template])
    weight[:, :20] = 0.0
    image = 50.0 * model_image([template], np.ones(1), SHAPE)
    pulls = []
    for _ in range(60):
        seen = image + rng.normal(size=SHAPE)
        seen[:, :20] = 1e6  # masked pixels do not matter
        answer = solve_fluxes(seen, weight, [template])
        pulls.append((answer.flux[0] - 50.0) / answer.err[0])
    # 40 % of the light remains, with the middle column: more than half of Σ T²
    assert 1.2 < answer.err[0] / whole.err[0] < 1.6 and answer.flags[0] == Flag.PARTLY_MASKED
    # 60 pulls: 0.13 for their mean, 9 % for their scatter
    assert abs(np.mean(pulls)) < 0.4 and np.std(pulls) == pytest.approx(1.0, abs=0.28)


def masked_beyond(radius, y=20.0, x=25.0, shape=SHAPE):
    """Return weights of 1, and 0 within a circle."""
    rows, columns = np.indices(shape)
    return np.where(np.hypot(rows - y, columns - x) < radius, 0.0, 1.0)


@pytest.mark.parametrize(("radius", "measured"), [(2.4, True), (3.1, False), (4.5, False)])
def test_a_source_with_hardly_any_light_on_usable_pixels_is_not_measured(radius, measured):
    # of a Gaussian of sigma 1.5 exp(-r²/4.5) lies beyond r: 28, 12 and 1 %
    template, weight = gaussian(1, 20, 25, SHAPE), masked_beyond(radius)
    image = model_image([template], np.array([20.0]), SHAPE) + np.random.default_rng(3).normal(size=SHAPE)
    answer = solve_fluxes(image, weight, [template])
    assert bool(answer.flags[0] & Flag.NO_PIXELS) is not measured
    assert np.isfinite(answer.flux[0]) == measured == np.isfinite(answer.err[0])


def test_a_source_whose_light_does_not_count_changes_nothing_for_its_neighbours():
    hidden, other = gaussian(1, 20, 25, SHAPE), gaussian(2, 20, 30, SHAPE)
    weight = masked_beyond(4.0)
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(60):
        image = model_image([hidden, other], np.array([0.45, 60.0]), SHAPE) + rng.normal(size=SHAPE)
        answer, alone = (solve_fluxes(image, weight, fitted) for fitted in ([hidden, other], [other]))
        assert answer.flux[1] == alone.flux[0] and answer.err[1] == alone.err[0]
        assert np.isnan(answer.flux[0]) and answer.active.tolist() == [1]
        pulls.append((answer.flux[1] - 60.0) / answer.err[1])
    # 60 pulls: 0.13 for their mean, 9 % for their scatter
    assert abs(np.mean(pulls)) < 0.4 and np.std(pulls) == pytest.approx(1.0, abs=0.28)


def test_the_light_of_a_bright_star_beyond_the_border_does_not_go_to_its_neighbours():
    # 4 % of its light, S/N 100, is in the image
    star, other = gaussian(1, -3.0, 25, SHAPE), gaussian(2, 2.5, 26, SHAPE)
    assert 0.03 < star.coverage < 0.06
    truth = np.array([5e3, 60.0])
    image = model_image([star, other], truth, SHAPE) + np.random.default_rng(5).normal(size=SHAPE)
    answer = solve_fluxes(image, np.ones(SHAPE), [star, other])
    assert answer.flags.tolist() == [int(Flag.NO_PIXELS), 0]
    assert abs(answer.flux[1] - 60.0) < 3.0 * answer.err[1] < 30.0
    assert np.abs(answer.residual).max() < 5.0


def test_wide_faint_wings_do_not_measure_a_source_whose_core_is_masked():
    # a fifth of the light in wings of sigma 12: the error is more than 20 times that of the whole source
    shape = (100, 100)
    core, wings = (gaussian(1, 50, 50, shape, sigma=s, half=49) for s in (1.2, 12.0))
    template = Template(1, core.box, 0.7 * core.data + 0.3 * wings.data)
    weight = masked_beyond(9.0, 50.0, 50.0, shape)
    answer = solve_fluxes(np.random.default_rng(6).normal(size=shape), weight, [template])
    assert template.data[weight[template.box.slices] > 0].sum() == pytest.approx(0.22, abs=0.02)
    assert answer.flags[0] & Flag.NO_PIXELS and np.isnan(answer.flux[0])
    # the same wings of a source that is seen are no reason
    assert solve_fluxes(np.zeros(shape), np.ones(shape), [template]).flags[0] == 0


def test_gradients_of_a_wide_template_are_fitted_although_their_sums_are_small():
    # the sum of |dT/dx| is 0.8 / sigma = 0.08
    wide = gaussian(1, 50, 50, (100, 100), sigma=10.0, half=49)
    gradient = Template(2, wide.box, np.gradient(wide.data, axis=1))
    image = model_image([wide, gradient], np.array([1e4, 500.0]), (100, 100))
    answer = solve_fluxes(image, np.ones(image.shape), [wide, gradient])
    assert answer.flags.tolist() == [0, 0] and answer.flux == pytest.approx([1e4, 500.0], rel=1e-6)


def test_a_large_field_is_solved_in_parts():
    rng = np.random.default_rng(5)
    templates, truth = gaussian_field(1100, 330, rng, half=6)
    templates.append(gaussian(2000, *(templates[0].box.y0 + 6, templates[0].box.x0 + 6), (330, 330), half=6))
    templates.append(Template(2001, templates[-1].box, templates[-1].data))  # identical: the hard case
    truth = np.append(truth, [50.0, 50.0])
    image = model_image(templates, truth, (330, 330), 3.0) + rng.normal(size=(330, 330))
    weight = np.ones(image.shape)
    order = rng.permutation(len(templates))
    shuffled = [templates[k] for k in order]
    whole, parts = (solve_fluxes(image, weight, shuffled, tile_size=size) for size in (5000, 200))
    plain = np.isin(whole.ids, [2000, 2001], invert=True)
    # the effect of distant sources, measured to be 1e-12
    np.testing.assert_allclose(((parts.flux - whole.flux) / whole.err)[plain], 0.0, atol=1e-9)
    np.testing.assert_allclose(parts.err[plain], whole.err[plain], rtol=1e-9)
    np.testing.assert_allclose(parts.correlation[plain], whole.correlation[plain], atol=1e-9)
    np.testing.assert_array_equal(parts.worst_neighbour[plain], whole.worst_neighbour[plain])
    np.testing.assert_array_equal(parts.flags, whole.flags)
    assert parts.flux[~plain].sum() == pytest.approx(whole.flux[~plain].sum(), rel=1e-5)
    assert parts.background == pytest.approx(whole.background, abs=1e-8)
    assert parts.background_err == pytest.approx(whole.background_err, rel=1e-6)


def test_the_inverse_gives_the_amplitudes():
    rng = np.random.default_rng(6)
    templates, _ = gaussian_field(300, 90, rng)
    image = rng.normal(size=(90, 90))
    answer = solve_fluxes(image, np.ones((90, 90)), templates)
    right = [np.sum(image[t.box.slices] * t.data) for t in templates]
    amplitudes = answer.inverse.apply(np.array([*right, image.sum()]))
    np.testing.assert_allclose(amplitudes, [*answer.flux, answer.background], rtol=1e-6, atol=1e-6)


def test_a_fit_without_templates_measures_the_background_level():
    answer = solve_fluxes(np.full((3, 4), 2.5), np.ones((3, 4)), [])
    assert answer.background == pytest.approx(2.5) and len(answer.flux) == 0


def test_neighbours_removed_keeps_one_source_and_the_background():
    templates = [gaussian(1, 12, 14, SHAPE), gaussian(2, 14, 16, SHAPE)]
    flux = np.array([5.0, np.nan])
    image = model_image(templates, np.array([5.0, 8.0]), SHAPE, 1.0)
    kept = neighbours_removed(image, templates, np.array([5.0, 8.0]), 2)
    np.testing.assert_allclose(kept, model_image(templates[1:], np.array([8.0]), SHAPE, 1.0), atol=1e-12)
    np.testing.assert_allclose(neighbours_removed(image, templates, flux, 1), image, atol=0)
    with pytest.raises(InputError, match="Source 9"):
        neighbours_removed(image, templates, flux, 9)


@pytest.mark.parametrize("tile_size", [3, 5000])
def test_a_scaled_solution_equals_that_of_scaled_weights(tile_size):
    rng = np.random.default_rng(4)
    templates, flux = gaussian_field(12, 60, rng)
    image = model_image(templates, flux, (60, 60), 2.0) + rng.normal(size=(60, 60))
    weight = rng.uniform(0.5, 2.0, size=(60, 60))
    scaled = solve_fluxes(image, weight, templates, tile_size=tile_size).scaled(1.7)
    again = solve_fluxes(image, weight / 1.7**2, templates, tile_size=tile_size)
    for name in ("flux", "err", "err_isolated", "background", "background_err", "correlation", "flags", "residual"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(again, name), rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(covariance(scaled), covariance(again), rtol=1e-8, atol=1e-12)


def test_scatter_ratio_is_the_factor_on_the_errors():
    rng = np.random.default_rng(10)
    residual = rng.normal(size=(100, 100)) * 2.0
    weight = np.full((100, 100), 1.0)
    weight[:30] = 0.0
    residual[:30] = np.nan
    # 7000 pixels: 1.4 % for a MAD
    assert scatter_ratio(weight, residual, np.zeros(weight.shape, dtype=bool)) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.ones((3, 3))}, "the same shape"),
        ({"weight": np.zeros(SHAPE)}, "No pixel of the band has a finite value"),
        ({"templates": [gaussian(3, 9, 9, SHAPE)] * 2}, "found 2 with ID 3"),
        ({"templates": [Template(3, Box(-1, 0, 2, 3), np.ones((3, 3)))]}, "source 3 must lie inside"),
        ({"templates": [Template(3, Box(0, 0, 2, 3), np.ones((3, 3)))]}, r"data of shape \(3, 3\)"),
    ],
)
def test_bad_input_is_an_error(change, message):
    given = {"image": np.ones(SHAPE), "weight": np.ones(SHAPE), "templates": [gaussian(1, 9, 9, SHAPE)]} | change
    with pytest.raises(InputError, match=message):
        solve_fluxes(**given)
