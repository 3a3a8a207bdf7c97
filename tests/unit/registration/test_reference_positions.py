"""Positions of detected sources against a table: the offset, its error, what is clipped, what is warned of."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.coordinates import offset_to_sky
from unblend.registration.reference_positions import MIN_MATCHES, compare_positions, position_warning

CENTRE = (150.0, 2.2)


def places(rng, number, side=120.0):
    return rng.uniform(-side, side, (2, number))


def sky(east, north):
    return offset_to_sky(np.asarray(east), np.asarray(north), *CENTRE)


@pytest.mark.parametrize("declination", [2.2, -85.0])
def test_the_offset_and_its_error(declination):
    rng, pulls = np.random.default_rng(1), []
    for _ in range(40):
        east, north = places(rng, 60)
        table = offset_to_sky(east, north, 150.0, declination)
        moved = offset_to_sky(
            east + 0.05 + rng.normal(0, 0.03, 60), north - 0.02 + rng.normal(0, 0.03, 60), 150.0, declination
        )
        found = compare_positions(*moved, *table)
        assert found.matched >= 55 and found.scatter == pytest.approx((0.03, 0.03), abs=0.015)
        pulls += [(o - t) / e for o, t, e in zip(found.offset, (0.05, -0.02), found.error, strict=True)]
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3) and abs(np.mean(pulls)) < 0.4


def test_sources_that_moved_and_other_sources_do_not_count():
    rng = np.random.default_rng(2)
    east, north = places(rng, 40)
    moved = east + 0.1
    moved[:4] += 0.6  # proper motions
    found = compare_positions(*sky(moved, north), *sky(np.append(east, [300.0, 320.0]), np.append(north, [0.0, 9.0])))
    assert found.used <= found.matched - 3 and found.offset == pytest.approx((0.1, 0.0), abs=1e-4)


def test_sources_without_a_position_are_left_out():
    rng = np.random.default_rng(3)
    east, north = places(rng, 10)
    ra, dec = sky(east, north)
    found = compare_positions(np.append(ra, np.nan), np.append(dec, np.nan), ra, dec)
    assert found.used == 10 and found.offset == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("number", [0, 1, MIN_MATCHES - 1])
def test_too_few_sources_give_no_offset_and_a_warning(number):
    ra, dec = sky(10.0 * np.arange(number), np.zeros(number))
    found = compare_positions(ra, dec, *sky([500.0], [0.0]) if not number else (ra, dec))
    assert found.used == number and np.isnan(found.offset).all()
    assert f"{number} of the detected sources lie within 1 arcsec" in (position_warning(found, "gaia.csv", 0.06) or "")


@pytest.mark.parametrize(("east", "warned"), [(0.2, True), (0.03, False), (0.0, False)])
def test_only_a_significant_offset_above_a_pixel_is_warned_of(east, warned):
    rng = np.random.default_rng(4)
    x, y = places(rng, 30)
    found = compare_positions(*sky(x + east + rng.normal(0, 0.01, 30), y), *sky(x, y))
    message = position_warning(found, "gaia.csv", 0.06)
    assert (message is not None) is warned
    if message:
        assert "lie +0.199 arcsec east" in message and "Nothing was moved" in message


def test_noisy_positions_are_no_offset():
    rng = np.random.default_rng(5)
    x, y = places(rng, 12)
    found = compare_positions(*sky(x + rng.normal(0, 0.3, 12), y + rng.normal(0, 0.3, 12)), *sky(x, y))
    assert position_warning(found, "gaia.csv", 0.06) is None
