"""The coordinate systems of regions on the sky, transformed to that of an image."""

from __future__ import annotations

import numpy as np

from ..core import coordinates

_FRAME_BIAS = np.deg2rad(np.array([19.9e-3, 9.1e-3, -22.9e-3]) / 3600.0)
"""Rotation of the axes from ICRS to FK5 at J2000 in radians (Hilton & Hohenkerk 2004: -19.9, 9.1, -22.9 mas)."""


def unit_vectors(ra: np.ndarray | float, dec: np.ndarray | float) -> np.ndarray:
    """Return the unit vectors (x, y, z) of positions in degrees, along the last axis."""
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def equatorial(
    frame: str, longitude: np.ndarray, latitude: np.ndarray, system: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (ra, dec) in the `system` of the image, and the position angle of the north of `frame`, in degrees.

    The result agrees with DS9 to 2 mas, but only to 0.02 arcsec for the ecliptic and 0.3 arcsec for fk4, for which
    programs differ. icrs and fk5 differ by 0.02 arcsec (half a pixel of Hubble), and their angle is negligible.
    """
    if frame == system:
        return longitude, latitude, 0.0
    ra, dec = _transform(frame, longitude, latitude, system)
    if {frame, system} == {"icrs", "fk5"}:
        return ra, dec, 0.0
    step = -1.0 if latitude[0] > 0 else 1.0  # arcsec, away from the pole
    near = _transform(frame, longitude[:1], latitude[:1] + step / coordinates.ARCSEC_PER_DEG, system)
    east, north = coordinates.offset_arcsec(*near, float(ra[0]), float(dec[0]))
    # Position angles (north to east) and angles in the (west, north) plane both increase counter-clockwise.
    return ra, dec, float(np.rad2deg(np.arctan2(step * east[0], step * north[0])))


def _transform(frame: str, longitude: np.ndarray, latitude: np.ndarray, system: str) -> tuple[np.ndarray, np.ndarray]:
    if {frame, system} == {"icrs", "fk5"}:
        vectors = unit_vectors(longitude, latitude)
        x, y, z = (vectors + np.cross(vectors, _FRAME_BIAS if system == "fk5" else -_FRAME_BIAS)).T
        return np.rad2deg(np.arctan2(y, x)) % 360.0, np.rad2deg(np.arctan2(z, np.hypot(x, y)))
    from astropy.coordinates import SkyCoord

    position = SkyCoord(longitude, latitude, unit="deg", frame=frame).transform_to(system)
    return position.spherical.lon.deg, position.spherical.lat.deg
