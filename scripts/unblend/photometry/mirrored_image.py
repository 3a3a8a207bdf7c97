"""An image whose sources are elsewhere: whether it shows the field mirrored, rotated by quarter turns, or moved.

The usual mistakes are the sign of CDELT or CD, the order of rows, transposed axes, and CRPIX of another cutout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma
from ..core.types import Template
from ..core.units import FWHM_PER_SIGMA
from .linear_system import model_image

FAINTEST_SNR = 5.0
"""Least S/N of the light that is compared."""
MIN_AGREEMENT = 0.6
"""Least correlation of the light in a view with the sources, of the square roots of both: with their brightness as with
their places."""
MIN_GAIN, MIN_LEAD = 1.2, 1.15
"""Least ratio of it to that of the image as it is, and to that of any other view."""
LARGEST_SIDE = 512
"""Pixels of the longer side of the images that are compared: those of a larger image are added up in squares."""
VIEWS = {
    "": lambda image: image,
    "mirrored along X": lambda image: image[:, ::-1],
    "mirrored along Y": lambda image: image[::-1],
    "rotated by 180 degrees": lambda image: image[::-1, ::-1],
    "transposed": lambda image: image.T,
    "rotated by 90 degrees": lambda image: np.rot90(image, -1),
    "rotated by -90 degrees": lambda image: np.rot90(image),
    "transposed and rotated by 180 degrees": lambda image: image[::-1, ::-1].T,
}
"""By name: an image seen otherwise; angles are from X to Y."""


@dataclass(frozen=True)
class View:
    """The view of an image that fits the sources.

    Parameters
    ----------
    name : str
        Of `VIEWS`; "" for the image as it is.
    shift : (dy, dx)
        Pixels by which this view, about the centre of the image, has to be moved to fit. In an image of more than
        `LARGEST_SIDE` pixels it is a multiple of the pixels that are added up.
    """

    name: str
    shift: tuple[int, int]

    def __str__(self) -> str:
        """Return it in words, as "mirrored along X"."""
        dy, dx = self.shift
        return self.name or f"moved by {dx:+d} pixels along X and {dy:+d} pixels along Y"


def view_warning(view: View, band: str) -> str:
    """Return a sentence for the user on an image that fits its sources in another view."""
    return (
        f"{band}: the light of the image lies at its sources when the image is {view}: its world coordinates are wrong "
        "(the sign of CDELT or CD, the order of the rows, transposed axes, CRPIX of another cutout), or its shift, and "
        f"so are the fluxes; correct the header, or bands.{band}.shift."
    )


def find_view(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], brightness: np.ndarray, fwhm: float
) -> View | None:
    """Return the view in which the light of an image lies at its sources; None where none is clearly better.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        The image less its background; the weight is 0 where ignored.
    templates : sequence of Template
    brightness : array (n,)
        Of the sources, in any unit: their fluxes in the detection image.
    fwhm : float
        Of the band's PSF, pixels.
    """
    from scipy.ndimage import gaussian_filter

    usable = np.isfinite(image) & (weight > 0)
    if not usable.any():
        return None
    bins = -(-max(image.shape) // LARGEST_SIDE)
    sigma = fwhm / FWHM_PER_SIGMA / bins
    smooth = gaussian_filter(_added_up(np.where(usable, image, 0.0), bins), sigma)
    sources = np.maximum(gaussian_filter(_added_up(model_image(templates, brightness, image.shape), bins), sigma), 0.0)
    usable = _added_up(usable, bins) > 0.5 * bins**2
    if not usable.any():
        return None
    smooth -= np.median(smooth[usable])
    light = np.where(usable & (smooth > FAINTEST_SNR * robust_sigma(smooth[usable])), smooth, 0.0)
    light, sources = (np.sqrt(part) / np.sqrt(max(part.sum(), 1e-300)) for part in (light, sources))
    side = 2 * max(light.shape)
    transform = np.conj(np.fft.rfft2(_centred(sources, side)))
    found: list[tuple[float, View]] = []
    for name, seen in VIEWS.items():
        agreement = np.fft.irfft2(np.fft.rfft2(_centred(seen(light), side)) * transform, (side, side))
        if not name:
            as_it_is = float(agreement[0, 0])
        dy, dx = (int(k) for k in np.unravel_index(int(np.argmax(agreement)), agreement.shape))
        top = float(agreement[dy, dx])
        shift = tuple(bins * (side - k if k > side // 2 else -k) for k in (dy, dx))
        found.append((top, View(name, shift)))
    found.sort(key=lambda each: -each[0])
    (best, view), (second, _) = found[:2]
    return view if best > max(MIN_AGREEMENT, MIN_GAIN * as_it_is, MIN_LEAD * second) else None


def _added_up(image: np.ndarray, bins: int) -> np.ndarray:
    """Return the sums over squares of so many pixels on a side; those at the last edges may be incomplete."""
    for axis in (0, 1):
        image = np.add.reduceat(image, np.arange(0, image.shape[axis], bins), axis=axis, dtype=float)
    return image


def _centred(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image in the middle of a square of zeros."""
    result = np.zeros((side, side))
    y0, x0 = ((side - length) // 2 for length in image.shape)
    result[y0 : y0 + image.shape[0], x0 : x0 + image.shape[1]] = image
    return result
