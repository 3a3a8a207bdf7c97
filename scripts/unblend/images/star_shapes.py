"""The width, ellipticity and position angle of single stars: how much the PSF changes over an image.

Adaptive moments (Hirata & Seljak 2003, MNRAS 343, 459): the second moments in an elliptical Gaussian window that has
the shape of the star itself. Noise in the wings hardly counts, and a Gaussian of any shape is measured exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.units import FWHM_PER_SIGMA
from .star_psf import StarStamp

ROUNDS = 100
"""Maximum number of iterations of the window."""
CONVERGED = 1e-6
"""Relative change of the moments with which they end."""


@dataclass(frozen=True)
class StarShape:
    """Shape of a star; NaN where it cannot be measured.

    Parameters
    ----------
    fwhm : float
        That of a Gaussian with the same moments (geometric mean of both axes), image pixels.
    ell : float
        1 − minor/major axis.
    pa : float
        Degrees from +y towards −x, from 0 to 180.
    """

    fwhm: float
    ell: float
    pa: float


UNKNOWN = StarShape(np.nan, np.nan, np.nan)


def star_shape(stamp: StarStamp, fwhm: float) -> StarShape:
    """Return the shape of a star from its pixels; masked ones have no light.

    Parameters
    ----------
    stamp : StarStamp
        With its position and background level.
    fwhm : float
        Of the window at the start, pixels.
    """
    light = np.where(np.isfinite(stamp.error), stamp.data - stamp.background, 0.0)
    rows, columns = np.indices(light.shape)
    offsets = np.stack([rows - stamp.y, columns - stamp.x]).reshape(2, -1)
    moments = (fwhm / FWHM_PER_SIGMA) ** 2 * np.eye(2)
    for _ in range(ROUNDS):
        weighted = light.ravel() * np.exp(-0.5 * np.sum(offsets * np.linalg.solve(moments, offsets), axis=0))
        total = weighted.sum()
        if not total > 0.0:
            return UNKNOWN
        # a Gaussian in a window of its own shape has half of its moments
        found = 2.0 * (offsets * weighted) @ offsets.T / total
        if np.linalg.eigvalsh(found)[0] <= 0.0:
            return UNKNOWN
        if np.abs(found - moments).max() < CONVERGED * found.max():
            return _shape_of(found)
        moments = found
    return UNKNOWN


def _shape_of(moments: np.ndarray) -> StarShape:
    """Return the shape with these second moments, in the order y, x."""
    (minor, major), axes = np.linalg.eigh(moments)
    y, x = axes[:, 1]
    return StarShape(
        FWHM_PER_SIGMA * float((minor * major) ** 0.25),
        1.0 - float(np.sqrt(minor / major)),
        float(np.degrees(np.arctan2(-x, y)) % 180.0),
    )
