"""Noise that stands for the structure of galaxies, which no smooth profile has: knots, arms, bars, dust lanes.

The residual of a bright galaxy is many times the noise of its pixels. Weighted by that noise, its few brightest pixels
alone decide the fit, and the wings of the profile and the sky follow them: a clumpy merger comes out a quarter too
bright. Structure is about a fixed fraction of the brightness. That fraction of the model, measured on the residual of
the first pass, is added to the noise. The faint outskirts, which a smooth profile describes, then count by their own
noise, and the covariance contains the misfit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from ..core.statistics import largest_chance_chi2
from .imfit import Pixels

MAX_FRACTION = 0.5
"""Largest structure as a fraction of the brightness."""


def structure_noise(
    segments: np.ndarray,
    pixels: Pixels,
    models: Mapping[int, np.ndarray],
    sky: float,
    only: Collection[int] = (),
) -> np.ndarray:
    """Return the noise per pixel that stands for structure, shape (ny, nx); 0 where the models describe the sources.

    In the segment of a source it is a fraction of the brightness of all models there. Outside the segments it is the
    same fraction of each source's own wings.

    Parameters
    ----------
    segments : int array (ny, nx)
        Segmentation map, 0 for no source.
    pixels : Pixels
        Image, error and mask.
    models : mapping of int to array (ny, nx)
        Convolved image of each source after an earlier fit.
    sky : float
        Sky of that fit.
    only : collection of int
        The sources whose structure is returned, also one that could be chance: something else shows that their models
        are wrong. Without, that of all sources whose chi2 is larger than by chance.
    """
    total = sum(models.values(), np.zeros(segments.shape))
    residual = pixels.image - total - sky
    variance = np.zeros(segments.shape)
    for source, model in models.items():
        segment = segments == source
        own = segment & ~pixels.mask
        if source not in only and (only or not _is_misfit(own, residual, pixels.error)):
            continue
        fraction = _structure_fraction(own, residual, pixels.error, total)
        variance += fraction**2 * np.where(segment, total, np.where(segments == 0, model, 0.0)) ** 2
    return np.sqrt(variance)


def _is_misfit(own: np.ndarray, residual: np.ndarray, error: np.ndarray) -> bool:
    """Return whether chi2 in the pixels `own` is larger than by chance."""
    count = int(np.count_nonzero(own))
    return count > 0 and float(np.mean((residual[own] / error[own]) ** 2)) >= largest_chance_chi2(count)


def _structure_fraction(own: np.ndarray, residual: np.ndarray, error: np.ndarray, brightness: np.ndarray) -> float:
    """Return the standard deviation of the structure in the pixels `own` as a fraction of their brightness."""
    light = float(np.sum(brightness[own] ** 2))
    if not light > 0:
        return 0.0
    excess = float(np.sum(residual[own] ** 2) - np.sum(error[own] ** 2))
    return min(math.sqrt(max(excess, 0.0) / light), MAX_FRACTION)
