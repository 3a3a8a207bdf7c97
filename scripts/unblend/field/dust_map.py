"""The reddening E(B-V) at positions on the sky, from maps that the user has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.celestial import from_icrs, region_frame
from ..core.coordinates import sky_to_pixel
from ..core.errors import InputError
from ..io.images import read_image, read_wcs


def reddening(files: Sequence[str], ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return E(B-V) at positions, interpolated linearly between pixels, in magnitudes.

    Parameters
    ----------
    files : sequence of str
        One FITS image with a celestial WCS; or two, for the northern and the southern half of the Galaxy.
    ra, dec : arrays (n,)
        Degrees, ICRS.

    Raises
    ------
    InputError
        A file is not such an image, or a position is not on it.
    """
    if len(files) == 1:
        return _interpolated(files[0], ra, dec)
    _, latitude = from_icrs(region_frame("galactic"), ra, dec)
    found = np.empty(len(ra))
    for name, half in zip(files, (latitude >= 0, latitude < 0), strict=True):
        if half.any():
            found[half] = _interpolated(name, ra[half], dec[half])
    return found


def _interpolated(name: str, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    image, _ = read_image(name)
    y, x = sky_to_pixel(read_wcs(name), ra, dec)
    values = map_coordinates(image.astype(float), [y, x], order=1, mode="constant", cval=np.nan)
    if not np.isfinite(values).all():
        worst = int(np.argmin(np.isfinite(values)))
        raise InputError(
            f"extinction.map: {name} has no value at the source at ra = {ra[worst]:.5f}, dec = {dec[worst]:.5f}; give "
            "a map of E(B-V) that covers the field."
        )
    return np.asarray(values)
