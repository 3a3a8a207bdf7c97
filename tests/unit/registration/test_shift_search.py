from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from unblend.core.errors import ShiftError
from unblend.photometry.correlated_noise import draw_noise
from unblend.photometry.linear_system import model_image
from unblend.registration.shift_search import (
    CommonShift,
    Offsets,
    choose_references,
    common_shift,
    grid_search,
    linear_offsets,
    recommend,
    template_gradients,
)

SHAPE = (60, 70)
PLACES = {1: (30.3, 33.2), 2: (33.0, 38.0), 3: (12.0, 15.0), 4: (45.0, 20.0), 5: (20.0, 55.0)}
FLUX = np.array([500.0, 300.0, 400.0, 350.0, 200.0])


def make_templates(ids, shift):
    """Draw Gaussians at their catalogue position plus the shift."""
    return [gaussian(k, PLACES[k][0] + shift[0], PLACES[k][1] + shift[1], SHAPE) for k in ids]


def image_off_by(dy, dx, noise=0.0, seed=1):
    """Draw the sources where the image has them: off by (dy, dx) from the catalogue."""
    clean = model_image(make_templates(PLACES, (dy, dx)), FLUX, SHAPE, 2.0)
    return clean + noise * np.random.default_rng(seed).normal(size=SHAPE)


def search(image, weight=1.0, **changes):
    arguments = {
        "references": [1],
        "centres": [PLACES[1]],
        "radius_pixels": 6.0,
        "step_pixels": 0.2,
        "max_pixels": 1.0,
        "neighbours": [2],
    } | changes
    return grid_search(image, np.full(SHAPE, weight), make_templates, **arguments)


def test_grid_search_finds_the_light_up_and_to_the_left():
    # the light lies at larger y and smaller x than the catalogue: dy > 0, dx < 0
    found = search(image_off_by(0.31, -0.47))
    # a parabola through steps of 0.2 pixel on a Gaussian of sigma 1.5
    assert found.shift == pytest.approx((0.31, -0.47), abs=0.003)
    assert found.grid_shift == pytest.approx((0.4, -0.4))
    assert found.chi2.shape == (11, 11)
    np.testing.assert_allclose(found.offsets, np.linspace(-1.0, 1.0, 11), atol=1e-12)
    row, column = np.unravel_index(np.argmin(found.chi2), found.chi2.shape)
    assert (found.offsets[row], found.offsets[column]) == found.grid_shift
    assert found.pixels == pytest.approx(np.pi * 36, rel=0.05)


def test_grid_search_error_is_the_scatter():
    shifts, errors = [], []
    for seed in range(25):
        found = search(image_off_by(0.1, 0.05, noise=5.0, seed=seed), 0.04, max_pixels=0.6)
        shifts.append(found.shift)
        errors.append(found.error)
    scatter = np.std(shifts, axis=0) / np.mean(errors, axis=0)
    # 25 trials know a scatter to 14 %
    np.testing.assert_allclose(scatter, 1.0, atol=0.4)
    # sigma of a Gaussian's centre: sqrt(8 pi) sigma² rms / flux, a little more with flux, neighbour, constant free
    expected = np.sqrt(8 * np.pi) * 1.5**2 * 5.0 / 500.0
    assert np.mean(errors) == pytest.approx(expected, rel=0.2)


def test_a_neighbour_left_out_pulls_and_masked_pixels_are_ignored():
    image = image_off_by(0.2, 0.2)
    alone = search(image, neighbours=[])
    assert np.hypot(alone.shift[0] - 0.2, alone.shift[1] - 0.2) > 0.05
    weight = np.ones(SHAPE)
    weight[26:29, 30:33] = 0.0
    image[26:29, 30:33] = np.nan
    found = grid_search(
        image,
        weight,
        make_templates,
        [1],
        [PLACES[1]],
        radius_pixels=6.0,
        step_pixels=0.1,
        max_pixels=0.5,
        neighbours=[2],
    )
    assert found.shift == pytest.approx((0.2, 0.2), abs=0.002)


def test_several_references_and_centres():
    found = search(image_off_by(-0.6, 0.33), references=[1, 3, 4], centres=[PLACES[k] for k in (1, 3, 4)])
    assert found.shift == pytest.approx((-0.6, 0.33), abs=0.003)
    assert found.pixels == pytest.approx(3 * np.pi * 36, rel=0.05)


