from __future__ import annotations

import logging

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from scipy.ndimage import gaussian_filter
from unblend.core.flags import Flag
from unblend.photometry.extraction import adopt_weights, measure_noise, near_sources, rescale_weights
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.unmodelled_flux import _error, beside_masks

SIDE = 90
FWHM = 1.5 * 2.3548
"""Of the Gaussian templates, pixels."""
RNG = np.random.default_rng(11)
TEMPLATES, FLUX = gaussian_field(8, SIDE, RNG)
CLEAN = model_image(TEMPLATES, FLUX, (SIDE, SIDE), 3.0)
WHITE = RNG.normal(size=(SIDE, SIDE))
FOUR = np.full(CLEAN.shape, 4.0)
"""The weight of noise of 0.5."""


def settle(claimed, actual=0.5, noise_origin="map", image=CLEAN):
    weight = np.full(CLEAN.shape, claimed**-2.0)
    return rescale_weights(image + actual * WHITE, weight, TEMPLATES, fwhm=FWHM, noise_origin=noise_origin, name="k")


def test_weights_that_agree_are_kept():
    settled = settle(0.5)
    assert settled.scale == 1.0 and settled.rms == pytest.approx(0.5)
    np.testing.assert_allclose(settled.solution.flux, FLUX, atol=5 * 0.5 * 6)


