from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from unblend.images.region_frames import equatorial

PLACES = [(10.0, 5.0), (200.0, -60.0), (359.9, 89.0)]


@pytest.mark.parametrize("frame", ["icrs", "fk5", "galactic"])
@pytest.mark.parametrize(("longitude", "latitude"), PLACES)
def test_positions_agree_with_astropy(frame, longitude, latitude):
    ra, dec, _ = equatorial(frame, np.array([longitude]), np.array([latitude]))
    expected = SkyCoord(longitude, latitude, unit="deg", frame=frame)
    assert expected.icrs.separation(SkyCoord(ra[0], dec[0], unit="deg")) < 2 * u.mas


@pytest.mark.parametrize(("longitude", "latitude"), PLACES)
def test_the_angle_is_that_of_the_north_of_the_frame(longitude, latitude):
    _, _, angle = equatorial("galactic", np.array([longitude]), np.array([latitude]))
    here, step = SkyCoord(longitude, latitude, unit="deg", frame="galactic"), np.sign(-latitude) * 0.01
    there = SkyCoord(longitude, latitude + step, unit="deg", frame="galactic")
    expected = here.icrs.position_angle(there.icrs).deg + (180.0 if step < 0 else 0.0)
    assert (angle - expected + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=0.02)


def test_equatorial_frames_are_not_rotated():
    assert equatorial("fk5", np.array([10.0]), np.array([5.0]))[2] == 0.0
