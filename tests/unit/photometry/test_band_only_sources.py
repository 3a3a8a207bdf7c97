"""Images, PSFs and templates of detected sources are GalSim's; only the points that are added are the workflow's."""

from __future__ import annotations

import blurred_band as band
import galsim
import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.core.types import Template
from unblend.photometry.band_only_sources import (
    BandOnlySources,
    blended_flags,
    find_band_only,
    light_beside_stars,
)
from unblend.photometry.correlated_noise import measure_noise
from unblend.photometry.weight_rescaling import rescale_weights

PLACES = [(20.0, 20.0), (22.3, 70.1), (45.6, 40.2), (47.1, 46.7), (70.4, 75.5), (72.0, 18.4)]
FLUXES = [3000.0, 400.0, 900.0, 600.0, 1500.0, 80.0]
SIZES = [1.0, 2.0, 1.5, 1.2, 4.0, 1.0]
"""Detected galaxies: positions (y, x) and half-light radii in pixels, fluxes in units of a pixel's noise."""
LOST = [(47.5, 42.9), (30.3, 55.6)]
"""Sources without a template: 1.1 FWHM from the third galaxy, and alone."""
LOST_FLUX = 500.0


def galaxies() -> list[Template]:
    return [
        band.template(k, band.galaxy(size), *place)
        for k, (place, size) in enumerate(zip(PLACES, SIZES, strict=True), start=1)
    ]


def light(lost: float = LOST_FLUX) -> np.ndarray:
    image = sum(
        flux * band.drawn(band.galaxy(size), *place) for place, flux, size in zip(PLACES, FLUXES, SIZES, strict=True)
    )
    return image + sum(lost * band.drawn(band.point(), *place) for place in LOST)


def found(image: np.ndarray, templates: list[Template], weight: np.ndarray | None = None) -> BandOnlySources:
    weight = np.ones(band.SHAPE) if weight is None else weight
    return find_band_only(image, weight, templates, band.engine(), fwhm=band.FWHM, name="irac")


def test_sources_without_a_template_are_found_where_they_are():
    own = found(light() + band.noise(1), galaxies())
    assert [template.id for template in own.templates] == [-1, -2]
    order = np.argsort(own.y)
    assert own.y[order] == pytest.approx([30.3, 47.5], abs=0.3) and own.x[order] == pytest.approx([55.6, 42.9], abs=0.3)
    assert (own.snr > 15).all()


def test_the_flux_of_the_neighbour_is_right_with_them_and_wrong_without():
    templates, pulls = galaxies(), {"with": [], "without": []}
    for seed in range(5):
        image, weight = light() + band.noise(seed), np.ones(band.SHAPE)
        own = found(image, templates)
        for name, fitted in (("with", [*templates, *own.templates]), ("without", templates)):
            fit = rescale_weights(image, weight, fitted, fwhm=band.FWHM, noise_origin="map", name="irac")
            err = measure_noise(fit, fitted, name="irac").err
            pulls[name].append((fit.solution.flux[2:4] - FLUXES[2:4]) / err[2:4])
    right, wrong = np.array(pulls["with"]), np.array(pulls["without"])
    # positions with an error of 0.05 pixels add some to the errors for exact templates
    assert np.abs(right.mean(axis=0)).max() < 1.2 and right.std() < 2.0
    assert wrong[:, 0].min() > 4.0


def test_there_is_nothing_to_find_where_every_source_has_a_template():
    templates, image = galaxies(), light(lost=0.0)
    number = [len(found(image + band.noise(seed, sigma), templates)) for seed in range(12) for sigma in (0.0, 0.6, 1.0)]
    # 36 fields, 216 sources
    assert sum(number) == 0


def test_noise_that_the_weights_understate_is_not_a_source():
    templates, image = galaxies(), light(lost=0.0)
    assert sum(len(found(image + 4.0 * band.noise(seed), templates)) for seed in range(5)) == 0


def test_units_and_order_of_the_templates_do_not_matter():
    image = light() + band.noise(2)
    own, other = found(image, galaxies()), found(1e-3 * image, galaxies()[::-1], np.full(band.SHAPE, 1e6))
    np.testing.assert_allclose(other.y, own.y, atol=1e-3)
    np.testing.assert_allclose(other.snr, own.snr, rtol=1e-3)


def structured(kind: str) -> galsim.GSObject:
    """Return a galaxy of unit flux that no smooth profile describes."""
    disc = band.galaxy(8.0)
    if kind == "steep":
        return 0.7 * disc + 0.3 * band.galaxy(1.0, n=3.0)
    if kind == "knots":
        places = [(5.0, 2.0), (-4.0, 3.0), (2.0, -6.0), (-7.0, -3.0)]
        knots = [band.point().shift(x * band.PIXEL_ARCSEC, y * band.PIXEL_ARCSEC) for y, x in places]
        return 0.92 * disc + 0.02 * galsim.Sum(knots)
    return 0.8 * disc + 0.2 * band.galaxy(4.0, n=0.5, q=0.15).rotate(60 * galsim.degrees)


