"""The flux of a model compared with that of an aperture, the last point of the source's growth curve.

Wings that are too bright and a sky that is too faint can describe the pixels of a cutout together: a face-on disc that
fills its cutout comes out a quarter too bright. Against the sky around the cutout the light of the pixels is known.
"""

from __future__ import annotations

import math

import numpy as np

from .group_data import GroupData
from .imfit import Pixels
from .smoothed_noise import noise_of_sum

RADII = 2.0
"""Radius of the aperture in units of √(area / π) of the segment: the smallest half-size of a cutout."""
MIN_RADIUS_PIXELS = 6.0
EXCESS, EXCESS_SIGMAS = 0.15, 3.0
"""A model is brighter than the growth curve if it exceeds the aperture by this fraction and by as many errors. A galaxy
of n = 4 has some 10 % of its light beyond the aperture."""


def is_beyond_growth_curve(
    source: int, data: GroupData, pixels: Pixels, others: np.ndarray, model: np.ndarray, total: float
) -> bool:
    """Return whether a model has much more flux than the pixels within twice the radius of the segment.

    Parameters
    ----------
    source : int
        ID of the source.
    data : GroupData
        Segments, correlation of the noise, and the sky around the cutout; without that False is returned.
    pixels : Pixels
        Image, error and mask. Masked pixels count as the model.
    others : array (ny, nx)
        Convolved image of the other members of the group, without the sky.
    model : array (ny, nx)
        Convolved image of the source.
    total : float
        Flux of the source.
    """
    segment = data.segments == source
    if data.sky_around is None or not segment.any() or not math.isfinite(total):
        return False
    y, x = np.nonzero(segment)
    weight = np.maximum(model[segment], 0.0) + 1e-9 * abs(total)
    centre = float(np.average(y, weights=weight)), float(np.average(x, weights=weight))
    rows, columns = np.indices(segment.shape)
    radius = max(RADII * math.sqrt(y.size / math.pi), MIN_RADIUS_PIXELS)
    aperture = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    used = aperture & ~pixels.mask
    light = float((pixels.image - others - data.sky_around.value)[used].sum() + model[aperture & pixels.mask].sum())
    noise = noise_of_sum(np.where(used, pixels.error, 0.0), data.smoothing)
    error = math.hypot(noise, np.count_nonzero(used) * data.sky_around.error)
    return total - light > EXCESS_SIGMAS * error and total > (1.0 + EXCESS) * light
