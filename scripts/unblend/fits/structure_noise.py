"""Noise that stands for the structure of galaxies, which no smooth profile has: knots, arms, bars, dust lanes.

The residual of a bright galaxy is many times the noise of its pixels. Weighted by that noise, its few brightest pixels
alone decide the fit, and the wings of the profile and the sky follow them: a clumpy merger comes out a quarter too
bright. Structure is about a fixed fraction of the brightness. That fraction of the model, measured on the residual of
the first pass, is added to the noise. The faint outskirts, which a smooth profile describes, then count by their own
noise, and the covariance contains the misfit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..core.statistics import largest_chance_chi2
from .imfit import Pixels

MAX_FRACTION = 0.5
"""Largest structure as a fraction of the brightness."""


def structure_noise(segments: np.ndarray, pixels: Pixels, models: Mapping[int, np.ndarray], sky: float) -> np.ndarray:
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
        Convolved image of each source after the first pass.
    sky : float
        Sky of the first pass.
    """
    total = sum(models.values(), np.zeros(segments.shape))
    residual = pixels.image - total - sky
    variance = np.zeros(segments.shape)
    for source, model in models.items():
        segment = segments == source
        fraction = _structure_fraction(segment & ~pixels.mask, residual, pixels.error, total)
        variance += fraction**2 * np.where(segment, total, np.where(segments == 0, model, 0.0)) ** 2
    return np.sqrt(variance)


def _structure_fraction(own: np.ndarray, residual: np.ndarray, error: np.ndarray, brightness: np.ndarray) -> float:
    """Return the standard deviation of the structure in the pixels `own` as a fraction of their brightness."""
    count, light = int(np.count_nonzero(own)), float(np.sum(brightness[own] ** 2))
    if count == 0 or light == 0:
        return 0.0
    chi2 = float(np.mean((residual[own] / error[own]) ** 2))
    if chi2 < largest_chance_chi2(count):
        return 0.0
    excess = float(np.sum(residual[own] ** 2) - np.sum(error[own] ** 2))
    return min(math.sqrt(max(excess, 0.0) / light), MAX_FRACTION)
