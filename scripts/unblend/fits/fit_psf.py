"""The PSF as IMFIT needs it."""

from __future__ import annotations

import math

import numpy as np

from ..core.nouns import Psf


def fit_psf(psf: Psf, *, light_left: float = 3e-3, max_side: int = 61) -> np.ndarray:
    """Return the PSF as IMFIT needs it: at image pixels, odd, centred, unit sum, without the pixel's response.

    IMFIT integrates a profile over the pixel, so an effective PSF is divided by sinc(fx) sinc(fy) in Fourier space.
    The same step moves the centroid onto the central pixel and brings an oversampled PSF to image pixels.

    Parameters
    ----------
    psf : Psf
        Any size, centre, oversampling and kind.
    light_left : float
        Fraction of the light that the crop may leave out.
    max_side : int
        Longest side: IMFIT's cost grows with its square, and what the crop loses scales the flux only.

    Raises
    ------
    ValueError
        A PSF that is not finite or has no positive sum.
    """
    data = np.asarray(psf.data, dtype=float)
    if not np.all(np.isfinite(data)) or data.sum() <= 0:
        raise ValueError("the PSF must be finite and of positive sum")
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
    back = np.exp(2j * math.pi * np.outer(grid, frequency))
    image = (back @ spectrum @ back.T).real
    return _cropped(image / image.sum(), light_left, max_side)


def _cropped(image: np.ndarray, light_left: float, max_side: int) -> np.ndarray:
    """Return the smallest central square beyond which every square's sum is 1 within `light_left`; unit sum."""
    middle = image.shape[0] // 2
    half = middle
    while half > 1 and abs(1.0 - _square(image, half - 1).sum()) <= light_left:
        half -= 1
    square = _square(image, min(half, max_side // 2))
    return np.array(square / square.sum())


def _square(image: np.ndarray, half: int) -> np.ndarray:
    """Return the central square of side 2 half + 1."""
    middle = image.shape[0] // 2
    return image[middle - half : middle + half + 1, middle - half : middle + half + 1]


def as_psf(kernel: np.ndarray) -> Psf:
    """Return what `fit_psf` has made as a `Psf`: on image pixels, centred, without the pixel's response."""
    ny, nx = kernel.shape
    return Psf(kernel, ((ny - 1) / 2.0, (nx - 1) / 2.0), 1.0, "optical")