@pytest.mark.parametrize("claimed", [0.1, 2.0])
def test_weights_that_contradict_the_scatter_are_scaled(claimed, caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        settled = settle(claimed)
    # the MAD of 8000 pixels has an error of 1.3 %
    assert settled.rms == pytest.approx(0.5, rel=0.05)
    assert settled.scale == pytest.approx(0.5 / claimed, rel=0.05)
    assert "k: source-free pixels scatter" in caplog.text and "weights are scaled to agree" in caplog.text
    # the errors follow
    assert settled.solution.err == pytest.approx(settle(0.5).solution.err, rel=0.05)


def test_a_few_pixels_do_not_contradict_a_map(caplog):
    # 8 % too large a noise_origin is seen on 8000 pixels (1.3 %), and not on 300 (7 %)
    few = np.zeros(CLEAN.shape)
    few[10:30, 20:40] = (1.08 * 0.5) ** -2
    with caplog.at_level(logging.WARNING, logger="unblend"):
        assert settle(1.08 * 0.5).scale == pytest.approx(1 / 1.08, rel=0.05)
        caplog.clear()
        kept = rescale_weights(CLEAN + 0.5 * WHITE, few, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k")
    assert kept.scale == 1.0 and not caplog.records


def test_a_number_the_user_gave_is_kept(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        settled = settle(0.1, noise_origin="value")
    assert settled.scale == 1.0 and settled.rms == pytest.approx(0.1)
    assert "the value given is kept" in caplog.text


def test_scaled_weights_do_not_move_the_fluxes():
    np.testing.assert_allclose(settle(0.1).solution.flux, settle(2.0).solution.flux, rtol=1e-6)


def test_the_scatter_of_an_image_is_no_claim(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        settled = settle(2.0, noise_origin="image")
    assert settled.rms == pytest.approx(0.5, rel=0.05) and not caplog.records


def with_stranger(flux, y=70.0, x=20.0):
    """The field with one source more, of which no template knows."""
    assert min(np.hypot(centre[0] - y, centre[1] - x) for centre in map(middle, TEMPLATES)) > 3 * FWHM
    stranger = gaussian(99, y, x, CLEAN.shape)
    return CLEAN + model_image([stranger], np.array([flux]), CLEAN.shape)


def middle(template):
    return template.box.y0 + template.box.shape[0] / 2, template.box.x0 + template.box.shape[1] / 2


def test_light_that_no_model_explains_is_left_out(caplog):
    with caplog.at_level(logging.INFO, logger="unblend"):
        settled = settle(0.5, image=with_stranger(200.0))
    ignored = settled.weight == 0
    assert ignored[70, 20] and ignored[70, 20 + int(FWHM)] and not ignored[10, 60]
    # a disc of the find and 2 FWHM around it: pi (3 FWHM)² of 8100 pixels, less what is near models
    assert 0.01 < settled.left_out < 0.11 and "light that no model explains" in caplog.text
    alone = settle(0.5)
    # the stranger's 200 over 8000 pixels would raise the constant by 0.025; its own error is 0.006
    assert settled.solution.background == pytest.approx(alone.solution.background, abs=0.004)
    raised = solve_fluxes(with_stranger(200.0) + 0.5 * WHITE, FOUR, TEMPLATES).background
    assert raised - alone.solution.background > 0.015
    assert measure_noise(settled, TEMPLATES, name="k").err == pytest.approx(settled.solution.err, rel=0.1)


def test_white_noise_is_kept_but_for_its_highest_peaks():
    # one field of this size in six has a peak of 4 sigma, a disc of 2 % around it goes
    lost = []
    for seed in range(12):
        image = CLEAN + 0.5 * np.random.default_rng(seed).normal(size=CLEAN.shape)
        lost.append(rescale_weights(image, FOUR, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k").left_out)
    assert np.mean(lost) < 0.01 and np.max(lost) < 0.05


def test_noise_is_even_at_edges_and_beside_masks():
    # the significance of a corner is that of the middle: peaks fall anywhere
    weight = np.where(np.hypot(*np.indices((60, 60)) - 30.0) < 12, 0.0, 1.0)
    draws = np.random.default_rng(8).normal(size=(200, 60, 60)) * (weight > 0)
    spread = np.std(gaussian_filter(draws, (0, 3.0, 3.0), mode="constant"), axis=0) / _error(weight > 0, 3.0)
    # 200 draws give a scatter to 5 %
    assert spread[0, 0] == pytest.approx(spread[5:15, 5:15].mean(), rel=0.2)
    assert spread[30, 43] == pytest.approx(spread[5:15, 5:15].mean(), rel=0.2)


def test_a_hole_is_left_out_as_a_peak_is():
    assert settle(0.5, image=with_stranger(-200.0)).weight[70, 20] == 0


def test_the_core_of_a_source_is_kept_beside_a_stranger():
    # a source without flux 1.5 FWHM from the stranger, in the disc that is left out
    faint = gaussian(50, 70.0, 25.3, CLEAN.shape)
    image = with_stranger(200.0) + 0.5 * WHITE
    settled = rescale_weights(image, FOUR, [*TEMPLATES, faint], fwhm=FWHM, noise_origin="map", name="k")
    assert settled.weight[70, 25] > 0 and settled.weight[70, 20] == 0
    assert not settled.solution.flags[-1] and np.isfinite(settled.solution.flux[-1])


def test_a_field_of_strangers_leaves_the_sky_between_them(caplog):
    places = np.random.default_rng(3).uniform(5, SIDE - 5, (60, 2)).tolist()
    strangers = [gaussian(k, y, x, CLEAN.shape) for k, (y, x) in enumerate(places)]
    with caplog.at_level(logging.WARNING, logger="unblend"):
        settled = settle(0.5, image=CLEAN + model_image(strangers, np.full(60, 200.0), CLEAN.shape))
    assert 0.4 < settled.left_out < 0.7 and "detect fainter sources, or set background" in caplog.text
    # 60 × 200 over 8100 pixels are 1.5
    assert settled.solution.background == pytest.approx(3.0, abs=0.15)


def test_the_wings_beside_a_masked_source_are_left_out():
    weight = np.where(np.hypot(*np.indices(CLEAN.shape) - np.array([70, 20])[:, None, None]) < 5, 0.0, 4.0)
    weight[40, 75] = 0.0
    beside = beside_masks(weight, TEMPLATES, FWHM)
    assert beside[70, 26] and not beside[70, 20] and not beside[70, 30] and not beside[40, 76]
    # no more than the ring between 5 pixels and FWHM beyond: the mask's edge is rounded by a pixel
    assert beside.sum() == pytest.approx(np.pi * ((5 + FWHM) ** 2 - 5**2), rel=0.25)
    faint = gaussian(50, 70.0, 26.0, CLEAN.shape)
    assert not beside_masks(weight, [faint], FWHM)[70, 26]
    assert not beside_masks(np.where(weight == 0, 4.0, 0.0), [], FWHM).any()


def test_near_sources_is_where_models_shine():
    solution = solve_fluxes(CLEAN, np.ones(CLEAN.shape), TEMPLATES)
    near = near_sources(solution, TEMPLATES, np.ones(CLEAN.shape))
    np.testing.assert_array_equal(near, CLEAN - 3.0 > 0.5)
    assert 0.01 < near.mean() < 0.5


def test_adopted_weights_give_what_settled_ones_gave():
    image = with_stranger(200.0) + 0.5 * WHITE
    # a source that the user's mask halves
    weight, box = FOUR.copy(), TEMPLATES[0].box
    weight[box.y0 : box.y1, (box.x0 + box.x1) // 2 : box.x1] = 0.0
    settled = rescale_weights(image, weight, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k")
    adopted = adopt_weights(image, settled.weight, weight == 0, TEMPLATES)
    assert settled.left_out > 0 and (settled.solution.flags & Flag.PARTLY_MASKED).sum() > 0
    np.testing.assert_array_equal(adopted.solution.flags, settled.solution.flags)
    np.testing.assert_allclose(adopted.solution.flux, settled.solution.flux, rtol=1e-9)
    np.testing.assert_allclose(adopted.solution.err, settled.solution.err, rtol=1e-9)
    np.testing.assert_array_equal(adopted.near_source, settled.near_source)


def test_an_image_with_holes_still_shows_what_no_model_explains():
    image = with_stranger(200.0) + 0.5 * WHITE
    image[10:12, 50:60] = np.nan
    assert rescale_weights(image, FOUR, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k").weight[70, 20] == 0


def test_white_noise_has_no_correlation():
    settled = settle(0.5)
    noise = measure_noise(settled, TEMPLATES, name="k")
    # 8000 pixels: the correlation has an error of 1.1 %
    assert abs(noise.lag_one) < 0.05
    assert noise.err == pytest.approx(settled.solution.err, rel=0.1)


def test_correlated_noise_makes_larger_errors():
    smooth = gaussian_filter(np.random.default_rng(5).normal(size=CLEAN.shape), 0.8, mode="wrap")
    smooth *= 0.5 / smooth.std()
    settled = rescale_weights(CLEAN + smooth, FOUR, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k")
    noise = measure_noise(settled, TEMPLATES, name="k")
    # exp(−1/(4 · 0.8²)) = 0.68 between neighbours
    assert noise.lag_one == pytest.approx(0.68, abs=0.06)
    # sources broader than the correlation: the variance grows by its area, 4 pi 0.8² = 8, less what is resolved
    assert np.median(noise.err / settled.solution.err) == pytest.approx(2.3, abs=0.4)


def test_the_noise_does_not_depend_on_chance():
    settled = settle(0.5)
    np.testing.assert_array_equal(
        measure_noise(settled, TEMPLATES, name="k").err, measure_noise(settled, TEMPLATES, name="k").err
    )
