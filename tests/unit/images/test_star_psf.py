"""A PSF built from stamps of stars: against the PSF with which they were drawn, and its light in circles."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.images.psf import centroid
from unblend.images.star_psf import Moffat, StarStamp, build_psf

FWHM = 3.0
HALF = 18
PROFILE = Moffat(alpha=2.6, beta=2.8, e1=0.1, e2=-0.05)


def lopsided(dy, dx):
    """Return a PSF that no Moffat profile is: one with a faint second one at its side."""
    return 0.8 * PROFILE(dy, dx) + 0.2 * Moffat(2.9, 4.0)(dy - 0.8, dx + 0.6)


def stamp_of(light, flux, place, rng, *, noise=1.0, background=2.0):
    """Return a star drawn at `place`, (dy, dx) from the middle pixel."""
    outer = round(1.6 * HALF)
    axis = np.arange(-outer, outer + 1.0)
    image = flux * light(axis[:, None] - place[0], axis[None, :] - place[1]) + background
    image = image + rng.normal(0.0, noise, image.shape)
    inner = np.s_[outer - HALF : outer + HALF + 1, outer - HALF : outer + HALF + 1]
    rows, columns = np.indices(image.shape) - (outer - HALF)
    around = np.ones(image.shape, dtype=bool)
    around[inner] = False
    ring = np.stack([rows[around], columns[around], image[around]], axis=1)
    start = HALF + place[0] + rng.normal(0, 0.1), HALF + place[1] + rng.normal(0, 0.1)
    return StarStamp(image[inner], np.full((2 * HALF + 1,) * 2, noise), *start, 1.1 * flux, ring)


def drawn(light, fluxes, *, seed=1, **options):
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.5, 0.5, (len(fluxes), 2))
    return places, [stamp_of(light, flux, place, rng, **options) for flux, place in zip(fluxes, places, strict=True)]


def truth(light, oversampling):
    axis = np.arange(-HALF * oversampling, HALF * oversampling + 1) / oversampling
    values = light(axis[:, None], axis[None, :])
    return values / values.sum()


def in_circles(data, oversampling):
    rows, columns = np.indices(data.shape) - data.shape[0] // 2
    distance = np.hypot(rows, columns) / oversampling
    return np.array([data[distance <= radius].sum() for radius in np.arange(1.0, HALF)])


@pytest.mark.parametrize("light", [PROFILE, lopsided])
@pytest.mark.parametrize("oversampling", [2, 3])  # 4 PSF pixels or more per FWHM, as psf_stars chooses
def test_stars_without_noise_give_their_psf_and_positions(light, oversampling):
    places, stamps = drawn(light, np.full(25, 1e6), noise=1e-2)
    built = build_psf(stamps, oversampling=oversampling, fwhm=FWHM)
    assert built.data.shape == (2 * HALF * oversampling + 1,) * 2 and built.data.sum() == pytest.approx(1.0)
    expected = truth(light, oversampling)
    # the frame of the built PSF is free by a shift: compare with the truth at the same centre
    offset = (np.array(centroid(built.data)) - centroid(expected)) / oversampling
    found = np.array([(star.y - HALF, star.x - HALF) for star in built.stars]) + offset
    np.testing.assert_allclose(found, places, atol=0.005)
    moved = truth(lambda dy, dx: light(dy - offset[0], dx - offset[1]), oversampling)
    np.testing.assert_allclose(in_circles(built.data, oversampling), in_circles(moved, oversampling), atol=0.002)


def test_the_light_beyond_the_stamp_is_that_of_the_profile():
    wide = Moffat(alpha=2.0, beta=1.9, e1=0.1)
    _, stamps = drawn(wide, np.full(12, 1e5), noise=0.1)
    built = build_psf(stamps, oversampling=2, fwhm=FWHM)
    axis = np.arange(-HALF, HALF + 0.5, 0.5)
    inside = wide(axis[:, None], axis[None, :]).sum() / 4.0
    assert 0.96 < inside < 0.99
    assert 1.0 - built.held == pytest.approx(1.0 - inside, rel=0.2)  # PROFILE_ERROR fits the wings, not the core


def test_background_levels_and_fluxes_are_those_of_the_stars():
    fluxes = np.geomspace(2e3, 2e5, 12)
    _, stamps = drawn(PROFILE, fluxes, background=7.0)
    built = build_psf(stamps, oversampling=2, fwhm=FWHM)
    np.testing.assert_allclose([star.background for star in built.stars], 7.0, atol=0.15)
    # the light beyond the stamp is no part of the flux
    inside = PROFILE(np.arange(-HALF, HALF + 1.0)[:, None], np.arange(-HALF, HALF + 1.0)[None, :]).sum()
    np.testing.assert_allclose([star.flux for star in built.stars], fluxes * inside, rtol=0.02)
    assert built.weights.sum() == pytest.approx(1.0) and (np.diff(built.weights) > 0).all()


def test_a_double_star_differs_from_the_others():
    _, stamps = drawn(PROFILE, np.full(8, 5e4))

    def double(dy, dx):
        return 0.7 * PROFILE(dy, dx) + 0.3 * PROFILE(dy - 1.5, dx - 1.5)

    stamps[3] = stamp_of(double, 5e4, (0.2, 0.1), np.random.default_rng(2))
    built = build_psf(stamps, oversampling=2, fwhm=FWHM)
    # it also spoils the PSF, so that others differ until it is out
    assert np.argmax(built.excess) == 3 and built.excess[3] > 0.1
    del stamps[3]
    assert build_psf(stamps, oversampling=2, fwhm=FWHM).excess.max() < 0.01


def test_masked_pixels_have_no_influence():
    _, stamps = drawn(PROFILE, np.full(6, 5e4))
    clean = build_psf(stamps, oversampling=2, fwhm=FWHM)
    stamps[0].error[30:, 30:] = np.inf
    masked = build_psf(stamps, oversampling=2, fwhm=FWHM)
    stamps[0].data[30:, 30:] = 1e5
    spoiled = build_psf(stamps, oversampling=2, fwhm=FWHM)
    np.testing.assert_allclose(spoiled.data, masked.data, atol=1e-12)
    assert np.abs(masked.data - clean.data).max() < 2e-4 * clean.data.max()
    assert np.isnan(masked.residuals[0][30:, 30:]).all()


def test_a_profile_has_unit_integral_and_its_fwhm():
    axis = np.arange(-400.0, 400.5, 0.5)
    assert PROFILE(axis[:, None], axis[None, :]).sum() * 0.25 == pytest.approx(1.0, abs=1e-3)
    round_one = Moffat(2.0, 3.0)
    assert round_one(np.array([round_one.fwhm / 2]), np.zeros(1))[0] == pytest.approx(
        round_one(*np.zeros((2, 1)))[0] / 2
    )


def test_no_star_is_an_error():
    with pytest.raises(ValueError, match="at least one star"):
        build_psf([], oversampling=1, fwhm=FWHM)
