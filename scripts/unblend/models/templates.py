"""Templates: models convolved with the PSF of a band, on the pixels of the band and at their exact sky positions.

The transform of a Sersic profile at the frequencies of a stamp is known (`sersic_transform`). Of any other model the
pixels are taken as point masses at their positions in the band, and a non-uniform FFT (FINUFFT) gives their transform,
which is divided by that of the square model pixel. Both use the local Jacobians of both WCS (any rotation, shear,
parity and scale). The transform is multiplied by that of the PSF, and an ordinary inverse FFT samples the result at the
centres of the pixels. There is no interpolation.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import shift_to_pixels, sky_jacobian, sky_to_pixel
from ..core.field_psf import FieldPsf, Weights
from ..core.shift_field import ShiftField
from ..core.types import Box, Model, ModelOutline, Psf, SersicShape, Template
from ..images.psf import band_limit
from ..images.psf_transforms import PsfTransforms
from .sersic_transform import sersic_image_transform

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger(__name__)

NUFFT_TOLERANCE = 1e-7
"""Relative accuracy of the non-uniform FFT."""
MODEL_PIXELS_PER_BAND_PIXEL = 12
"""Finer models are rebinned to this. In pixels of 0.6" it changes the peak of a source of r_e = 0.05" by 1e-4 (with 5
instead of 12 by 1.2e-3). Without rebinning a template of n = 4 takes 70 ms instead of 15."""
COARSE_MODEL_PIXEL = 0.7
"""Size of a model pixel in band pixels above which a warning is logged: there the pixels of a template are wrong by 1 %
(n = 1) to 5 % (n = 4)."""
POINTS_AT_ONCE = 2_000_000
"""Number of model pixels that are transformed together: 30 million at once would need 1.2 GB."""
# Odd lengths with small factors: odd, so that every frequency has its negative; few, so that transforms of the PSF can
# be kept.
_SIDES = np.array(sorted(3**a * 5**b * 7**c for a in range(8) for b in range(6) for c in range(5)))


def fft_side(least: float) -> int:
    """Return the smallest odd length of at least `least` and 15 whose only prime factors are 3, 5 and 7."""
    return int(_SIDES[np.searchsorted(_SIDES, max(least, 15))])


@dataclass(frozen=True)
class Spectrum:
    """The Fourier transform of one template. A phase shifts the template, a factor gives its derivatives.

    Parameters
    ----------
    values : array (ny·fold, nx·fold), complex
        Transform about the pixel `origin`, frequencies in ascending order.
    origin : (y, x)
        Pixel of the band.
    sides : (ny, nx)
        Shape of the stamp.
    fold : int
        Larger than 1 if the band undersamples the PSF: then frequencies above the Nyquist frequency are included, which
        the pixels alias.
    """

    values: np.ndarray
    origin: tuple[int, int]
    sides: tuple[int, int]
    fold: int

    @cached_property
    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequencies along y and x in cycles per band pixel, ascending."""
        ny, nx = (_frequencies(side, self.fold) for side in self.sides)
        return ny, nx

    def stamp(self, shift: tuple[float, float] = (0.0, 0.0), factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Return the template shifted by `shift` (dy, dx) band pixels, with its transform multiplied by `factor`."""
        (ny, nx), fold = self.sides, self.fold
        values = self.values if np.ndim(factor) == 0 and factor == 1.0 else self.values * factor
        phases = [np.exp(-2j * np.pi * k * s).reshape(fold, -1) for k, s in zip(self.frequencies, shift, strict=True)]
        # Sampling at the centres of pixels aliases frequencies that differ by one cycle per pixel: they are summed.
        rows = np.einsum("fyx,fy->yx", values.reshape(fold, ny, fold * nx), phases[0])
        folded = np.einsum("yfx,fx->yx", rows.reshape(ny, fold, nx), phases[1])
        # The template is real, so half of the frequencies are sufficient.
        half = np.fft.ifftshift(folded, axes=0)[:, nx // 2 :]
        return np.fft.fftshift(np.fft.irfft2(half, s=(ny, nx)))

    @property
    def box(self) -> Box:
        """Part of the band that `stamp()` covers."""
        y0, x0 = (o - side // 2 for o, side in zip(self.origin, self.sides, strict=True))
        return Box(y0, x0, y0 + self.sides[0], x0 + self.sides[1])


def _frequencies(side: int, fold: int) -> np.ndarray:
    """Return the frequencies of a stamp of `side` pixels in cycles per pixel, ascending."""
    modes = side * fold
    return (np.arange(modes) - modes // 2) / side


@dataclass(frozen=True)
class _PlacedModel:
    """A model in the band: its pixels, their centre, d(y, x in the band)/d(y, x in the model), and its position."""

    data: np.ndarray
    centre: tuple[float, float]
    jacobian: np.ndarray
    position: tuple[float, float]
    pixel_integrated: bool

    def reach(self, origin: tuple[int, int]) -> np.ndarray:
        """Return how far the model extends from `origin` along y and x, band pixels."""
        halves = [max(c, side - 1 - c) + 0.5 for c, side in zip(self.centre, self.data.shape, strict=True)]
        reach = np.abs(self.jacobian) @ halves
        # a position rounds to its own origin; that of a detail may be some pixels away
        return np.asarray(reach + np.abs(np.rint(self.position) - origin))

    def transform(self, stamp: Spectrum) -> np.ndarray:
        """Return the transform of the un-convolved model at the frequencies of a stamp, about its origin."""
        offset = (self.position[0] - stamp.origin[0], self.position[1] - stamp.origin[1])
        values = _point_masses(self.data, self.centre, self.jacobian, offset, stamp.sides, stamp.fold)
        if not self.pixel_integrated:
            return values
        return np.asarray(values / _pixel_transform(*stamp.frequencies, self.jacobian))


@dataclass(frozen=True)
class _PlacedProfile(_PlacedModel):
    """A Sersic profile in the band, of which `data` is an image; its total flux is `total`.

    Its transform needs no pixels. The wings beyond the stamp fold into it; their mean is taken off, so that the stamp
    has the same sum as the image.
    """

    shape: SersicShape
    total: float

    def transform(self, stamp: Spectrum) -> np.ndarray:
        """Return the transform of the un-convolved profile at the frequencies of a stamp, about its origin."""
        ky, kx = stamp.frequencies
        middle = (ky.size // 2, kx.size // 2)
        # a symmetric profile has a real, symmetric transform
        half = self.total * sersic_image_transform(ky, kx[middle[1] :], self.jacobian, self.shape)
        values = np.hstack([half[::-1, :0:-1], half])
        values[middle] = self.data.sum()
        phases = [
            np.exp(-2j * np.pi * k * (place - start))
            for k, place, start in zip((ky, kx), self.position, stamp.origin, strict=True)
        ]
        return np.asarray(values * phases[0][:, None] * phases[1])


class TemplateEngine:
    """Makes the templates of one band.

    Parameters
    ----------
    wcs : WCS
        WCS of the band.
    shape : (ny, nx)
        Shape of the band's image, to which templates are clipped.
    psf : Psf or FieldPsf
        PSF of the band: one for the whole image, or that of every place.
    shift_arcsec : (dx, dy)
        Astrometric shift along image x and y, added to every position.
    shift_field : ShiftField, optional
        A shift that varies over the image, added to that.
    """

    def __init__(
        self,
        wcs: WCS,
        shape: tuple[int, int],
        psf: Psf | FieldPsf,
        shift_arcsec: Sequence[float] = (0.0, 0.0),
        shift_field: ShiftField | None = None,
    ):
        self.wcs, self.shape, self.psf = wcs, shape, FieldPsf.of(psf)
        self._shift_arcsec = float(shift_arcsec[0]), float(shift_arcsec[1])
        middle = ((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0)
        self.shift = shift_to_pixels(wcs, self._shift_arcsec, *middle)
        self.shift_field = shift_field
        self.fold = band_limit(self.psf.sharpest)
        if self.fold % 2 == 0:
            self.fold += 1  # an even number of samples per pixel would have none at the centre of the pixel
        self._transforms = PsfTransforms(self.psf)

    def with_psf(self, psf: Psf | FieldPsf) -> TemplateEngine:
        """Return an engine for the same image and shift with another PSF."""
        return TemplateEngine(self.wcs, self.shape, psf, self._shift_arcsec, self.shift_field)

    def position(self, model: Model | ModelOutline) -> tuple[float, float]:
        """Return the pixel position (y, x) of the model in the band, including the shift."""
        y, x = self.position_without_shift(model)
        dy, dx = (0.0, 0.0) if self.shift_field is None else self.shift_field.at(y, x)
        return y + dy + self.shift[0], x + dx + self.shift[1]

    def position_without_shift(self, model: Model | ModelOutline) -> tuple[float, float]:
        """Return the pixel position (y, x) of the model according to the WCS of the band."""
        y, x = sky_to_pixel(self.wcs, np.array([model.sky[0]]), np.array([model.sky[1]]))
        return float(y[0]), float(x[0])

    def jacobian(self, model: Model | ModelOutline) -> np.ndarray:
        """Return the Jacobian d(east, north)/d(y, x) of the band at the position of the model, arcsec per pixel."""
        return sky_jacobian(self.wcs, *self.position_without_shift(model))

    def psf_weights(self, model: Model | ModelOutline) -> Weights:
        """Return the PSFs of the band that hold at the position of the model, with their weights."""
        return self.psf.places.weights(*self.position(model))

    def psf_order(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Return the order of sky positions in which those that share PSFs of a map follow each other.

        In this order each PSF is transformed once for each size of stamp, however many there are: transforms of a whole
        map may not fit into the memory for them.

        Parameters
        ----------
        ra, dec : arrays (n,)
            Degrees.

        Returns
        -------
        int array (n,)
        """
        if len(self.psf.psfs) == 1 or not len(ra):
            return np.arange(len(ra))
        y, x = sky_to_pixel(self.wcs, np.asarray(ra), np.asarray(dec))
        y, x = np.nan_to_num(y + self.shift[0]), np.nan_to_num(x + self.shift[1])
        first = [min(index for index, _ in self.psf.places.weights(*place)) for place in zip(y, x, strict=True)]
        return np.argsort(first, kind="stable")

    def _psf_transform(self, model: Model, sides: tuple[int, int]) -> np.ndarray:
        frequencies = (_frequencies(side, self.fold) for side in sides)
        return self._transforms.mean(self.psf_weights(model), sides, *frequencies)

    def spectrum(self, model: Model) -> Spectrum | None:
        """Return the transform of the template of a model and its detail; None if the template is outside the image."""
        parts = self._spectra(model)
        return None if parts is None else replace(parts[0], values=np.sum([part.values for part in parts], axis=0))

    def _spectra(self, model: Model) -> list[Spectrum] | None:
        """Return the transforms of the smooth part of a template and of its detail, if it has one, on the same stamp.

        None if the template is outside the image.
        """
        y, x = self.position(model)
        if not (np.isfinite(y) and np.isfinite(x)):
            return None
        parts = [self._placed(part) for part in (model, model.detail) if part is not None]
        origin = (round(y), round(x))
        sides = self._sides([placed.reach(origin) for placed in parts])
        spectrum = Spectrum(np.empty(0), origin, sides, self.fold)
        if not spectrum.box.overlaps(Box.of_shape(self.shape)):
            return None
        response = self._psf_transform(model, sides) / model.flux
        return [replace(spectrum, values=part.transform(spectrum) * response) for part in parts]

    def _placed(self, model: Model) -> _PlacedModel:
        """Return a model at its position in the band."""
        jacobian = np.linalg.solve(self.jacobian(model), model.pixel_to_sky)
        if model.shape is not None:
            return _PlacedProfile(
                model.data, model.centre, jacobian, self.position(model), True, model.shape, model.total
            )
        data, centre, jacobian = _rebinned(model, jacobian)
        return _PlacedModel(data, centre, jacobian, self.position(model), model.pixel_integrated)

    def _sides(self, reaches: Sequence[np.ndarray]) -> tuple[int, int]:
        """Return the sides (ny, nx) of a stamp that contains the convolved models without wrapping around."""
        halves = np.add(self.psf.reach, np.max(reaches, axis=0))
        return fft_side(2 * np.ceil(halves[0]) + 3), fft_side(2 * np.ceil(halves[1]) + 3)

    def template(self, source_id: int, model: Model) -> Template:
        """Return the template of a model, of unit total flux and clipped to the image (empty if outside of it)."""
        parts = self._spectra(model)
        if parts is None:
            return Template(source_id, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
        coarse = np.sqrt(abs(np.linalg.det(np.linalg.solve(self.jacobian(model), model.pixel_to_sky))))
        if model.pixel_integrated and model.shape is None and coarse > COARSE_MODEL_PIXEL:
            log.warning("source %d: the pixels of its model are %.2f of those of the band, too coarse for an accurate "
                        "template. Give a model with finer pixels (0.4 or less).", source_id, coarse)  # fmt: skip
        stamps, box = [part.stamp() for part in parts], parts[0].box
        template = self.clipped(source_id, sum(stamps[1:], stamps[0]), box)
        if model.detail is None:
            return template
        detail = stamps[1][template.box.within(box)]
        share = model.detail.total / model.flux
        return replace(template, detail=detail, detail_share=share, detail_free=model.detail.free)

    def gradients(self, source_id: int, model: Model) -> tuple[Template, Template]:
        """Return the derivatives of a template with respect to y and x of the source, per pixel of the band.

        Both are on the box of the template and include the derivatives of its detail; `coverage` has no meaning.
        """
        parts = self._spectra(model)
        if parts is None:
            empty = Template(source_id, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
            return empty, empty
        box = parts[0].box
        inside, share = box & Box.of_shape(self.shape), 0.0 if model.detail is None else model.detail.total / model.flux
        ky, kx = parts[0].frequencies

        def derivative(factor: np.ndarray) -> Template:
            """Return the template with its transform multiplied by `factor`."""
            stamps = [part.stamp(factor=factor)[inside.within(box)] for part in parts]
            data = sum(stamps[1:], stamps[0])
            return Template(source_id, inside, data, 1.0, None if model.detail is None else stamps[1], share)

        return derivative(-2j * np.pi * ky[:, None]), derivative(-2j * np.pi * kx[None, :])

    def clipped(self, source_id: int, stamp: np.ndarray, box: Box) -> Template:
        """Return the part of a stamp inside the image as a template, with the fraction of the flux there.

        Parameters
        ----------
        source_id : int
        stamp : array (ny, nx)
        box : Box
            Part of the band that the stamp covers.
        """
        inside = box & Box.of_shape(self.shape)
        data = stamp[inside.within(box)]
        return Template(source_id, inside, data, float(data.sum() / stamp.sum()))


def _rebinned(model: Model, jacobian: np.ndarray) -> tuple[np.ndarray, tuple[float, float], np.ndarray]:
    """Return the model, its centre and its Jacobian, rebinned to MODEL_PIXELS_PER_BAND_PIXEL if it is finer.

    The sides of the blocks are odd, and one block is centred on the pixel nearest to the centre, so that symmetric
    models remain symmetric.
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
    """Return the transform of the model pixel, which is a parallelogram in the band.

    Frequencies are in cycles per band pixel. It is infinite beyond the Nyquist frequency of the model.
    """
    along = [ky[:, None] * jacobian[0, axis] + kx[None, :] * jacobian[1, axis] for axis in (0, 1)]
    sampled = (np.abs(along[0]) <= 0.5) & (np.abs(along[1]) <= 0.5)
    # Beyond the Nyquist frequency of the model its transform repeats, which would give a lattice of points. Only coarse
    # models of the user have that frequency within the band.
    return np.where(sampled, np.sinc(along[0]) * np.sinc(along[1]), np.inf)


def _point_masses(
    data: np.ndarray, centre: tuple[float, float], jacobian: np.ndarray,
    offset: tuple[float, float], sides: tuple[int, int], fold: int,
) -> np.ndarray:  # fmt: skip
    """Return the transform of the model pixels as point masses, about the origin of the stamp."""
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
