"""Two galaxies taken for one are found; single galaxies, bulges with discs, and spirals with knots are not divided."""

from __future__ import annotations

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, star
from unblend.fits.close_pairs import find_pair
from unblend.fits.imfit import Pixels


def search(light, *, seed=1, level=0.0, bad=None, **options):
    """Return the pair in the pixels of the light above 0.7 of the noise."""
    own = light > 0.7
    image = light + level + np.random.default_rng(seed).normal(size=light.shape)
    mask = np.zeros(light.shape, dtype=bool) if bad is None else bad
    pixels = Pixels(BOX, np.where(mask, 0.0, image), np.ones(light.shape), mask)
    return find_pair(pixels, own, fitting_psf(), **options)


def pair_of_discs(separation, ratio, flux=3000.0):
    bright = galaxy(25.0, 25.0, flux, 1.0, 3.0, 0.3, 20.0)
    return bright + galaxy(25.0 + separation, 25.5, flux / ratio, 1.3, 2.0, 0.2, 100.0)


@pytest.mark.parametrize(("separation", "ratio"), [(3.0, 1.1), (4.0, 2.0), (6.0, 4.0)])
def test_a_pair_is_found_at_the_place_of_the_fainter_one(separation, ratio):
    pair = search(pair_of_discs(separation, ratio))
    assert (pair.y, pair.x) == pytest.approx((BOX.y0 + 25.0 + separation, BOX.x0 + 25.5), abs=0.4)
    assert pair.fraction == pytest.approx(1.0 / (1.0 + ratio), abs=0.05)
    y, x = round(25.0 + separation), 26
    assert pair.nearer[y, x] and not pair.nearer[25, 25]


def test_two_equal_stars_one_fwhm_apart_are_found():
    light = star(25.0, 25.0, 1000.0) + star(25.0, 28.2, 1000.0)
    pair = search(light)
    assert pair.y == pytest.approx(BOX.y0 + 25.0, abs=0.2)
    assert min(abs(pair.x - BOX.x0 - x) for x in (25.0, 28.2)) < 0.2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "ell"), [(0.7, 0.6), (1.5, 0.1), (4.0, 0.3)])
def test_a_galaxy_is_no_pair(n, ell, seed):
    assert search(galaxy(25.3, 25.1, 5000.0, n, 3.5, ell, 40.0), seed=seed) is None


def test_a_star_is_no_pair():
    assert search(star(25.3, 25.1, 20_000.0)) is None


def test_bulge_and_disc_are_no_pair():
    assert (
        search(galaxy(25.0, 25.0, 3000.0, 3.0, 1.0, 0.1, 0.0) + galaxy(25.0, 25.0, 6000.0, 1.0, 6.0, 0.3, 30.0)) is None
    )


def knots(*places, fraction=0.035, flux=9000.0):
    return sum(galaxy(25.0 + dy, 25.0 + dx, fraction * flux, 1.0, 0.8, 0.0, 0.0) for dy, dx in places)


@pytest.mark.parametrize("places", [((5, 3),), ((5, 3), (-6, 2)), ((5, 3), (-6, 2), (2, -7), (-3, -4))])
def test_knots_are_no_galaxies(places):
    assert search(galaxy(25.0, 25.0, 9000.0, 1.0, 5.0, 0.2, 30.0) + knots(*places)) is None


def test_arms_are_no_galaxies():
    turns = np.linspace(0.0, 4.0, 12)
    arms = [
        (sign * r * np.sin(t), sign * r * np.cos(t)) for sign in (1, -1) for t, r in zip(turns, 3 + turns, strict=True)
    ]
    light = galaxy(25.0, 25.0, 9000.0, 1.0, 5.0, 0.0, 0.0)
    assert search(light + sum(galaxy(25 + y, 25 + x, 150.0, 1.0, 1.0, 0.0, 0.0) for y, x in arms)) is None


def test_the_level_of_the_sky_changes_nothing():
    light = pair_of_discs(4.0, 2.0)
    flat, raised = search(light), search(light, level=50.0)
    assert (raised.y, raised.x, raised.snr) == pytest.approx((flat.y, flat.x, flat.snr), rel=1e-3)


def test_significance_counts_correlated_noise():
    light = pair_of_discs(4.0, 2.0)
    white, correlated = search(light), search(light, noise_factor=1.5)
    assert correlated.snr == pytest.approx(white.snr / 1.5, rel=1e-6)
    assert search(light, min_snr=1.2 * white.snr) is None
    assert search(light, min_snr=0.9 * white.snr, noise_factor=1.5) is None


def test_nothing_is_found_without_sky_or_without_pixels():
    light = pair_of_discs(4.0, 2.0)
    assert search(light, bad=np.ones(light.shape, dtype=bool)) is None
    assert search(light, bad=light <= 0.7) is None
