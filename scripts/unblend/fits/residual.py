"""What a fit leaves of a bright source in the stack: the pixels from which its detail is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.flags import Flag
from ..core.types import Box
from .exact_model import ExactModel
from .group_data import GroupData, group_pixels, segment_snr
from .refinement import exact_image
from .result import GroupFit, MemberFit
from .smoothed_noise import noise_of_sum

MIN_SNR = 50.0
"""Smallest signal-to-noise ratio in the segment of a source with detail: fainter ones would get the noise of the stack
as their template, which then is uncertain by more than 2 %."""
GROWTH = 4.0
"""Pixels around the segment that belong to the source, too."""


@dataclass(frozen=True)
class OwnResidual:
    """The residual that belongs to one source.

    Parameters
    ----------
    data : array (ny, nx)
        Flux per pixel, 0 where pixels belong to no source or to another one.
    box : Box
        Its part of the stack.
    noise : float
        Standard deviation of its sum.
    """

    data: np.ndarray
    box: Box
    noise: float


def may_have_detail(member: MemberFit) -> bool:
    """Return whether a source has been fitted and its model does not describe it."""
    return bool(member.flags & Flag.FIT_POOR_CHI2) and not member.flags & (Flag.FIT_REPLACED | Flag.POINT_SOURCE)


def is_bright(member: MemberFit, fit: GroupFit, data: GroupData) -> bool:
    """Return whether a source is bright enough for a detail.

    Parameters
    ----------
    member : MemberFit
        The source after the second pass.
    fit : GroupFit
        The fit of its group.
    data : GroupData
        Pixels of the group, without the noise that stands for structure.
    """
    return segment_snr(member, data, group_pixels(data), fit.sky.value) >= MIN_SNR


def own_residual(id_: int, fit: GroupFit, data: GroupData, psf: np.ndarray) -> OwnResidual:
    """Return what the models of a group leave in the segment of a source and within `GROWTH` pixels of it.

    Pixels between two sources belong to the nearer segment.

    Parameters
    ----------
    id_ : int
        The source.
    fit : GroupFit
        The fit of its group.
    data : GroupData
        Pixels of the group, the models of its neighbours subtracted.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    """
    from scipy.ndimage import distance_transform_edt

    pixels = group_pixels(data)
    distance, nearest = distance_transform_edt(data.segments == 0, return_indices=True)
    own = (data.segments[tuple(nearest)] == id_) & (distance <= GROWTH) & ~pixels.mask
    rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    window = Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    # exact, as templates are
    residual = pixels.image - exact_image(fit, ExactModel(pixels, psf))
    noise = noise_of_sum(np.where(own, pixels.error, 0.0), data.smoothing)
    box = Box(window.y0 + data.box.y0, window.x0 + data.box.x0, window.y1 + data.box.y0, window.x1 + data.box.x0)
    return OwnResidual(np.where(own, residual, 0.0)[window.slices], box, noise)