def test_what_the_search_refuses():
    image = image_off_by(0.0, 1.4)
    with pytest.raises(ShiftError, match=r"reference 1, dx = 1, .* edge of the grid of ±1 pixels: raise"):
        search(image)
    with pytest.raises(ShiftError, match="0 < step <= max_shift"):
        search(image, step_pixels=2.0)
    with pytest.raises(ShiftError, match=r"0 usable pixels within 6\.00 pixels of reference 1"):
        search(np.full(SHAPE, np.nan))
    with pytest.raises(ShiftError, match="Reference 5 has no light"):
        search(image, references=[1, 5])


def test_gradients_point_along_the_axes():
    gradient_y, gradient_x = template_gradients(make_templates, [3], step_pixels=0.05)
    template = make_templates([3], (0.0, 0.0))[0]
    rows, columns = np.ogrid[template.box.slices]
    # dT/d(position) of a Gaussian is (pixel - position) / sigma² T; the step costs 2e-4 of the peak
    for gradient, distance in ((gradient_y[0], rows - 12.0), (gradient_x[0], columns - 15.0)):
        data = gradient.data[template.box.within(gradient.box)]
        np.testing.assert_allclose(data, template.data * distance / 1.5**2, atol=2e-4 * template.data.max())


def offsets_of(image, weight=None, shift=(0.0, 0.0)):
    templates = make_templates(PLACES, shift)
    gradients = template_gradients(make_templates, [1, 2, 3, 4], shift)
    return linear_offsets(image, np.ones(SHAPE) if weight is None else weight, templates, *gradients)


def test_linear_offsets_have_the_sign_of_the_shift_and_converge():
    image = image_off_by(0.3, -0.2)
    first = offsets_of(image)
    assert first.ids.tolist() == [1, 2, 3, 4]
    # one linear step from 0.36 pixel, a quarter sigma
    np.testing.assert_allclose(first.dy, 0.3, atol=0.02)
    np.testing.assert_allclose(first.dx, -0.2, atol=0.02)
    shift = common_shift(first).shift
    second = common_shift(offsets_of(image, shift=shift)).shift
    assert (shift[0] + second[0], shift[1] + second[1]) == pytest.approx((0.3, -0.2), abs=1e-3)


def test_linear_offsets_errors_and_dead_sources():
    weight = np.full(SHAPE, 0.04)
    rows, columns = np.indices(SHAPE)
    weight[np.hypot(rows - PLACES[3][0], columns - PLACES[3][1]) < 12] = 0.0
    image = image_off_by(0.0, 0.0, noise=5.0)
    found = offsets_of(image, weight)
    # an isolated Gaussian, as above; its fitted flux is good to 8 %
    assert found.err_dy[3] == pytest.approx(np.sqrt(8 * np.pi) * 1.5**2 * 5.0 / 350.0, rel=0.2)
    assert (np.abs(found.dy / found.err_dy)[[0, 1, 3]] < 4).all()
    assert np.isnan([found.dy[2], found.err_dx[2], found.snr[2]]).all()


def test_linear_offsets_errors_honour_correlated_noise():
    lags = np.arange(-6, 7)
    # white noise smoothed by a Gaussian of 0.8 pixel: R is one of 0.8 √2
    correlation = np.exp(-(lags[:, None] ** 2 + lags**2) / (4 * 0.8**2))
    templates, gradients = make_templates([1, 2, 3, 4], (0.0, 0.0)), template_gradients(make_templates, [1, 2, 3, 4])
    clean, pulls, white = image_off_by(0.0, 0.0), [], []
    rng = np.random.default_rng(8)
    for _ in range(40):
        image = clean + 2.0 * draw_noise(correlation, SHAPE, rng)
        found = linear_offsets(image, np.full(SHAPE, 0.25), templates, *gradients, correlation)
        pulls.append([found.dy / found.err_dy, found.dx / found.err_dx])
        plain = linear_offsets(image, np.full(SHAPE, 0.25), templates, *gradients)
        white.append([plain.dy / plain.err_dy, plain.dx / plain.err_dx])
    # 320 pulls: their rms is good to 4 %
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert np.std(white) > 1.5


