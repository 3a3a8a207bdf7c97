"""Correlation of images by Fourier transforms."""

from __future__ import annotations

import numpy as np


def sums_of_products(image: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Return the sums of the products of `core` with the part of an image below it, at all its places in the image.

    `scipy.signal.correlate` has this too, but importing it takes half a second.

    Parameters
    ----------
    image : array (ny, nx)
    core : array (my, mx)
        Not larger than the image.

    Returns
    -------
    array (ny − my + 1, nx − mx + 1)
        The first one is that of the first pixels of both.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = tuple(next_fast_len(n, real=True) for n in image.shape)
    products = irfft2(rfft2(image, s=shape) * rfft2(core, s=shape).conj(), s=shape)
    rows, columns = (n - m + 1 for n, m in zip(image.shape, core.shape, strict=True))
    return np.asarray(products[:rows, :columns])
