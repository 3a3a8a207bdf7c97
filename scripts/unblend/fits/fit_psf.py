"""Prepare a PSF for the fits with IMFIT."""

from __future__ import annotations

import math

import numpy as np

from ..core.field_psf import FieldPsf
from ..core.types import Psf

MAX_FLUX_LOSS, MAX_SIDE = 3e-3, 61
"""Fraction of the flux that may lie outside a cropped PSF, and its largest side in pixels."""


def fit_psfs(psf: FieldPsf) -> FieldPsf:
    """Return the PSF of every place for IMFIT, as `fit_psf` does: at image pixels, without the pixel response.

    All PSFs of a map get the side of the one that needs the largest.
    """
    images = [_at_image_pixels(one) for one in psf.psfs]
    half = max(_needed_half(image, MAX_FLUX_LOSS, MAX_SIDE) for image in images)
    squares = [_padded_square(image, half) for image in images]
    return FieldPsf(tuple(as_psf(square / square.sum()) for square in squares), psf.places)


def fit_psf_at(psf: FieldPsf, y: float, x: float) -> np.ndarray:
    """Return the PSF of a fit at a pixel position (y, x), from the result of `fit_psfs`.

    Its pixels are rounded to single precision, so that IMFIT reads from a file what the fit has used.

    Parameters
    ----------
    psf : FieldPsf
    y, x : float
        0-based pixel of the stack.
    """
    return psf.at(y, x).data.astype(np.float32).astype(np.float64)


def fit_psf(psf: Psf, *, max_flux_loss: float = MAX_FLUX_LOSS, max_side: int = MAX_SIDE) -> np.ndarray:
    """Return the PSF for IMFIT: sampled at image pixels, odd, centred, of unit sum, without the pixel response.

    IMFIT integrates a profile over the pixel, so an effective PSF is divided by sinc(fx) sinc(fy) in Fourier space.
    The same step moves the centroid onto the central pixel and brings an oversampled PSF to image pixels.

    Parameters
    ----------
    psf : Psf
        Any size, centre, oversampling and kind.
    max_flux_loss : float
        Fraction of the flux that may lie outside the cropped PSF.
    max_side : int
        Pixels, the largest side: IMFIT's time grows with its square, and the flux outside the crop only scales fluxes.

    Raises
    ------
    ValueError
        The PSF is not finite or its sum is not positive.
    """
    image = _at_image_pixels(psf)
    square = _central_square(image, _needed_half(image, max_flux_loss, max_side))
    return np.array(square / square.sum())


def _at_image_pixels(psf: Psf) -> np.ndarray:
    """Return the whole PSF at image pixels, without the pixel response; odd, centred, of unit sum.

    Raises
    ------
    ValueError
        As for `fit_psf`.
    """
    data = np.asarray(psf.data, dtype=float)
    if not np.all(np.isfinite(data)) or data.sum() <= 0:
        raise ValueError(f"the PSF must be finite with a positive sum; the sum found is {data.sum():g}")
    half = math.ceil(max(data.shape) / psf.oversampling / 2.0) + 1
    grid = np.arange(-half, half + 1)
    frequency = grid / grid.size
    transform_y, transform_x = (
        np.exp(-2j * math.pi * np.outer(frequency, (np.arange(side) - middle) / psf.oversampling))
        for side, middle in zip(data.shape, psf.centre, strict=True)
    )
    spectrum = transform_y @ data @ transform_x.T
    if psf.kind == "effective":
        spectrum = spectrum / np.outer(np.sinc(frequency), np.sinc(frequency))
    inverse = np.exp(2j * math.pi * np.outer(grid, frequency))
    image = (inverse @ spectrum @ inverse.T).real
    return np.asarray(image / image.sum())


def _needed_half(image: np.ndarray, max_flux_loss: float, max_side: int) -> int:
    """Return half the side of the smallest central square of which it and all larger ones hold the flux."""
    middle = image.shape[0] // 2
    half = middle
    while half > 1 and abs(1.0 - _central_square(image, half - 1).sum()) <= max_flux_loss:
        half -= 1
    return min(half, max_side // 2)


def _padded_square(image: np.ndarray, half: int) -> np.ndarray:
    """Return the central square of side 2 half + 1, with zeros where the image is smaller."""
    return _central_square(np.pad(image, max(half - image.shape[0] // 2, 0)), half)


def _central_square(image: np.ndarray, half: int) -> np.ndarray:
    """Return the central square of side 2 half + 1."""
    middle = image.shape[0] // 2
    return image[middle - half : middle + half + 1, middle - half : middle + half + 1]


def as_psf(kernel: np.ndarray) -> Psf:
    """Return the result of `fit_psf` as a `Psf`: at image pixels, centred, without the pixel response."""
    ny, nx = kernel.shape
    return Psf(kernel, ((ny - 1) / 2.0, (nx - 1) / 2.0), 1.0, "optical")
