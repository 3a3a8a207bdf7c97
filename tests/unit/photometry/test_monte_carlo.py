from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from unblend.core.errors import InputError
from unblend.core.types import Box, Template
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.monte_carlo import (
    adopted_scale,
    monte_carlo,
    place_circles,
    pooled_ratio,
    realization_scatter,
    usable_circles,
)


def brute_force(image, weight, templates, circle, source):
    """Return the change of each flux when the residual in the circle is added at `source` and the image is refitted.

    The residual is scaled to the noise of the pixel to which it is added.
    """
    before = solve_fluxes(image, weight, templates)
    y, x, radius = circle
    rows, columns = np.indices(image.shape)
    disc = np.hypot(rows - y, columns - x) <= radius
    dy, dx = round(source[0]) - round(y), round(source[1]) - round(x)
    changed = image.copy()
    for row, column in zip(*np.nonzero(disc), strict=True):
        scale = np.sqrt(weight[row, column] / weight[row + dy, column + dx])
        changed[row + dy, column + dx] += scale * before.residual[row, column]
    return solve_fluxes(changed, weight, templates).flux - before.flux


@pytest.mark.parametrize("tile_size", [5000, 2])
def test_changes_equal_those_of_a_fit_of_the_changed_image(tile_size):
    rng = np.random.default_rng(1)
    shape = (60, 70)
    places = {1: (20.2, 22.4), 2: (22.1, 26.3), 3: (24.0, 20.7), 7: (45.6, 50.1), 9: (30.0, 30.0), 10: (18.0, 50.0)}
    templates = [gaussian(k, y, x, shape, half=8) for k, (y, x) in places.items()]
    image = model_image(templates, 100.0 * rng.random(6), shape, 3.0) + rng.normal(size=shape)
    weight = rng.uniform(0.5, 2.0, shape)
    answer = solve_fluxes(image, weight, templates, tile_size=tile_size)
    circles = [(10.3, 55.8, 6.0), (48.7, 15.2, 4.5), (12.5, 12.5, 7.0)]
    positions = np.array(list(places.values()))
    changes = monte_carlo(
        answer.residual, np.zeros(shape, dtype=bool), templates, answer, weight, circles, positions=positions
    )
    assert changes.shape == (6, 3)
    for k in (0, 1, 3):
        for m, circle in enumerate(circles):
            truth = brute_force(image, weight, templates, circle, positions[k])[k]
            # two fits, each with a ridge of 1e-10
            assert changes[k, m] == pytest.approx(truth, rel=1e-6, abs=1e-7)


