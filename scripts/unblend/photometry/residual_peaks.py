"""Peaks of the residual of a band that may be sources without a template, and the misfit that bright sources leave.

A source that the detection image does not show leaves a peak as wide as the PSF in the residual of a blurred band. So
do wrong templates: a PSF that is too narrow leaves a ring, a spiral its knots. A peak counts only if it is brighter
than what the templates of its surroundings may leave there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.statistics import noise_rms
from ..core.types import Box, Template

FILTER_RADIUS_FWHM = 2.0
"""Radius of the matched filter, which fits a point source and a constant: with 1.5 the constant costs 20 % of the
signal-to-noise ratio, with 2.0 it costs 10 %, and the filter is hardly ever wider than the gaps between sources."""
MIN_USABLE = 0.5
"""Least fraction of the PSF's light in the filter on usable pixels."""
ENOUGH_PIXELS = 1000
"""Pixels away from sources from which the scatter of the filter is measured; with fewer, all pixels are used."""
MISFIT_OF_POINTS, MISFIT_OF_GALAXIES = 0.3, 3.0
"""Light that may be misfit where the template of a source is as narrow as the PSF and where it is much wider, over the
brightness of its model there. Knots of drawn spirals are up to 2.5 times as bright as the disc."""
MISFIT_OF_PSF = 0.1
"""Light that may be misfit within one FWHM of a source, over its peak; it falls with the square of the distance. A PSF
whose FWHM is wrong by 20 % leaves 0.07, and diffraction spikes that a PSF lacks are some 0.002 at 7 FWHM."""


