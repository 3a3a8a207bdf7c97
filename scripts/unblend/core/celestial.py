"""Celestial systems of images: positions in any of them as ICRS, and back.

The system of an image is that of its header (CTYPE, RADESYS, EQUINOX). All systems but FK4 are rotations of ICRS.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from astropy.wcs import WCS

_FRAME_BIAS = np.deg2rad(np.array([19.9e-3, 9.1e-3, -22.9e-3]) / 3600.0)
"""Rotation of the axes from ICRS to FK5 at J2000 in radians (Hilton & Hohenkerk 2004: -19.9, 9.1, -22.9 mas)."""
_LONGITUDES = {"GLON": "galactic", "ELON": "barycentricmeanecliptic", "SLON": "supergalactic"}
_SYSTEMS = {"": "icrs", "ICRS": "icrs", "FK5": "fk5", "J2000": "fk5", "FK4": "fk4", "B1950": "fk4"}
_SYSTEMS |= {"FK4-NO-E": "fk4noeterms"}
_REALIZATIONS = ("ICRF", "GAIA")
"""Catalogues and radio frames that realize ICRS: RADESYS = 'GAIADR3'."""
_EQUINOXES = {"fk5": 2000.0, "fk4": 1950.0, "fk4noeterms": 1950.0, "barycentricmeanecliptic": 2000.0}
_OLDEST_EQUINOX, _LAST_EQUINOX = 1800.0, 2200.0
"""Years between which an equinox is believed. 0 is what some programs write for none."""


@dataclass(frozen=True)
class CelestialFrame:
    """A celestial system.

    Parameters
    ----------
    name : str
        The name in Astropy: icrs, fk5, fk4, fk4noeterms, galactic, supergalactic, barycentricmeanecliptic.
    equinox : float
        Year, 0 for a system without an equinox.
    epoch : float
        Year of the observation, which matters in FK4 only; 0 in other systems.
    """

    name: str
    equinox: float = 0.0
    epoch: float = 0.0


ICRS = CelestialFrame("icrs")


def frame_of(wcs: WCS) -> CelestialFrame:
    """Return the celestial system of an image.

    Without RADESYS it follows from EQUINOX, as in FITS paper II: FK4 before 1984, else FK5; without both it is ICRS.

    Raises
    ------
    InputError
        The system is not known, or its equinox is not a year.
    """
    # In 2-D, `lng` is -1 where no axis is a longitude; `lngtyp` is not filled in before the first use of the WCS.
    longitude = str(wcs.wcs.ctype[max(wcs.wcs.lng, 0)])[:4].rstrip("-")
    if longitude == "RA":
        name = _equatorial_system(wcs.wcs.radesys.strip().upper())
    elif longitude in _LONGITUDES:
        name = _LONGITUDES[longitude]
    else:
        known = ", ".join(("RA", *_LONGITUDES))
        raise InputError(f"the celestial system of CTYPE {longitude!r} is not known; expected {known}")
    if name not in _EQUINOXES:
        return CelestialFrame(name)
    given = float(wcs.wcs.equinox)
    if np.isfinite(given) and given != 0.0 and not _OLDEST_EQUINOX < given < _LAST_EQUINOX:
        raise InputError(f"EQUINOX = {given:g} is not the year of an equinox; expected for example 2000.0 or 1950.0")
    equinox = given if given > 0 else _EQUINOXES[name]
    if name != "fk4":
        return CelestialFrame(name, equinox)
    day = float(wcs.wcs.mjdobs)
    return CelestialFrame(name, equinox, 1858.8798 + day / 365.25 if day > 0 else equinox)


def _equatorial_system(text: str) -> str:
    if text.startswith(_REALIZATIONS):
        return "icrs"
    if text not in _SYSTEMS:
        known = ", ".join(filter(None, _SYSTEMS))
        raise InputError(f"RADESYS = {text!r} is not known; expected {known}")
    return _SYSTEMS[text]


def region_frame(name: str) -> CelestialFrame:
    """Return the system of a DS9 region from its name in Astropy, at the equinox that DS9 takes."""
    return CelestialFrame(name, _EQUINOXES.get(name, 0.0), 1950.0 if name == "fk4" else 0.0)


def to_icrs(frame: CelestialFrame, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (ra, dec) in ICRS, in degrees, of positions in degrees. NaN stays NaN.

    Parameters
    ----------
    frame : CelestialFrame
        System of the positions.
    longitude, latitude : arrays
    """
    return _converted(frame, longitude, latitude, inverse=False)