def made_offsets(dy, dx, err, snr=100.0):
    n = len(dy)
    full = np.full(n, 1.0)
    return Offsets(np.arange(n), np.asarray(dy), np.asarray(dx), err * full, err * full, snr * full)


def test_common_shift_is_robust_and_knows_the_scatter():
    rng = np.random.default_rng(3)
    dy, dx = 0.2 + 0.05 * rng.normal(size=200), -0.1 + 0.05 * rng.normal(size=200)
    dy[:10] += 3.0
    result = common_shift(made_offsets(dy, dx, 0.005))
    assert result.used <= 190
    # 0.05 / sqrt(190)
    assert result.shift == pytest.approx((0.2, -0.1), abs=0.015)
    assert result.error == pytest.approx((0.0036, 0.0036), rel=0.25)
    assert result.scatter == pytest.approx((0.05, 0.05), rel=0.25)


def test_common_shift_without_scatter_is_the_weighted_mean():
    offsets = Offsets(
        np.arange(3),
        np.array([0.10, 0.11, np.nan]),
        np.array([0.0, 0.01, 0.0]),
        np.array([0.01, 0.02, 0.01]),
        np.array([0.01, 0.02, 0.01]),
        np.array([50.0, 50.0, 50.0]),
    )
    result = common_shift(offsets)
    # weights 4 : 1
    assert result.shift == pytest.approx((0.102, 0.002))
    assert result.error[0] == pytest.approx(0.01 / np.sqrt(1.25))
    assert result.used == 2
    with pytest.raises(ShiftError, match="signal-to-noise of 200"):
        common_shift(offsets, 200.0)


def test_recommendation_adds_to_the_present_shift_in_the_order_of_the_configuration():
    common = CommonShift((0.2, -0.1), (0.01, 0.01), (0.0, 0.0), 12)
    text = recommend(common, (0.6, 0.5), (0.03, -0.01))
    # x: 0.03 - 0.1 * 0.5, y: -0.01 + 0.2 * 0.6
    assert text is not None and "shift: [-0.0200, 0.1100]" in text and "12 bright sources" in text
    assert "-0.0500 ± 0.0050 arcsec along image X" in text and "+0.1200 ± 0.0060 along Y" in text


@pytest.mark.parametrize(
    ("shift", "error"),
    [((0.04, 0.02), (0.001, 0.001)), ((0.2, 0.2), (0.1, 0.1))],
    ids=["too small", "not significant"],
)
def test_no_recommendation(shift, error):
    assert recommend(CommonShift(shift, error, (0.0, 0.0), 5), (0.6, 0.6)) is None


def catalogue(**changes):
    columns = {
        "ids": np.arange(1, 8),
        "y": np.arange(7) * 50.0,
        "x": np.zeros(7),
        "flux": np.array([100.0, 90.0, 80.0, 70.0, 60.0, 50.0, 1.0]),
        "flux_err": np.ones(7),
        "r_e": np.array([2.0, 0.05, 2.0, 20.0, 2.0, 2.0, 2.0]),
    } | changes
    return choose_references(**columns, radius=6.0, r_e_min=0.2, r_e_max=5.0, min_snr=20.0)


def test_references_are_bright_compact_and_no_star():
    # 2 is a point, 4 is large, 7 is faint
    assert catalogue() == [1, 3, 5, 6]
    eligible = np.ones(7, dtype=bool)
    eligible[0] = False
    assert catalogue(eligible=eligible) == [3, 5, 6]


def test_references_with_neighbours_come_only_when_needed():
    y = np.array([0.0, 60.0, 5.0, 150.0, 200.0, 250.0, 204.0])
    # 1 and 3 are 5 pixels apart, 7 is too faint to disturb 5: two isolated ones are not enough, 1 outshines 3
    assert catalogue(y=y) == [1, 5, 6]
    y[5] = 300.0
    r_e = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert catalogue(y=y, r_e=r_e) == [2, 4, 5, 6]


def test_no_reference_is_an_error():
    with pytest.raises(ShiftError, match="0 have S/N > 20"):
        catalogue(r_e=np.zeros(7))