class PointFilter:
    """Matched filter for point sources above a constant, in windows around each pixel.

    Parameters
    ----------
    weight : array (ny, nx)
        Inverse variance up to a factor, 0 where masked.
    point : array (2 r + 1, 2 r + 1)
        A point source of unit flux, centred.
    """

    def __init__(self, weight: np.ndarray, point: np.ndarray) -> None:
        self.weight, self.peak = weight, float(point.max())
        half = len(point) // 2
        rows, columns = np.ogrid[-half : half + 1, -half : half + 1]
        self._disc = (np.hypot(rows, columns) <= half).astype(float)
        self._point = point * self._disc
        seen = _correlated((weight > 0).astype(float), self._point)
        self.usable = (seen >= MIN_USABLE * self._point.sum()) & (weight > 0)
        squares, light, pixels = (_correlated(weight, k) for k in (self._point**2, self._point, self._disc))
        determinant = squares * pixels - light**2
        self.usable &= determinant > 1e-9 * squares * pixels
        safe = np.where(self.usable, determinant, 1.0)
        self._light, self._pixels, self._determinant = light, pixels, safe
        self._root = np.sqrt(np.where(self.usable, np.maximum(pixels, 0.0), 0.0) / safe)

    def __call__(self, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the flux of a point source at each pixel and its ratio to the error for white noise, both (ny, nx).

        Parameters
        ----------
        residual : array (ny, nx)
            Image minus models; ignored where the weight is 0. Both results are 0 where too few pixels are usable.
        """
        weighted = self.weight * np.where(self.weight > 0, residual, 0.0)
        product, total = _correlated(weighted, self._point), _correlated(weighted, self._disc)
        flux = np.where(self.usable, product * self._pixels - total * self._light, 0.0) / self._determinant
        return flux, np.divide(flux, self._root, out=np.zeros_like(flux), where=self._root > 0)

    def scatter(self, ratio: np.ndarray, near: np.ndarray) -> float:
        """Return the robust scatter of the signal-to-noise ratio, away from sources where there is room for it.

        It is above 1 where the noise is correlated or larger than the weights say.

        Parameters
        ----------
        ratio : array (ny, nx)
        near : array (ny, nx) of bool
            True near sources.
        """
        away = self.usable & ~near
        chosen = away if np.count_nonzero(away) >= ENOUGH_PIXELS else self.usable
        measured = noise_rms(ratio, ~chosen) if chosen.any() else np.nan
        return float(measured) if measured > 0 else np.inf


class MisfitLight:
    """The light that may be the misfit of templates: what is brighter than this is a source of its own.

    Parameters
    ----------
    templates : sequence of Template
    flux : array (n,)
        In their order; NaN or negative ones leave nothing.
    point : array (ny, nx)
        A point source of unit flux.
    fwhm : float
        Of the band's PSF, pixels.
    """

    def __init__(self, templates: Sequence[Template], flux: np.ndarray, point: np.ndarray, fwhm: float) -> None:
        self.templates, self.fwhm = templates, fwhm
        self.flux = np.where(flux > 0, flux, 0.0)
        self.centres = np.array([template_centre(template) for template in templates]).reshape(-1, 2)
        self.peaks = np.array([t.data.max() if t.data.size else 0.0 for t in templates])
        squares = np.array([np.sum(np.asarray(t.data, dtype=float) ** 2) for t in templates])
        narrow = np.clip(squares / np.sum(point**2), 0.0, 1.0)
        self.fraction = MISFIT_OF_GALAXIES - (MISFIT_OF_GALAXIES - MISFIT_OF_POINTS) * narrow

    def image(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the part that goes with the brightness of the models, shape (ny, nx)."""
        light = np.zeros(shape)
        for k in map(int, np.flatnonzero(self.flux * self.peaks > 0)):
            window = self.templates[k].box.slices
            light[window] += self.flux[k] * self.fraction[k] * np.maximum(self.templates[k].data, 0.0)
        return light

    def at(self, y: float, x: float, light: np.ndarray, changes: dict[int, float]) -> float:
        """Return the misfit at a position, image units per pixel.

        Parameters
        ----------
        y, x : float
            Pixels.
        light : array (ny, nx)
            From `image`.
        changes : dict of index to float
            Fluxes of sources that differ from those given.
        """
        row, column = round(y), round(x)
        value, flux = float(light[row, column]), self.flux.copy()
        for k, other in changes.items():
            flux[k] = max(other, 0.0)
            value += (flux[k] - self.flux[k]) * self.fraction[k] * max(value_at(self.templates[k], row, column), 0.0)
        distance = np.maximum(np.hypot(self.centres[:, 0] - y, self.centres[:, 1] - x) / self.fwhm, 1.0)
        of_psf = np.max(flux * self.peaks * distance**-2.0, initial=0.0, where=np.isfinite(distance))
        return max(value, MISFIT_OF_PSF * float(of_psf))


def value_at(template: Template, row: int, column: int) -> float:
    """Return the value of a template at a pixel of the band, 0 outside its box.

    Parameters
    ----------
    template : Template
    row, column : int
        0-based pixel of the band.
    """
    inside = Box(row, column, row + 1, column + 1) in template.box
    return float(template.data[row - template.box.y0, column - template.box.x0]) if inside else 0.0


def template_centre(template: Template) -> tuple[float, float]:
    """Return the position (y, x) of the peak of a template to a fraction of a pixel; NaN for an empty one."""
    if template.box.is_empty or not np.isfinite(template.data).all():
        return np.nan, np.nan
    row, column = (int(k) for k in np.unravel_index(int(np.argmax(template.data)), template.data.shape))
    y = row + _vertex(template.data[:, column], row)
    x = column + _vertex(template.data[row], column)
    return template.box.y0 + y, template.box.x0 + x


def _vertex(values: np.ndarray, top: int) -> float:
    """Return the vertex of the parabola through the largest value and its neighbours, relative to that value."""
    if not 0 < top < len(values) - 1:
        return 0.0
    below, middle, above = (float(value) for value in values[top - 1 : top + 2])
    curvature = below - 2.0 * middle + above
    return 0.5 * (below - above) / curvature if curvature < 0 else 0.0


def highest_pixels(ratio: np.ndarray, least: float, radius: float, allowed: np.ndarray) -> list[tuple[int, int]]:
    """Return the pixels (y, x) of local maxima of at least `least` that are allowed, the highest first.

    Parameters
    ----------
    ratio : array (ny, nx)
        Signal-to-noise ratio.
    least : float
    radius : float
        Pixels within which a maximum is the highest.
    allowed : array (ny, nx) of bool
    """
    from scipy.ndimage import maximum_filter

    top = (ratio >= least) & allowed & (ratio == maximum_filter(ratio, size=2 * max(1, round(radius)) + 1))
    places = [(int(y), int(x)) for y, x in np.argwhere(top)]
    return sorted(places, key=lambda place: (-ratio[place], place))


def _correlated(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the sums of image × kernel with the kernel (odd sides) centred on each pixel; 0 beyond the image."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    half = len(kernel) // 2
    size = tuple(next_fast_len(side + 2 * half, real=True) for side in image.shape)
    product = irfft2(rfft2(image, s=size) * rfft2(kernel[::-1, ::-1], s=size), s=size)
    return np.asarray(product[half : half + image.shape[0], half : half + image.shape[1]])
