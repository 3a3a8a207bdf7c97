"""The stars of a band show a PSF that is a little too wide, or whose wings hold too much."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.source_widths import compare_widths
from unblend.photometry.star_comparison import MIN_STARS, compare_stars, star_warning

SHAPE, SIGMA, FWHM = (160, 160), 1.5, 1.5 * 2.3548
PLACES = [(30.2, 30.4), (32.7, 120.1), (80.0, 75.5), (125.4, 35.2), (121.3, 118.8), (78.8, 20.1), (79.7, 130.4)]
IDS = range(1, len(PLACES) + 1)


def templates(sigma, *, wings=0.0, shift=0.0):
    """Return Gaussian stars, of whose light a fraction is in wings that are three times as wide."""
    made = []
    for k, (y, x) in enumerate(PLACES, 1):
        core, wide = (gaussian(k, y + shift, x, SHAPE, sigma=s, half=20) for s in (sigma, 3.0 * sigma))
        made.append(type(core)(k, core.box, (1.0 - wings) * core.data + wings * wide.data, core.coverage))
    return made


def comparison(used, *, stars=IDS, masked=()):
    """Return the comparison of drawn stars of S/N 400 with these templates."""
    image = model_image(templates(SIGMA), np.full(len(PLACES), 4000.0), SHAPE, 7.0)
    image += np.random.default_rng(3).standard_normal(SHAPE)
    weight = np.ones(SHAPE)
    for y, x in masked:
        weight[y, x] = 0.0
    solution = solve_fluxes(image, weight, used)
    widths = compare_widths(image, weight, used, solution, FWHM)
    return compare_stars(image, weight, used, solution, widths, list(stars))


def test_stars_agree_with_their_psf():
    found = comparison(templates(SIGMA))
    assert found.number == len(PLACES)
    for ratio, error in (found.width, found.light):
        assert abs(ratio - 1.0) < 2.5 * error and 0.003 <= error < 0.01
    assert star_warning(found, "k", 0.5) is None


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_psf_that_is_three_per_cent_too_wide_or_too_narrow(factor):
    found = comparison(templates(factor * SIGMA))
    assert found.width[0] == pytest.approx(1.0 / factor, abs=0.01)
    assert (found.light[0] > 1.0) == (factor > 1.0)
    sentence = star_warning(found, "k", factor * 0.5)
    assert sentence.startswith(
        f"k: the FWHM of the PSF is {factor * 0.5:.3f} arcsec and that of 7 stars of the image 0."
    )
    assert "bands.k.psf: {stars: auto}" in sentence and "psf_error" in sentence
    assert "files of the map" in star_warning(found, "k", 0.5, is_map=True)
    # the errors of the fluxes contain it
    assert star_warning(found, "k", 0.5, psf_error=0.03) is None


def test_wings_that_the_stars_do_not_have():
    found = comparison(templates(SIGMA, wings=0.06))
    assert abs(found.width[0] - 1.0) < 0.01 and found.light[0] > 1.02
    assert star_warning(found, "k", 0.5) is not None


def test_a_wrong_shift_is_not_taken_for_a_wrong_psf():
    found = comparison(templates(SIGMA, shift=0.4))
    assert found.number == len(PLACES) and abs(found.width[0] - 1.0) < 0.01 and np.isnan(found.light).all()
    assert star_warning(found, "k", 0.5) is None
    assert comparison(templates(SIGMA, shift=0.05)).light[0] == pytest.approx(1.0, abs=0.01)


def test_light_beyond_a_small_stamp_is_not_missing():
    """With psf_sum: given fluxes include the light beyond the stamp, which the templates do not show."""
    small = [gaussian(k, y, x, SHAPE, sigma=SIGMA, half=5) for k, (y, x) in enumerate(PLACES, 1)]
    found = comparison(small)
    assert found.number == len(PLACES) and np.isnan(found.light).all()


def test_few_stars_and_galaxies_are_not_compared():
    found = comparison(templates(1.1 * SIGMA), stars=range(1, MIN_STARS))
    assert found.number == MIN_STARS - 1 and np.isnan(found.width).all() and np.isnan(found.light).all()
    assert star_warning(found, "k", 0.5) is None


def test_light_of_stars_with_masked_pixels_is_not_known():
    masked = [(round(y) + 5, round(x)) for y, x in PLACES[:3]]
    found = comparison(templates(SIGMA), masked=masked)
    assert found.number == len(PLACES) and np.isfinite(found.width).all() and np.isnan(found.light).all()
    assert star_warning(found, "k", 0.5) is None