def test_errors_are_right_on_both_sides_of_a_step_in_depth():
    """The noise of the right half is four times that of the left, and circles lie on both."""
    shape = (150, 150)
    rng = np.random.default_rng(6)
    noise = np.where(np.arange(shape[1]) < 75, 1.0, 4.0) * np.ones(shape)
    templates = [gaussian(k + 1, 40 + 35 * (k % 3), 35 + 80 * (k // 3), shape, half=8) for k in range(6)]
    answer = solve_fluxes(noise * rng.normal(size=shape), noise**-2, templates)
    circles = [(y, x, 7.0) for y in np.arange(8.0, 142.0, 15.0) for x in np.arange(8.0, 142.0, 15.0)]
    changes = monte_carlo(answer.residual, np.zeros(shape, dtype=bool), templates, answer, noise**-2, circles)
    # 81 circles: 8 %
    assert realization_scatter(changes) / answer.err == pytest.approx(np.ones(6), abs=0.3)
    assert pooled_ratio(changes, answer.err)[0] == pytest.approx(1.0, abs=0.2)


def test_patches_are_added_at_the_centroid_by_default():
    shape = (50, 50)
    templates = [gaussian(1, 20, 25, shape)]
    answer = solve_fluxes(np.random.default_rng(2).normal(size=shape), np.ones(shape), templates)
    arguments = (answer.residual, np.zeros(shape, dtype=bool), templates, answer, np.ones(shape), [(35.0, 12.0, 5.0)])
    by_light, given = monte_carlo(*arguments), monte_carlo(*arguments, positions=np.array([[20.0, 25.0]]))
    np.testing.assert_array_equal(by_light, given)
    assert by_light[0, 0] != 0


def test_circles_without_usable_pixels_give_nan_instead_of_zero():
    shape = (50, 50)
    rng = np.random.default_rng(3)
    templates = [gaussian(1, 25, 25, shape), Template(2, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)]
    answer = solve_fluxes(rng.normal(size=shape), np.ones(shape), templates)
    mask = np.zeros(shape, dtype=bool)
    mask[10:14, 10:14] = True  # 16 of the 81 pixels of the second circle
    mask[40, 40] = True  # one of the 81 of the third
    circles = [(2.0, 25.0, 5.0), (12.0, 12.0, 5.0), (40.0, 40.0, 5.0), (400.0, 400.0, 5.0), (30.0, 10.0, 5.0)]
    changes = monte_carlo(answer.residual, mask, templates, answer, np.ones(shape), circles)
    assert np.isfinite(changes[0]).tolist() == [False, False, True, False, True]
    assert np.isnan(changes[1]).all()
    far = np.array([[90.0, 90.0], [0.0, 0.0]])
    away = monte_carlo(answer.residual, mask, templates, answer, np.ones(shape), circles, positions=far)
    assert np.isnan(away).all()
    assert monte_carlo(answer.residual, mask, templates, answer, np.ones(shape), []).shape == (2, 0)


def test_scatter_of_white_noise_is_the_formal_error():
    rng = np.random.default_rng(4)
    templates, truth = gaussian_field(20, 200, rng, half=8)
    image = model_image(templates, truth, (200, 200)) + 2.0 * rng.normal(size=(200, 200))
    weight = np.full(image.shape, 0.25)
    answer = solve_fluxes(image, weight, templates)
    light = model_image(templates, answer.flux, image.shape)
    placed = place_circles(light, np.zeros(image.shape), light > 0.2, radius=9.0, fwhm=3.5)
    changes = monte_carlo(answer.residual, np.zeros(image.shape, dtype=bool), templates, answer, weight, placed.circles)
    assert len(placed.circles) >= 40 and placed.on_segments == 0
    ratio, error = pooled_ratio(changes, answer.err)
    assert error == pytest.approx(ratio / np.sqrt(2.0 * (len(placed.circles) - 1)))
    # three times its error of about 0.1
    assert ratio == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(("number", "expected"), [(10, 0.25), (20, 0.17), (50, 0.10)])
def test_the_uncertainty_of_the_monte_carlo_error(number, expected):
    # one source on its own image; patches of pure noise that share no pixel, in sets of `number`
    sets, step = 3000 // number, 11
    rows, columns = (v.ravel() for v in np.meshgrid(np.arange(50), np.arange(60), indexing="ij"))
    circles = [(8.0 + step * y, 8.0 + step * x, 5.0) for y, x in zip(rows, columns, strict=True)]
    shape = (50 * step + 8, 60 * step + 8)
    template = gaussian(1, 300, 500, shape, half=5)
    noise = np.random.default_rng(number).normal(size=shape)
    answer = solve_fluxes(np.zeros(shape), np.ones(shape), [template])
    changes = monte_carlo(noise, np.zeros(shape, dtype=bool), [template], answer, np.ones(shape), circles)
    errors = realization_scatter(changes.reshape(sets, number))
    # 1/√(2(M − 1)) is 0.24, 0.16, 0.10, which the manual rounds; the scatter of 60 values is known to 9 %
    assert np.std(errors) / np.mean(errors) == pytest.approx(expected, rel=0.25)
    # 5 pixels contain all but 0.4 % of the light, and 1/√6000 of the scatter is 1.3 %
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(answer.err[0], rel=0.04)


def test_scatter_needs_five_realizations():
    values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, np.nan], [1.0, 2.0, 3.0, 4.0, np.nan, np.nan]])
    # the variance of 1 … 5 with ddof 1 is 2.5
    np.testing.assert_allclose(realization_scatter(values), [np.sqrt(2.5), np.nan])


def test_pooled_ratio_and_adopted_scale():
    rng = np.random.default_rng(5)
    changes = 1.5 * rng.normal(size=(400, 51)) * np.linspace(1, 9, 400)[:, None]
    changes[::20] *= 100.0  # misfits do not affect the median
    ratio, error = pooled_ratio(changes, np.linspace(1, 9, 400))
    # 5 % of misfits change the median of ratios with a scatter of 0.1 by 0.7 %
    assert ratio == pytest.approx(1.5, abs=0.04)
    assert error == pytest.approx(0.15, abs=0.01)
    assert adopted_scale(ratio, error) == ratio
    assert adopted_scale(1.2, 0.15) == 1.0
    assert adopted_scale(0.5, 0.01) == 1.0
    assert adopted_scale(*pooled_ratio(np.full((3, 6), np.nan), np.ones(3))) == 1.0


