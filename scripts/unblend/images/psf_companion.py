"""A second peak in the stamp of a PSF: a neighbour of the star from which it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAREST_FWHM = 1.5
"""Least distance of a second peak from the centre, in FWHM of the PSF."""
MIN_HEIGHT = 0.02
"""Least height of a second peak over the first. None of 14 PSFs of HST, JWST, Spitzer, Subaru and MUSE has one even at
a height of 0.01 and a contrast of 2."""
MIN_CONTRAST = 3.0
"""Least height of a second peak over the light at the same distance: in its ring, and on the opposite side."""


@dataclass(frozen=True)
class Companion:
    """A second peak of a PSF.

    Parameters
    ----------
    place : (y, x)
        0-based pixel.
    height : float
        Over the peak of the PSF.
    """

    place: tuple[int, int]
    height: float


def find_companion(data: np.ndarray, centre: tuple[float, float], fwhm: float) -> Companion | None:
    """Return the highest second peak of a PSF that its optics do not explain; None if there is none.

    Rings and spikes of a telescope are as bright on the other side of the centre, and no ring has one bright place.

    Parameters
    ----------
    data : array (ny, nx)
        Finite, with a positive peak.
    centre : (y, x)
        Centre of the PSF, 0-based.
    fwhm : float
        Pixels.
    """
    from scipy.ndimage import maximum_filter

    rows, columns = np.indices(data.shape)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    size = 2 * max(1, round(fwhm / 2.0)) + 1
    highest = maximum_filter(data, size=size)
    peaks = (data == highest) & (distance > NEAREST_FWHM * fwhm) & (data > MIN_HEIGHT * data.max())
    for y, x in sorted(np.argwhere(peaks).tolist(), key=lambda at: -data[at[0], at[1]]):
        ring = data[np.abs(distance - distance[y, x]) < 0.5 * fwhm]
        opposite = round(2.0 * centre[0] - y), round(2.0 * centre[1] - x)
        inside = 0 <= opposite[0] < data.shape[0] and 0 <= opposite[1] < data.shape[1]
        other = max(float(np.median(ring)), float(highest[opposite]) if inside else 0.0)
        if data[y, x] > MIN_CONTRAST * other:
            return Companion((int(y), int(x)), float(data[y, x] / data.max()))
    return None