def from_icrs(frame: CelestialFrame, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (longitude, latitude) of ICRS positions, the inverse of `to_icrs`.

    Parameters
    ----------
    frame : CelestialFrame
    ra, dec : arrays (n,)
        Degrees, ICRS.
    """
    return _converted(frame, ra, dec, inverse=True)


def _converted(
    frame: CelestialFrame, longitude: np.ndarray, latitude: np.ndarray, *, inverse: bool
) -> tuple[np.ndarray, np.ndarray]:
    longitude, latitude = np.asarray(longitude, dtype=float), np.asarray(latitude, dtype=float)
    if frame.name == "icrs":
        return longitude, latitude
    if frame.name == "fk4":
        return _by_astropy(frame, longitude, latitude, inverse)
    matrix = _rotation(frame)
    vectors = unit_vectors(longitude, latitude) @ (matrix if inverse else matrix.T)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.rad2deg(np.arctan2(y, x)) % 360.0, np.rad2deg(np.arctan2(z, np.hypot(x, y)))


@lru_cache
def _rotation(frame: CelestialFrame) -> np.ndarray:
    """Return the matrix (3, 3) that turns unit vectors of a system into those of ICRS."""
    if frame == CelestialFrame("fk5", 2000.0):
        # Astropy takes half a second to import its coordinates.
        return np.eye(3) + np.cross(np.eye(3), -_FRAME_BIAS).T
    axes = _by_astropy(frame, np.array([0.0, 90.0, 0.0]), np.array([0.0, 0.0, 90.0]), inverse=False)
    return unit_vectors(*axes).T


def _by_astropy(
    frame: CelestialFrame, longitude: np.ndarray, latitude: np.ndarray, inverse: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return what Astropy's coordinates make of positions."""
    from astropy.coordinates import SkyCoord

    system = _astropy_frame(frame)
    finite = np.isfinite(longitude) & np.isfinite(latitude)
    place = SkyCoord(
        np.where(finite, longitude, 0.0),
        np.where(finite, latitude, 0.0),
        unit="deg",
        frame="icrs" if inverse else system,
    )
    found = place.transform_to(system if inverse else "icrs").spherical
    return np.where(finite, found.lon.deg, np.nan), np.where(finite, found.lat.deg, np.nan)


def _astropy_frame(frame: CelestialFrame) -> Any:
    from astropy import coordinates
    from astropy.time import Time

    # Equinoxes of FK4 are in Besselian years, all others in Julian years (FITS paper II).
    equinox = Time(frame.equinox, format="byear" if frame.name.startswith("fk4") else "jyear")
    if frame.name == "fk5":
        return coordinates.FK5(equinox=equinox)
    if frame.name == "fk4":
        epoch = Time(frame.epoch, format="byear" if frame.epoch == frame.equinox else "jyear")
        return coordinates.FK4(equinox=equinox, obstime=epoch)
    if frame.name == "fk4noeterms":
        return coordinates.FK4NoETerms(equinox=equinox)
    if frame.name == "barycentricmeanecliptic":
        return coordinates.BarycentricMeanEcliptic(equinox=equinox)
    return {"galactic": coordinates.Galactic, "supergalactic": coordinates.Supergalactic}[frame.name]()


def unit_vectors(longitude: np.ndarray | float, latitude: np.ndarray | float) -> np.ndarray:
    """Return the unit vectors (..., 3) of positions in degrees."""
    a, d = np.deg2rad(longitude), np.deg2rad(latitude)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
