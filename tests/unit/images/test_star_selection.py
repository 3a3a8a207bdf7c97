"""Which sources of a drawn image are taken as stars, and why others are not."""

from __future__ import annotations

import galsim
import numpy as np
import pytest
from star_field import FWHM, StarField, flux_of, moffat_psf
from unblend.images.star_selection import (
    find_sources,
    half_side_of,
    sources_at,
    star_like,
    star_stamp,
    stellar_radius,
)

HALF = 18


@pytest.fixture(scope="module")
def field():
    """Stars and galaxies; the last stars are special."""
    made = StarField(moffat_psf())
    return made, made.add_stars(16, snr=(120.0, 1500.0))


def found_in(image, mask=None):
    mask = np.zeros(image.shape, dtype=bool) if mask is None else mask
    return find_sources(image, mask), mask


def test_the_smallest_sources_are_the_stars(field):
    made, stars = field
    made.add_galaxies(40, stars)
    sources, _ = found_in(made.pixels())
    chosen = star_like(sources, stellar_radius(sources))
    at = sources_at(sources, *np.array(stars).T)
    assert set(at) <= set(chosen.tolist()) and len(chosen) <= len(stars) + 2
    assert (np.diff(sources.snr[chosen]) <= 0).all()
    np.testing.assert_allclose(sources.y[at], [y for y, _ in stars], atol=0.1)


def test_hot_pixels_are_no_stars(field):
    made, stars = field
    image = made.pixels()
    image[10:390:40, 5] += 5000.0
    sources, _ = found_in(image)
    chosen = star_like(sources, stellar_radius(sources))
    assert set(sources_at(sources, *np.array(stars).T)) <= set(chosen.tolist())


def test_too_few_sources_have_no_common_size():
    made = StarField(moffat_psf(), side=200)
    made.add_stars(2)
    assert stellar_radius(found_in(made.pixels())[0]) is None


def one_star(change=lambda image, mask: None, place=(100.3, 99.8), neighbour=None, snr=500.0, **options):
    """Return the stamp of a star in an image after `change`, or why there is none."""
    made = StarField(moffat_psf(), side=200)
    made.add(*place, flux_of(snr))
    if neighbour is not None:
        made.add(*neighbour)
    image = made.pixels()
    mask = np.zeros(image.shape, dtype=bool)
    change(image, mask)
    sources, mask = found_in(image, mask)
    star = int(sources_at(sources, np.array([place[0]]), np.array([place[1]]))[0])
    assert star >= 0
    return star_stamp(image, mask, sources, star, half_side=HALF, **options)


def test_a_good_star_has_a_stamp_around_it():
    stamp = one_star()
    assert stamp.data.shape == (37, 37) and np.isfinite(stamp.error).all()
    assert (stamp.y, stamp.x) == (pytest.approx(18.3, abs=0.05), pytest.approx(17.8, abs=0.05))
    assert np.median(stamp.ring[:, 2]) == pytest.approx(3.0, abs=0.1)
    # the ring lies around the stamp
    assert np.maximum(np.abs(stamp.ring[:, 0] - 18), np.abs(stamp.ring[:, 1] - 18)).min() > HALF


def _masked_core(image, mask):
    mask[102, 101] = True


def _masked_corner(image, mask):
    mask[100 - HALF : 100, 100 - HALF : 92] = True


def _flat_top(image, mask):
    np.minimum(image, 0.3 * image.max(), out=image)


def test_stars_that_are_not_usable_have_a_reason():
    assert one_star(place=(12.0, 100.0)) == "border"
    assert one_star(_masked_core) == "masked"
    assert one_star(_masked_corner) == "masked"
    assert one_star(_flat_top, snr=2000.0) == "saturated"
    assert one_star(saturation=50.0) == "saturated"
    assert one_star(neighbour=(110.0, 92.0, flux_of(200.0))) == "blended"
    with_neighbour = one_star(neighbour=(110.0, 92.0, flux_of(50.0)))
    assert with_neighbour.neighbours == pytest.approx(0.1, abs=0.01)
    assert np.isinf(with_neighbour.error).any()
    assert one_star(neighbour=(100.0, 126.0, flux_of(900.0))) == "blended"
    assert one_star(neighbour=(100.0, 100.0, flux_of(500.0), galsim.Exponential(half_light_radius=3.0))) != "border"


def test_a_faint_neighbour_is_masked():
    stamp = one_star(neighbour=(114.0, 94.0, flux_of(20.0)), snr=1500.0)
    assert np.isinf(stamp.error[32, 12]) and np.isfinite(stamp.error[18, 18])
    assert stamp.data[32, 12] == 0.0


def test_places_without_a_source_are_minus_one(field):
    made, stars = field
    sources, _ = found_in(made.pixels())
    found = sources_at(sources, np.array([stars[0][0] + 2.0, 5.0, np.nan]), np.array([stars[0][1], 5.0, 1.0]))
    assert found[0] >= 0 and found[1] == found[2] == -1


def test_stamps_have_twelve_fwhm_or_the_given_side():
    assert half_side_of([FWHM / 2] * 3) == round(6 * FWHM)
    assert half_side_of([1.5], 31.0) == 16 and half_side_of([1.5], 1.0) == 5
