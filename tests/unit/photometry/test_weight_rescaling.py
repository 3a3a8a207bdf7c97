from __future__ import annotations

import logging

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from unblend.core.flags import Flag
from unblend.photometry.correlated_noise import measure_noise
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.weight_rescaling import adopt_weights, near_sources, rescale_weights

SIDE = 90
FWHM = 1.5 * 2.3548
"""FWHM of the Gaussian templates in pixels."""
RNG = np.random.default_rng(11)
TEMPLATES, FLUX = gaussian_field(8, SIDE, RNG)
CLEAN = model_image(TEMPLATES, FLUX, (SIDE, SIDE), 3.0)
WHITE = RNG.normal(size=(SIDE, SIDE))
FOUR = np.full(CLEAN.shape, 4.0)
"""Weight of pixels with a noise of 0.5."""


def rescale(claimed, actual=0.5, noise_origin="map", image=CLEAN):
    weight = np.full(CLEAN.shape, claimed**-2.0)
    return rescale_weights(image + actual * WHITE, weight, TEMPLATES, fwhm=FWHM, noise_origin=noise_origin, name="k")


def test_weights_that_agree_are_kept():
    rescaled = rescale(0.5)
    assert rescaled.scale == 1.0 and rescaled.rms == pytest.approx(0.5)
    np.testing.assert_allclose(rescaled.solution.flux, FLUX, atol=5 * 0.5 * 6)


