from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from scipy.ndimage import gaussian_filter
from unblend.photometry.unmodelled_flux import UnmodelledFluxSearch, _smoothed_error, mask_margins

SHAPE = (90, 90)
FWHM = 3.5
"""FWHM of the PSF in pixels."""


def test_smoothed_noise_is_uniform_near_edges_and_masks():
    # with its error the smoothed noise is as significant in a corner as in the middle
    weight = np.where(np.hypot(*np.indices((60, 60)) - 30.0) < 12, 0.0, 1.0)
    draws = np.random.default_rng(8).normal(size=(200, 60, 60)) * (weight > 0)
    spread = np.std(gaussian_filter(draws, (0, 3.0, 3.0), mode="constant"), axis=0) / _smoothed_error(weight > 0, 3.0)
    # 200 realizations give a scatter to 5 %
    assert spread[0, 0] == pytest.approx(spread[5:15, 5:15].mean(), rel=0.2)
    assert spread[30, 43] == pytest.approx(spread[5:15, 5:15].mean(), rel=0.2)


def test_the_margins_of_a_masked_source_are_masked():
    weight = np.where(np.hypot(*np.indices(SHAPE) - np.array([70, 20])[:, None, None]) < 5, 0.0, 4.0)
    weight[40, 75] = 0.0
    margins = mask_margins(weight, [], FWHM)
    # a single masked pixel has no margin
    assert margins[70, 26] and not margins[70, 20] and not margins[70, 30] and not margins[40, 76]
    # the ring between 5 pixels and 5 pixels + FWHM; the edge of the mask is rounded by a pixel
    assert margins.sum() == pytest.approx(np.pi * ((5 + FWHM) ** 2 - 5**2), rel=0.25)


def test_margins_exclude_cores_of_templates_and_never_cover_most_of_the_image():
    weight = np.where(np.hypot(*np.indices(SHAPE) - np.array([70, 20])[:, None, None]) < 5, 0.0, 4.0)
    assert not mask_margins(weight, [gaussian(50, 70.0, 26.0, SHAPE)], FWHM)[70, 26]
    # the usable disc with a radius of 5 pixels would be masked completely
    assert not mask_margins(np.where(weight == 0, 4.0, 0.0), [], FWHM).any()


def found_in(residual, near=(), known=(), templates=()):
    marked = {"near": near, "known": known}
    masks = {name: np.zeros(SHAPE, dtype=bool) for name in marked}
    for name, windows in marked.items():
        for window in windows:
            masks[name][window] = True
    return UnmodelledFluxSearch(np.ones(SHAPE), templates, FWHM).find(residual, masks["near"], masks["known"])


def residual_with(flux):
    source = gaussian(1, 45.0, 45.0, SHAPE)
    residual = np.random.default_rng(5).normal(size=SHAPE)
    residual[source.box.slices] += flux * source.data
    return residual


@pytest.mark.parametrize("flux", [100.0, -100.0])
def test_a_source_is_found_and_grown_by_two_fwhm(flux):
    found = found_in(residual_with(flux))
    assert found[45, 45] and found[45, 45 + int(2 * FWHM)] and not found[45, 45 + int(5 * FWHM)]


def test_pixels_near_sources_and_cores_of_templates_are_not_masked():
    window = np.s_[40:51, 40:51]
    assert not found_in(residual_with(100.0), near=[window])[window].any()
    core = found_in(residual_with(100.0), templates=[gaussian(50, 45.0, 49.0, SHAPE)])
    assert core[45, 45] and not core[45, 49]


def test_without_pixels_away_from_sources_nothing_is_found():
    assert not found_in(residual_with(100.0), near=[np.s_[:, :]]).any()
    assert not found_in(residual_with(100.0), known=[np.s_[:, :]]).any()


def test_detections_do_not_grow_over_most_of_the_image():
    # sources in every tenth pixel of all rows but the last ten: grown by 2 FWHM they would cover 80 % of the image
    residual = np.random.default_rng(6).normal(size=SHAPE)
    residual[5:80:10, 5:90:10] += 25.0
    found = found_in(residual)
    assert found[5:80:10, 5:90:10].all() and found.mean() < 0.4
    # a single one does grow: pi (2 FWHM)² of 8100 pixels, and its own pixels
    residual[5:80:10, 5:90:10] -= 25.0
    residual[45, 45] += 25.0
    assert found_in(residual).sum() > np.pi * (2 * FWHM) ** 2
