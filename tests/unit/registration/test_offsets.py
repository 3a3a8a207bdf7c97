from __future__ import annotations

import numpy as np
import pytest
from offset_sources import PLACES, SHAPE, make_templates, offset_image
from unblend.core.errors import ShiftError
from unblend.photometry.correlated_noise import draw_noise
from unblend.registration.offsets import (
    CommonShift,
    Offsets,
    common_shift,
    linear_offsets,
    recommend,
    template_gradients,
)


def test_gradients_point_along_the_axes():
    gradient_y, gradient_x = template_gradients(make_templates, [3], step_pixels=0.05)
    template = make_templates([3], (0.0, 0.0))[0]
    rows, columns = np.ogrid[template.box.slices]
    # dT/d(position) of a Gaussian is (pixel - position) / sigma² T; the step gives errors of 2e-4 of the peak
    for gradient, distance in ((gradient_y[0], rows - 12.0), (gradient_x[0], columns - 15.0)):
        data = gradient.data[template.box.within(gradient.box)]
        np.testing.assert_allclose(data, template.data * distance / 1.5**2, atol=2e-4 * template.data.max())


def offsets_of(image, weight=None, shift=(0.0, 0.0)):
    templates = make_templates(PLACES, shift)
    gradients = template_gradients(make_templates, [1, 2, 3, 4], shift)
    return linear_offsets(image, np.ones(SHAPE) if weight is None else weight, templates, *gradients)


def test_linear_offsets_have_the_sign_of_the_shift_and_converge():
    image = offset_image(0.3, -0.2)
    first = offsets_of(image)
    assert first.ids.tolist() == [1, 2, 3, 4]
    # one linear step from 0.36 pixel, a quarter sigma
    np.testing.assert_allclose(first.dy, 0.3, atol=0.02)
    np.testing.assert_allclose(first.dx, -0.2, atol=0.02)
    shift = common_shift(first).shift
    second = common_shift(offsets_of(image, shift=shift)).shift
    assert (shift[0] + second[0], shift[1] + second[1]) == pytest.approx((0.3, -0.2), abs=1e-3)


def test_errors_of_linear_offsets_and_masked_sources():
    weight = np.full(SHAPE, 0.04)
    rows, columns = np.indices(SHAPE)
    weight[np.hypot(rows - PLACES[3][0], columns - PLACES[3][1]) < 12] = 0.0
    image = offset_image(0.0, 0.0, noise=5.0)
    found = offsets_of(image, weight)
    # an isolated Gaussian: sqrt(8 pi) sigma² rms / flux; its fitted flux is known to 8 %
    assert found.err_dy[3] == pytest.approx(np.sqrt(8 * np.pi) * 1.5**2 * 5.0 / 350.0, rel=0.2)
    assert (np.abs(found.dy / found.err_dy)[[0, 1, 3]] < 4).all()
    assert np.isnan([found.dy[2], found.err_dx[2], found.snr[2]]).all()


def test_errors_of_linear_offsets_with_correlated_noise():
    lags = np.arange(-6, 7)
    # white noise smoothed by a Gaussian with a sigma of 0.8 pixels: R is a Gaussian of 0.8 √2
    correlation = np.exp(-(lags[:, None] ** 2 + lags**2) / (4 * 0.8**2))
    templates, gradients = make_templates([1, 2, 3, 4], (0.0, 0.0)), template_gradients(make_templates, [1, 2, 3, 4])
    clean, pulls, white = offset_image(0.0, 0.0), [], []
    rng = np.random.default_rng(8)
    for _ in range(40):
        image = clean + 2.0 * draw_noise(correlation, SHAPE, rng)
        found = linear_offsets(image, np.full(SHAPE, 0.25), templates, *gradients, correlation)
        pulls.append([found.dy / found.err_dy, found.dx / found.err_dx])
        plain = linear_offsets(image, np.full(SHAPE, 0.25), templates, *gradients)
        white.append([plain.dy / plain.err_dy, plain.dx / plain.err_dx])
    # 320 pulls: their rms is known to 4 %
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert np.std(white) > 1.5


def made_offsets(dy, dx, err, snr=100.0):
    n = len(dy)
    full = np.full(n, 1.0)
    return Offsets(np.arange(n), np.asarray(dy), np.asarray(dx), err * full, err * full, snr * full)


def test_common_shift_is_robust_and_measures_the_scatter():
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
    assert "-0.0500 ± 0.0050 arcsec along image X" in text and "+0.1200 ± 0.0060 arcsec along image Y" in text


@pytest.mark.parametrize(
    ("shift", "error"),
    [((0.04, 0.02), (0.001, 0.001)), ((0.2, 0.2), (0.1, 0.1))],
    ids=["too small", "not significant"],
)
def test_no_recommendation(shift, error):
    assert recommend(CommonShift(shift, error, (0.0, 0.0), 5), (0.6, 0.6)) is None