def overlaps(circles) -> bool:
    spots = np.array(circles)
    distance = np.hypot(*(spots[:, None, :2] - spots[None, :, :2]).transpose(2, 0, 1))
    return bool((distance[np.triu_indices(len(spots), 1)] <= 2 * spots[0, 2]).any())


def test_circles_are_placed_where_models_are_faint_and_never_overlap():
    shape = (120, 240)
    segments = np.zeros(shape, dtype=int)
    segments[::15, :120:15] = 7
    mask = np.zeros(shape, dtype=bool)
    mask[:30, 200:] = True
    light = np.zeros(shape)
    light[:, 180:] = 1.0
    light[:, 120:180] = -5.0  # negative models count as zero
    placed = place_circles(light, mask, segments, radius=9.0, fwhm=3.0, wanted=12, enough=5)
    assert placed.radius == 9.0 and len(placed.circles) == 12
    assert placed.on_segments == 0 and not overlaps(placed.circles)
    rows, columns = np.indices(shape)
    for y, x, radius in placed.circles:
        disc = np.hypot(rows - y, columns - x) <= radius
        assert not mask[disc].any() and not segments[disc].any()
        assert radius <= y < shape[0] - radius and radius <= x < shape[1] - radius
    assert sum(x < 180 for _, x, _ in placed.circles) >= 8
    assert placed == place_circles(light, mask, segments, radius=9.0, fwhm=3.0, wanted=12, enough=5)


def test_circles_shrink_then_touch_segments_then_are_fewer():
    shape = (100, 100)
    none = np.zeros(shape, dtype=bool)
    light = np.zeros(shape)
    small = place_circles(light, none, none, radius=20.0, fwhm=4.0)
    assert 8.0 <= small.radius < 20.0 and len(small.circles) >= 15
    segments = none.copy()
    segments[::6, ::6] = True
    crossing = place_circles(light, none, segments, radius=12.0, fwhm=4.0)
    assert crossing.radius == 8.0 and len(crossing.circles) == 15 == crossing.on_segments
    few = place_circles(light[:30, :30], none[:30, :30], none[:30, :30], radius=12.0, fwhm=6.0)
    assert len(few.circles) == 1 and few.radius == 12.0
    nothing = place_circles(light, ~none, none, radius=5.0, fwhm=2.0)
    assert nothing.circles == []


def test_bright_positions_are_used_only_to_reach_the_minimum_number():
    light, none = np.zeros((100, 200)), np.zeros((100, 200), dtype=bool)
    light[:, 100:] = 3.0
    everywhere = place_circles(light, none, none, radius=8.0, fwhm=4.0)
    assert max(x for _, x, _ in everywhere.circles) > 150
    faint = place_circles(light, none, none, radius=8.0, fwhm=4.0, bright_level=1.0)
    assert len(faint.circles) >= 15 and max(x for _, x, _ in faint.circles) < 100
    # the faint area of 40 × 60 pixels has no room for eight circles of this size
    filled = place_circles(
        light[:40, 40:], none[:40, 40:], none[:40, 40:], radius=8.0, fwhm=4.0, enough=8, bright_level=1.0
    )
    assert len(filled.circles) == 8 and sum(x > 60 for _, x, _ in filled.circles) == 1


def test_radius_must_be_positive():
    with pytest.raises(InputError, match="positive radius and a positive FWHM"):
        place_circles(np.zeros((5, 5)), np.zeros((5, 5)), np.zeros((5, 5)), radius=0.0, fwhm=1.0)


def test_circles_that_can_be_used():
    good = [(5.0, 5.0, 3.0), (50.0, 90.0, 20.0)]
    bad = [
        (np.nan, 5.0, 3.0),
        (-1.0, 5.0, 3.0),
        (5.0, 99.6, 3.0),
        (50.0, 50.0, 1e6),
        (50.0, 50.0, 58.0),
        (5.0, 5.0, 0.0),
    ]
    assert usable_circles([good[0], *bad, good[1]], (100, 100)) == good


def test_the_largest_circles_give_way_where_the_patches_would_need_too_much_memory():
    circles = [(500.0, 500.0, 400.0 if n % 10 == 0 else 100.0) for n in range(1000)]
    found = usable_circles(circles, (1000, 1000))
    # 900 patches of 203 x 203 pixels are 37 million pixels, 1000 of 803 x 803 would be 645 million
    assert len(found) == 900 and {radius for *_, radius in found} == {100.0}
