"""The coordinate systems of regions on the sky, transformed to ICRS."""

from __future__ import annotations

import numpy as np

from ..core import coordinates
from ..core.celestial import region_frame, to_icrs


def equatorial(frame: str, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (ra, dec) in ICRS, and the position angle of the north of `frame`, in degrees.

    The result agrees with DS9 to 2 mas, but only to 0.02 arcsec for the ecliptic and 0.3 arcsec for fk4, for which
    programs differ. icrs and fk5 differ by 0.02 arcsec (half a pixel of Hubble), and their angle is negligible.

    Parameters
    ----------
    frame : str
        Name of a sky frame, see `Region`.
    longitude, latitude : array (n,)
        Degrees.
    """
    system = region_frame(frame)
    ra, dec = to_icrs(system, longitude, latitude)
    if frame in ("icrs", "fk5"):
        return ra, dec, 0.0
    step = -1.0 if latitude[0] > 0 else 1.0  # arcsec, away from the pole
    near = to_icrs(system, longitude[:1], latitude[:1] + step / coordinates.ARCSEC_PER_DEG)
    east, north = coordinates.offset_arcsec(*near, float(ra[0]), float(dec[0]))
    # Position angles (north to east) and angles in the (west, north) plane both increase counter-clockwise.
    return ra, dec, float(np.rad2deg(np.arctan2(step * east[0], step * north[0])))
