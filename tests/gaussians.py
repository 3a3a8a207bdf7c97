"""Analytic Gaussian templates for the tests of the linear fit, and its covariance as a dense matrix."""

from __future__ import annotations

import numpy as np
from unblend.core.types import Box, Template
from unblend.photometry.linear_system import LinearSolution


def gaussian(
    number: int, y: float, x: float, shape: tuple[int, int], *, sigma: float = 1.5, half: float = 10.0
) -> Template:
    """Return a unit-flux Gaussian at (y, x), cut `half` pixels from its centre and clipped to the image."""
    box = Box.around(y, x, half) & Box.of_shape(shape)
    if box.is_empty:
        return Template(number, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
    rows, columns = np.ogrid[box.slices]
    data = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return Template(number, box, data, float(data.sum()))


def gaussian_field(
    count: int, side: int, rng: np.random.Generator, *, sigma: float = 1.5, half: float = 10.0
) -> tuple[list[Template], np.ndarray]:
    """Return `count` Gaussians at random positions of a square image, and fluxes from 10 to 1000."""
    positions = rng.uniform(3, side - 4, (count, 2))
    templates = [
        gaussian(k + 1, y, x, (side, side), sigma=sigma, half=half) for k, (y, x) in enumerate(positions.tolist())
    ]
    return templates, 10.0 ** rng.uniform(1, 3, count)


def covariance(solution: LinearSolution) -> np.ndarray:
    """Return the covariance of the active fluxes and, last, of the coefficients of the background, for white noise."""
    every = np.arange(solution.inverse.size)
    return np.array([solution.inverse.elements(k, every) for k in every.tolist()])