@pytest.mark.parametrize("claimed", [0.1, 2.0])
def test_weights_that_disagree_with_the_scatter_are_rescaled(claimed, caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        rescaled = rescale(claimed)
    # the MAD of 8000 pixels is known to 1.3 %
    assert rescaled.rms == pytest.approx(0.5, rel=0.05)
    assert rescaled.scale == pytest.approx(0.5 / claimed, rel=0.05)
    assert "k: the source-free pixels scatter by 0.5" in caplog.text and "of the map" in caplog.text
    # the errors follow
    assert rescaled.solution.err == pytest.approx(rescale(0.5).solution.err, rel=0.05)


@pytest.mark.parametrize(("origin", "claimed"), [("weights", 1e-4), ("weights", 40.0), ("map", 0.4), ("map", 0.7)])
def test_a_factor_that_says_nothing_is_no_warning(origin, claimed, caplog):
    """Exposure times have any unit, and correlated noise lowers the scatter by 10 to 40 %."""
    with caplog.at_level(logging.INFO, logger="unblend"):
        rescaled = rescale(claimed, noise_origin=origin)
    assert rescaled.rms == pytest.approx(0.5, rel=0.05)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert sum("the source-free pixels scatter by 0.5" in record.getMessage() for record in caplog.records) == 1


def test_a_noise_map_is_kept_where_too_few_pixels_measure_the_scatter(caplog):
    # a noise that is 8 % too large is significant on 8000 pixels (1.3 %) but not on 300 (7 %)
    few = np.zeros(CLEAN.shape)
    few[10:30, 20:40] = (1.08 * 0.5) ** -2
    with caplog.at_level(logging.WARNING, logger="unblend"):
        assert rescale(1.08 * 0.5).scale == pytest.approx(1 / 1.08, rel=0.05)
        caplog.clear()
        kept = rescale_weights(CLEAN + 0.5 * WHITE, few, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k")
    assert kept.scale == 1.0 and not caplog.records


def test_a_noise_value_from_the_user_is_kept(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        rescaled = rescale(0.1, noise_origin="value")
    assert rescaled.scale == 1.0 and rescaled.rms == pytest.approx(0.1)
    assert "the value given is kept" in caplog.text


def test_rescaled_weights_do_not_change_the_fluxes():
    np.testing.assert_allclose(rescale(0.1).solution.flux, rescale(2.0).solution.flux, rtol=1e-6)


def test_weights_from_the_image_are_rescaled_without_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        rescaled = rescale(2.0, noise_origin="image")
    assert rescaled.rms == pytest.approx(0.5, rel=0.05) and not caplog.records


def with_undetected_source(flux, y=70.0, x=20.0):
    """Return the field with one additional source that has no template."""
    assert min(np.hypot(centre[0] - y, centre[1] - x) for centre in map(middle, TEMPLATES)) > 3 * FWHM
    undetected = gaussian(99, y, x, CLEAN.shape)
    return CLEAN + model_image([undetected], np.array([flux]), CLEAN.shape)


def middle(template):
    return template.box.y0 + template.box.shape[0] / 2, template.box.x0 + template.box.shape[1] / 2


def test_unmodelled_flux_is_masked(caplog):
    with caplog.at_level(logging.INFO, logger="unblend"):
        rescaled = rescale(0.5, image=with_undetected_source(200.0))
    ignored = rescaled.weight == 0
    assert ignored[70, 20] and ignored[70, 20 + int(FWHM)] and not ignored[10, 60]
    # a disc of the detection and 2 FWHM around it: pi (3 FWHM)² of 8100 pixels, minus pixels near models
    assert 0.01 < rescaled.masked_fraction < 0.11 and "may contain unmodelled flux" in caplog.text
    alone = rescale(0.5)
    # a flux of 200 over 8000 pixels would raise the background level by 0.025; its error is 0.006
    assert rescaled.solution.background == pytest.approx(alone.solution.background, abs=0.004)
    raised = solve_fluxes(with_undetected_source(200.0) + 0.5 * WHITE, FOUR, TEMPLATES).background
    assert raised - alone.solution.background > 0.015
    assert measure_noise(rescaled, TEMPLATES, name="k").err == pytest.approx(rescaled.solution.err, rel=0.1)


def test_white_noise_is_not_masked_except_for_its_highest_peaks():
    # one field of this size in six has a peak of 4 sigma; a disc of 2 % of the pixels around it is masked
    lost = []
    for seed in range(12):
        image = CLEAN + 0.5 * np.random.default_rng(seed).normal(size=CLEAN.shape)
        lost.append(rescale_weights(image, FOUR, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k").masked_fraction)
    assert np.mean(lost) < 0.01 and np.max(lost) < 0.05


def test_negative_unmodelled_flux_is_masked_too():
    assert rescale(0.5, image=with_undetected_source(-200.0)).weight[70, 20] == 0


def test_the_core_of_a_source_next_to_unmodelled_flux_is_not_masked():
    # a source without flux 1.5 FWHM from the undetected source, inside the disc that is masked
    faint = gaussian(50, 70.0, 25.3, CLEAN.shape)
    image = with_undetected_source(200.0) + 0.5 * WHITE
    rescaled = rescale_weights(image, FOUR, [*TEMPLATES, faint], fwhm=FWHM, noise_origin="map", name="k")
    assert rescaled.weight[70, 25] > 0 and rescaled.weight[70, 20] == 0
    assert not rescaled.solution.flags[-1] and np.isfinite(rescaled.solution.flux[-1])


def test_the_sky_between_many_undetected_sources_gives_the_background(caplog):
    places = np.random.default_rng(3).uniform(5, SIDE - 5, (60, 2)).tolist()
    undetected = [gaussian(k, y, x, CLEAN.shape) for k, (y, x) in enumerate(places)]
    with caplog.at_level(logging.WARNING, logger="unblend"):
        rescaled = rescale(0.5, image=CLEAN + model_image(undetected, np.full(60, 200.0), CLEAN.shape))
    assert 0.4 < rescaled.masked_fraction < 0.7 and "Detect fainter sources, or set background" in caplog.text
    # a flux of 60 × 200 over 8100 pixels is 1.5
    assert rescaled.solution.background == pytest.approx(3.0, abs=0.15)


def test_near_sources_is_where_models_are_brighter_than_half_the_noise():
    solution = solve_fluxes(CLEAN, np.ones(CLEAN.shape), TEMPLATES)
    near = near_sources(solution, TEMPLATES, np.ones(CLEAN.shape))
    np.testing.assert_array_equal(near, CLEAN - 3.0 > 0.5)
    assert 0.01 < near.mean() < 0.5


def test_adopted_weights_give_the_same_solution_as_rescaling():
    image = with_undetected_source(200.0) + 0.5 * WHITE
    # a source of which half is masked by the user
    weight, box = FOUR.copy(), TEMPLATES[0].box
    weight[box.y0 : box.y1, (box.x0 + box.x1) // 2 : box.x1] = 0.0
    rescaled = rescale_weights(image, weight, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k")
    adopted = adopt_weights(image, rescaled.weight, weight == 0, TEMPLATES)
    assert rescaled.masked_fraction > 0 and (rescaled.solution.flags & Flag.PARTLY_MASKED).sum() > 0
    np.testing.assert_array_equal(adopted.solution.flags, rescaled.solution.flags)
    np.testing.assert_allclose(adopted.solution.flux, rescaled.solution.flux, rtol=1e-9)
    np.testing.assert_allclose(adopted.solution.err, rescaled.solution.err, rtol=1e-9)
    np.testing.assert_array_equal(adopted.near_source, rescaled.near_source)


def test_unmodelled_flux_is_found_in_an_image_with_missing_pixels():
    image = with_undetected_source(200.0) + 0.5 * WHITE
    image[10:12, 50:60] = np.nan
    assert rescale_weights(image, FOUR, TEMPLATES, fwhm=FWHM, noise_origin="map", name="k").weight[70, 20] == 0
