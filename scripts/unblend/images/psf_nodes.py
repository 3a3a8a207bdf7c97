"""A PSF that is a function of the position, as images on a grid between which it is interpolated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NODES = (2, 3, 5, 9, 17, 33)
"""Nodes along each axis that are tried: each grid halves the cells of the one before."""
MAX_ERROR = 1e-3
"""Largest part of the light that interpolation may misplace: half of the absolute differences of the pixels."""


def sampled_psf(
    image_at: Callable[[float, float], np.ndarray], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a PSF that changes over an image on the nodes of a grid.

    The grid is the coarsest one whose bilinear interpolation misplaces less than `MAX_ERROR` of the light in the middle
    of every cell, or one of the largest number of `NODES`.

    Parameters
    ----------
    image_at : callable
        Returns the PSF, an array (ny, nx) of any positive sum, at a pixel position (y, x) of the image, 0-based.
    shape : (ny, nx)
        Shape of the image.

    Returns
    -------
    y, x : arrays (n,)
        Rows and columns of the nodes, from the first to the last pixel.
    images : array (n², ny, nx)
        PSFs of unit sum at the nodes, row by row.
    """

    def sampled(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return PSFs of unit sum, shape (y.size, x.size, ny, nx)."""
        found = np.array([[image_at(float(row), float(column)) for column in x] for row in y])
        return found / found.sum(axis=(2, 3), keepdims=True)

    for number in NODES:
        y, x = (np.linspace(0.0, max(side - 1.0, 1.0), number) for side in shape)
        images = sampled(y, x)
        middles = sampled((y[1:] + y[:-1]) / 2.0, (x[1:] + x[:-1]) / 2.0)
        rows = (images[1:] + images[:-1]) / 2.0
        interpolated = (rows[:, 1:] + rows[:, :-1]) / 2.0
        error = 0.5 * np.abs(interpolated - middles).sum(axis=(2, 3)).max()
        if error < MAX_ERROR:
            break
    return y, x, images.reshape(-1, *images.shape[2:])
