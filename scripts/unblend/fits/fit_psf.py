"""Prepare a PSF for the fits with IMFIT."""

from __future__ import annotations

import math

import numpy as np

from ..core.types import Psf


def fit_psf(psf: Psf, *, max_flux_loss: float = 3e-3, max_side: int = 61) -> np.ndarray:
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
    return _cropped(image / image.sum(), max_flux_loss, max_side)


def _cropped(image: np.ndarray, max_flux_loss: float, max_side: int) -> np.ndarray:
    """Return the smallest central square of which it and all larger ones hold the flux to `max_flux_loss`; unit sum."""
    middle = image.shape[0] // 2
    half = middle
    while half > 1 and abs(1.0 - _central_square(image, half - 1).sum()) <= max_flux_loss:
        half -= 1
    square = _central_square(image, min(half, max_side // 2))
    return np.array(square / square.sum())


def _central_square(image: np.ndarray, half: int) -> np.ndarray:
    """Return the central square of side 2 half + 1."""
    middle = image.shape[0] // 2
    return image[middle - half : middle + half + 1, middle - half : middle + half + 1]


def as_psf(kernel: np.ndarray) -> Psf:
    """Return the result of `fit_psf` as a `Psf`: at image pixels, centred, without the pixel response."""
    ny, nx = kernel.shape
    return Psf(kernel, ((ny - 1) / 2.0, (nx - 1) / 2.0), 1.0, "optical")