@pytest.mark.parametrize("kind", ["knots", "bar", "steep"])
def test_the_structure_of_a_galaxy_is_not_a_source(kind):
    image = 20000.0 * band.drawn(structured(kind), 45.0, 48.0)
    templates = [band.template(9, band.galaxy(8.0), 45.0, 48.0, half=40.0), *galaxies()[:2]]
    image += sum(FLUXES[k] * band.drawn(band.galaxy(SIZES[k]), *PLACES[k]) for k in range(2))
    for seed in range(3):
        assert len(found(image + band.noise(seed), templates)) == 0


@pytest.mark.parametrize("fwhm", [2.4, 3.2])
def test_what_a_wrong_psf_leaves_is_not_a_source(fwhm):
    places = [(30.0, 30.0), (60.3, 60.7), (25.2, 70.6)]
    image = sum(5000.0 * band.drawn(band.point(), *place, psf=band.moffat(fwhm)) for place in places)
    templates = [band.template(k, band.point(), *place) for k, place in enumerate(places, start=1)]
    for seed in range(3):
        assert len(found(image + band.noise(seed), templates)) == 0


def test_a_small_offset_of_bright_sources_is_not_a_source():
    image = sum(5000.0 * band.drawn(band.point(), y + 0.15, x - 0.2) for y, x in PLACES)
    templates = [band.template(k, band.point(), *place) for k, place in enumerate(PLACES, start=1)]
    assert len(found(image + band.noise(1), templates)) == 0


def test_cosmic_rays_trails_and_galaxies_wider_than_the_psf_are_not_points():
    image = light(lost=0.0) + band.noise(1) + 4000.0 * band.drawn(band.galaxy(6.0), 35.0, 62.0)
    image[60, 50] += 300.0
    image[33:63, 30] += 40.0
    assert len(found(image, galaxies())) == 0


def test_templates_at_a_wrong_place_are_reported_and_no_points_are_fitted(caplog):
    image = light(lost=0.0) + band.noise(1)
    moved = [
        band.template(k, band.galaxy(size), y + 2.5, x)
        for k, ((y, x), size) in enumerate(zip(PLACES, SIZES, strict=True), start=1)
    ]
    assert len(found(image, moved)) == 0
    assert "irac: " in caplog.text and "their templates or positions are wrong" in caplog.text


def test_far_from_all_templates_and_behind_a_mask_nothing_is_looked_for():
    image = light() + 500.0 * band.drawn(band.point(), 84.0, 90.0) + band.noise(1)
    weight = np.ones(band.SHAPE)
    weight[24:36, 48:62] = 0.0
    own = found(image, galaxies(), weight)
    assert len(own) == 1 and (own.y[0], own.x[0]) == pytest.approx((47.5, 42.9), abs=0.3)
    image[:] = np.nan
    image[:3, :3] = 1.0
    assert len(found(image, galaxies())) == 0


def test_without_detected_sources_there_is_nothing_to_blend_with():
    assert len(found(light() + band.noise(1), [])) == 0


def test_flags_of_blended_sources():
    templates, own = galaxies(), found(light() + band.noise(1), galaxies())
    weight, err = np.ones(band.SHAPE), np.full(len(templates), 20.0)
    flux = np.full(len(own), LOST_FLUX)
    assert (blended_flags(templates, own, flux, weight, err) > 0).tolist() == [False, False, True, True, False, False]
    assert set(blended_flags(templates, own, flux, weight, err)) == {0, int(Flag.BAND_ONLY_NEIGHBOUR)}
    assert not blended_flags(templates, own, flux, weight, np.full(len(templates), 1e4)).any()
    assert not blended_flags(templates, BandOnlySources.of(band.engine(), []), np.zeros(0), weight, err).any()


@pytest.mark.parametrize(("offset", "is_own"), [(0.7, True), (2.0, False)])
def test_the_light_beside_a_star_may_be_its_own(offset, is_own):
    star, seen = (40.0, 30.0), (40.0, 30.0 + offset * band.FWHM)
    templates = [*galaxies(), band.template(9, band.point(), *star)]
    image = light(lost=0.0) + 800.0 * band.drawn(band.point(), *seen) + band.noise(3)
    own = found(image, templates)
    assert len(own) == 1
    fit = rescale_weights(image, np.ones(band.SHAPE), [*templates, *own.templates], fwhm=band.FWHM,
                          noise_origin="map", name="irac")  # fmt: skip
    flux = fit.solution.flux
    assert abs(flux[6]) < 100.0  # of 800
    beside = light_beside_stars({9: star}, {9: flux[6]}, own, flux[7:], band.FWHM)
    assert beside == ({9: pytest.approx(800.0, rel=0.15)} if is_own else {})
    # beside a much brighter star it is another source
    assert light_beside_stars({9: star}, {9: 1e4}, own, flux[7:], band.FWHM) == {}
