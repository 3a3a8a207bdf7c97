"""Detail: what a smooth model leaves of a galaxy in the detection stack, deconvolved from the PSF of the stack.

The template of a galaxy in a band is that of its smooth model plus residual ⊗ K, where the transform of K is that of
the band's PSF divided by that of the stack. Dividing by the PSF of the stack once, here, gives a model image on the
pixels of the stack, to be convolved with the PSF of any band like every other model.
"""

from __future__ import annotations

import numpy as np

from ..core.types import Psf
from ..images.psf import transform
from .templates import fft_side

REGULARISATION = 1e-4
"""Added to the power of the PSF: frequencies at which its transform is below 0.01 are suppressed, because they hold
noise rather than light. With 1e-3 the peak of a point-like knot is 3 % too low in a PSF with a FWHM of 3 pixels."""


def deconvolved(residual: np.ndarray, psf: Psf) -> tuple[np.ndarray, tuple[int, int]]:
    """Return a residual image divided by the PSF of its image, and the pixel (y, x) of its first pixel there.

    The result is larger than the residual by half the PSF on each side, has odd sides and the same sum to
    `REGULARISATION`. Its pixels are those of the image, as flux integrated over the pixel.

    Parameters
    ----------
    residual : array (ny, nx)
        Flux per pixel; 0 where there is none.
    psf : Psf
        PSF of the image.
    """
    margin = round(max(psf.data.shape) / psf.oversampling / 2.0)
    sides = tuple(fft_side(side + 2 * margin) for side in residual.shape)
    padded = np.zeros(sides)
    top, left = ((side - part) // 2 for side, part in zip(sides, residual.shape, strict=True))
    padded[top : top + residual.shape[0], left : left + residual.shape[1]] = residual
    ky, kx = np.fft.fftfreq(sides[0]), np.fft.fftfreq(sides[1])
    response = transform(psf, ky, kx)
    # the pixels of a model are taken as integrated: the pixel response is put back here and divided out there
    pixel = np.sinc(ky)[:, None] * np.sinc(kx)[None, :]
    inverse = np.conj(response) / (np.abs(response) ** 2 + REGULARISATION)
    image = np.fft.ifft2(np.fft.fft2(padded) * inverse * pixel * (1.0 + REGULARISATION)).real
    return image, (top, left)
