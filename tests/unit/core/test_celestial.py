"""Positions in every celestial system against Astropy, there and back."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import coordinates
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astropy.wcs import WCS
from unblend.core.celestial import ICRS, CelestialFrame, frame_of, from_icrs, region_frame, to_icrs
from unblend.core.errors import InputError

LONGITUDE, LATITUDE = np.array([0.0, 53.0873, 231.4, 359.99]), np.array([-27.84, 89.9, 0.01, -89.0])
FRAMES = {
    "icrs": (ICRS, "icrs"),
    "fk5": (CelestialFrame("fk5", 2000.0), coordinates.FK5()),
    "fk5 of 1975": (CelestialFrame("fk5", 1975.0), coordinates.FK5(equinox="J1975")),
    "fk5 of 2015.5": (CelestialFrame("fk5", 2015.5), coordinates.FK5(equinox="J2015.5")),
    "fk4": (CelestialFrame("fk4", 1950.0, 1950.0), coordinates.FK4()),
    "fk4 observed 1999": (CelestialFrame("fk4", 1950.0, 1999.5), coordinates.FK4(obstime="J1999.5")),
    "fk4 without E": (CelestialFrame("fk4noeterms", 1950.0), coordinates.FK4NoETerms()),
    "galactic": (CelestialFrame("galactic"), "galactic"),
    "supergalactic": (CelestialFrame("supergalactic"), "supergalactic"),
    "ecliptic": (CelestialFrame("barycentricmeanecliptic", 2000.0), coordinates.BarycentricMeanEcliptic()),
}
MAS = 1 / 3.6e6


@pytest.mark.parametrize(("frame", "system"), FRAMES.values(), ids=FRAMES)
def test_positions_agree_with_astropy(frame, system):
    expected = SkyCoord(LONGITUDE, LATITUDE, unit="deg", frame=system).icrs
    found = to_icrs(frame, LONGITUDE, LATITUDE)
    # 2 microarcsec: the FK5 matrix is of first order
    assert expected.separation(SkyCoord(*found, unit="deg")).deg.max() < 0.002 * MAS
    back = SkyCoord(*from_icrs(frame, *found), unit="deg")
    assert back.separation(SkyCoord(LONGITUDE, LATITUDE, unit="deg")).deg.max() < 0.01 * MAS


@pytest.mark.parametrize("name", ["galactic", "fk4"])
def test_nan_stays_nan(name):
    ra, dec = to_icrs(region_frame(name), np.array([np.nan, 10.0]), np.array([5.0, 10.0]))
    assert np.isnan(ra[0]) and np.isnan(dec[0]) and np.isfinite(ra[1])


def image(ctype, **cards):
    return WCS({"CTYPE1": ctype[0], "CTYPE2": ctype[1], "CDELT1": -1e-4, "CDELT2": 1e-4, **cards})


RA_DEC = ("RA---TAN", "DEC--TAN")


@pytest.mark.parametrize(
    ("wcs", "expected"),
    [
        (image(RA_DEC), ICRS),
        (image(RA_DEC, EQUINOX=2000.0), CelestialFrame("fk5", 2000.0)),
        (image(RA_DEC, EQUINOX=1950.0), CelestialFrame("fk4", 1950.0, 1950.0)),
        (image(RA_DEC, RADESYS="FK5", EQUINOX=1975.0), CelestialFrame("fk5", 1975.0)),
        (image(RA_DEC, RADESYS="FK5"), CelestialFrame("fk5", 2000.0)),
        (image(RA_DEC, RADESYS="FK4-NO-E"), CelestialFrame("fk4noeterms", 1950.0)),
        (image(RA_DEC, RADESYS="GAIADR3"), ICRS),
        (image(("DEC--TAN", "RA---TAN"), RADESYS="FK5"), CelestialFrame("fk5", 2000.0)),
        (image(("GLON-CAR", "GLAT-CAR"), EQUINOX=2000.0), CelestialFrame("galactic")),
        (image(("ELON-TAN", "ELAT-TAN")), CelestialFrame("barycentricmeanecliptic", 2000.0)),
        (image(("SLON-TAN", "SLAT-TAN")), CelestialFrame("supergalactic")),
    ],
)
def test_the_system_of_a_header(wcs, expected):
    assert frame_of(wcs) == expected


def test_the_epoch_of_an_image_in_fk4():
    # MJD 51361 is 1999 July 2
    found = frame_of(image(RA_DEC, RADESYS="FK4", **{"MJD-OBS": 51361.0}))
    assert found.epoch == pytest.approx(Time(51361.0, format="mjd").jyear, abs=0.01)


@pytest.mark.parametrize(
    ("wcs", "words"),
    [
        (
            image(("TLON-TAN", "TLAT-TAN")),
            "celestial system of CTYPE 'TLON' is not known; expected RA, GLON, ELON, SLON",
        ),
        (image(RA_DEC, RADESYS="GAPPT"), "RADESYS = 'GAPPT' is not known; expected ICRS, FK5"),
    ],
)
def test_systems_that_are_refused(wcs, words):
    with pytest.raises(InputError, match=words):
        frame_of(wcs)


@pytest.mark.parametrize("equinox", [-1.0, 1.95, 20000.0])
def test_an_equinox_that_is_no_year_is_refused(equinox):
    with pytest.raises(InputError, match=r"EQUINOX = .* is not the year of an equinox; expected for example 2000"):
        frame_of(image(RA_DEC, RADESYS="FK4-NO-E", EQUINOX=equinox))
    # ICRS has none, and 0 is what some programs write for none
    assert frame_of(image(RA_DEC, RADESYS="ICRS", EQUINOX=equinox)) == ICRS
    assert frame_of(image(RA_DEC, RADESYS="FK5", EQUINOX=0.0)) == CelestialFrame("fk5", 2000.0)
