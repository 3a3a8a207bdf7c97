"""Templates: models seen through a band's PSF, on the band's own pixels, at their exact sky positions.

The model's pixels are point masses at their places in the band's pixels (any rotation, shear, parity, scale: the
local Jacobian of both world coordinates). A non-uniform FFT (FINUFFT) gives their transform at the frequencies of
the stamp; the model's own square pixel is divided out, the transform of the PSF multiplied in, and an ordinary
inverse FFT samples the result at the pixels' centres. Nothing is interpolated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import shift_to_pixels, sky_jacobian, sky_to_pixel
from ..core.nouns import Box, Model, Psf, Template
from ..images.psf import band_limit, transform

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger(__name__)

NUFFT_TOLERANCE = 1e-7
MODEL_PIXELS_PER_BAND_PIXEL = 12
"""Finer models are rebinned to this. In bands of 0.6" a source of r_e = 0.05" keeps 1e-4 of the peak; with 5 instead of
12 it would lose 1.2e-3, without rebinning a template takes 70 ms instead of 15 at n = 4."""
COARSE_PIXEL = 0.7
"""Band pixels: with model pixels of that size the pixels of a template are off by 1 % (n = 1) to 5 % (n = 4)."""
POINTS_AT_ONCE = 2_000_000
"""Model pixels transformed together: 30 million at once would take 1.2 GB."""
# Odd lengths with small factors: odd, so that no frequency lacks its mirror image; few, so that transforms of the
# PSF can be kept.
_SIDES = np.array(sorted(3**a * 5**b * 7**c for a in range(8) for b in range(6) for c in range(5)))


def fft_side(least: float) -> int:
    """Return the smallest odd length of at least `least` whose only factors are 3, 5 and 7, not below 15."""
    return int(_SIDES[np.searchsorted(_SIDES, max(least, 15))])


@dataclass(frozen=True)
class Spectrum:
    """The transform of one template, about the pixel `origin` of the band: phases move it, factors derive it.

    `values` is (ny·fold, nx·fold), frequencies in ascending order; `fold` > 1 where the PSF is under-sampled by the
    band and frequencies above Nyquist are folded back by the pixels.
    """

    values: np.ndarray
    origin: tuple[int, int]
    sides: tuple[int, int]
    fold: int

    @cached_property
    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Cycles per band pixel along y and x, ascending."""
        ny, nx = (_frequencies(side, self.fold) for side in self.sides)
        return ny, nx

    def stamp(self, shift: tuple[float, float] = (0.0, 0.0), factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Return the template moved by `shift` (dy, dx) band pixels, its transform multiplied by `factor`."""
        (ny, nx), fold = self.sides, self.fold
        values = self.values if np.ndim(factor) == 0 and factor == 1.0 else self.values * factor
        phases = [np.exp(-2j * np.pi * k * s).reshape(fold, -1) for k, s in zip(self.frequencies, shift, strict=True)]
        # Samples at whole pixels cannot tell frequencies apart that differ by one cycle per pixel: these add up.
        rows = np.einsum("fyx,fy->yx", values.reshape(fold, ny, fold * nx), phases[0])
        folded = np.einsum("yfx,fx->yx", rows.reshape(ny, fold, nx), phases[1])
        # The light is real: half of its frequencies tell the rest.
        half = np.fft.ifftshift(folded, axes=0)[:, nx // 2 :]
        return np.fft.fftshift(np.fft.irfft2(half, s=(ny, nx)))

    @property
    def box(self) -> Box:
        """Where `stamp()` lies in the band."""
        y0, x0 = (o - side // 2 for o, side in zip(self.origin, self.sides, strict=True))
        return Box(y0, x0, y0 + self.sides[0], x0 + self.sides[1])


def _frequencies(side: int, fold: int) -> np.ndarray:
    modes = side * fold
    return (np.arange(modes) - modes // 2) / side


class TemplateEngine:
    """Makes the templates of one band.

    Parameters
    ----------
    wcs : WCS
        Of the band's image.
    shape : (ny, nx)
        Of the band's image: templates are clipped to it.
    psf : Psf
    shift_arcsec : (dx, dy)
        Added to every position, along image X and Y, in arcsec.
    """

    def __init__(self, wcs: WCS, shape: tuple[int, int], psf: Psf, shift_arcsec: Sequence[float] = (0.0, 0.0)):
        self.wcs, self.shape, self.psf = wcs, shape, psf
        middle = ((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0)
        self.shift = shift_to_pixels(wcs, (float(shift_arcsec[0]), float(shift_arcsec[1])), *middle)
        self.fold = band_limit(psf)
        if self.fold % 2 == 0:
            self.fold += 1  # an even number of fine samples per pixel would put none on a pixel's centre
        self._transforms: dict[tuple[int, int], np.ndarray] = {}

    def position(self, model: Model) -> tuple[float, float]:
        """Return (y, x) of the model's reference position in the band, the shift included."""
        y, x = sky_to_pixel(self.wcs, np.array([model.sky[0]]), np.array([model.sky[1]]))
        return float(y[0]) + self.shift[0], float(x[0]) + self.shift[1]

    def jacobian(self, model: Model) -> np.ndarray:
        """Return the band's local matrix d(east, north)/d(y, x), arcsec per pixel, at the model's place."""
        y, x = self.position(model)
        return sky_jacobian(self.wcs, y - self.shift[0], x - self.shift[1])

    def _psf_transform(self, sides: tuple[int, int]) -> np.ndarray:
        if sides not in self._transforms:
            self._transforms[sides] = transform(self.psf, *(_frequencies(side, self.fold) for side in sides))
        return self._transforms[sides]

    def spectrum(self, model: Model) -> Spectrum | None:
        """Return the transform of the model's template; None where the source is far off the image."""
        y, x = self.position(model)
        if not (np.isfinite(y) and np.isfinite(x)):
            return None
        jacobian = np.linalg.solve(self.jacobian(model), model.pixel_to_sky)
        data, centre, jacobian = _rebinned(model, jacobian)
        sides = self._sides(data.shape, centre, jacobian)
        origin = (round(y), round(x))
        spectrum = Spectrum(np.empty(0), origin, sides, self.fold)
        if not spectrum.box.overlaps(Box.of_shape(self.shape)):
            return None
        phase_offset = (y - origin[0], x - origin[1])
        seen = self._psf_transform(sides)
        if model.pixel_integrated:
            seen = seen / _pixel_transform(*spectrum.frequencies, jacobian)
        values = _point_masses(data, centre, jacobian, phase_offset, sides, self.fold)
        return Spectrum(values * seen / model.total, origin, sides, self.fold)

    def _sides(self, shape: tuple[int, ...], centre: tuple[float, float], jacobian: np.ndarray) -> tuple[int, int]:
        """Sides of a stamp that holds model and PSF: nothing wraps around."""
        reach = np.abs(jacobian) @ [max(c, side - 1 - c) + 0.5 for c, side in zip(centre, shape, strict=True)]
        halves = [
            max(c, side - 1 - c) / self.psf.oversampling + r
            for c, side, r in zip(self.psf.centre, self.psf.data.shape, reach, strict=True)
        ]
        return fft_side(2 * np.ceil(halves[0]) + 3), fft_side(2 * np.ceil(halves[1]) + 3)

    def template(self, source_id: int, model: Model) -> Template:
        """Return the template of a model: of unit total light, clipped to the image (empty when wholly off it)."""
        made = self.spectrum(model)
        if made is None:
            return Template(source_id, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
        coarse = np.sqrt(abs(np.linalg.det(np.linalg.solve(self.jacobian(model), model.pixel_to_sky))))
        if model.pixel_integrated and coarse > COARSE_PIXEL:
            log.warning("source %d: the pixel of its model is %.2f of the band's, details are lost; give a model of "
                        "finer pixels (0.4 or less).", source_id, coarse)  # fmt: skip
        return self.clipped(source_id, made.stamp(), made.box)

    def clipped(self, source_id: int, stamp: np.ndarray, box: Box) -> Template:
        """Return the part of `stamp` on the image as a template, with the fraction of its light that is there."""
        inside = box & Box.of_shape(self.shape)
        data = stamp[inside.within(box)]
        return Template(source_id, inside, data, float(data.sum() / stamp.sum()))


def _rebinned(model: Model, jacobian: np.ndarray) -> tuple[np.ndarray, tuple[float, float], np.ndarray]:
    """Sum blocks of model pixels until a block is 1/MODEL_PIXELS_PER_BAND_PIXEL of a band pixel.

    Blocks are odd and one is centred on the pixel nearest to the centre, so that symmetric models stay symmetric.
    """
    size = float(np.sqrt(abs(np.linalg.det(jacobian))))
    block = int(1.0 / (size * MODEL_PIXELS_PER_BAND_PIXEL))
    block -= 1 - block % 2
    if block < 3 or not model.pixel_integrated:
        return model.data, model.centre, jacobian
    pads, centre = [], []
    for c, side in zip(model.centre, model.data.shape, strict=True):
        before = -(round(c) - block // 2) % block
        pads.append((before, -(side + before) % block))
        centre.append((c + before - (block - 1) / 2.0) / block)
    padded = np.pad(model.data, pads)
    binned = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block).sum(axis=(1, 3))
    return binned, (centre[0], centre[1]), jacobian * block


def _pixel_transform(ky: np.ndarray, kx: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """Return the transform of the model's pixel, a parallelogram in the band; infinite where the model says nothing.

    Frequencies are in cycles per band pixel.
    """
    along = [ky[:, None] * jacobian[0, axis] + kx[None, :] * jacobian[1, axis] for axis in (0, 1)]
    known = (np.abs(along[0]) <= 0.5) & (np.abs(along[1]) <= 0.5)
    # Beyond the model's own Nyquist frequency, which only a user's coarse model has in the band, its transform repeats
    # itself: kept, it would make a lattice of points.
    return np.where(known, np.sinc(along[0]) * np.sinc(along[1]), np.inf)


def _point_masses(
    data: np.ndarray, centre: tuple[float, float], jacobian: np.ndarray,
    offset: tuple[float, float], sides: tuple[int, int], fold: int,
) -> np.ndarray:  # fmt: skip
    """Return the transform of the model's pixels as point masses, about the stamp's origin."""
    import finufft

    rows, columns = (np.arange(side) - c for side, c in zip(data.shape, centre, strict=True))
    modes = (sides[0] * fold, sides[1] * fold)
    total = np.zeros(modes, dtype=np.complex128)
    step = max(1, POINTS_AT_ONCE // columns.size)
    for first in range(0, rows.size, step):
        strip = slice(first, first + step)
        angles = []
        for axis in (0, 1):
            position = offset[axis] + jacobian[axis, 0] * rows[strip, None] + jacobian[axis, 1] * columns[None, :]
            angles.append(np.ascontiguousarray((2 * np.pi / sides[axis] * position).ravel()))
        strengths = data[strip].ravel().astype(np.complex128)
        total += finufft.nufft2d1(*angles, strengths, modes, eps=NUFFT_TOLERANCE, isign=-1, nthreads=1)
    return total
