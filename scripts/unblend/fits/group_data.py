"""The pixels of a fit group and the automatic start values of its sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..core.flags import Flag
from ..core.types import Box
from ..models.sersic import intensity_from_flux
from .imfit import POINT_SOURCES, Pixels
from .imfit_config import Block
from .overrides import Override, apply_override
from .result import MemberFit, function_flux, sersic_block
from .sky_level import SkyLevel, measured_sky
from .smoothed_noise import noise_of_sum
from .start_values import start_values


@dataclass(frozen=True)
class GroupData:
    """The pixels of one fit group.

    Parameters
    ----------
    box : Box
        The cutout, in pixels of the detection image; may extend beyond it.
    image, error : array (ny, nx)
        Stack and its error per pixel; not finite (or error ≤ 0) where there are no data.
    segments : int array (ny, nx)
        Segmentation map, 0 for no source.
    members : tuple of int
        The sources to fit, brightest first.
    subtracted : tuple of int
        Sources that the caller has subtracted from the image (custom models); their pixels are used in the fit.
    mask : bool array or None
        True = ignored. Pixels of sources that are neither members nor subtracted are always ignored.
    structure : array (ny, nx) or None
        Noise that stands for the structure of the sources (`structure_noise`), added to `error` in quadrature.
    smoothing : float
        Pixels, sigma of the Gaussian that describes the correlated noise (`smoothed_noise`); 0 for white noise.
    sky_around : SkyLevel or None
        The sky around the cutout; None where it is not known.
    """

    box: Box
    image: np.ndarray
    error: np.ndarray
    segments: np.ndarray
    members: tuple[int, ...]
    subtracted: tuple[int, ...] = ()
    mask: np.ndarray | None = None
    structure: np.ndarray | None = None
    smoothing: float = 0.0
    sky_around: SkyLevel | None = None


def group_pixels(data: GroupData, only: int | None = None) -> Pixels:
    """Return the pixels of the fit: of all members, or of the member `only` with the others masked."""
    used = (*data.members, *data.subtracted) if only is None else (only, *data.subtracted)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(data.image) & np.isfinite(data.error) & (data.error > 0)
    good &= (data.segments == 0) | np.isin(data.segments, used)
    if data.mask is not None:
        good &= ~data.mask
    image = np.where(good, data.image, 0.0).astype(float)
    error = data.error if data.structure is None else np.hypot(data.error, data.structure)
    return Pixels(data.box, image, np.where(good, error, 1.0).astype(float), ~good, data.smoothing)


def automatic_block(data: GroupData, pixels: Pixels, id_: int, sky: float, psf: np.ndarray) -> Block:
    """Return the start values of a Sersic profile and their limits, from the moments and the area of a segment.

    The position is free within ± clamp(R, 2, 4) pixels, where R = √(area/π), and r_e within 0.01 … 10 times 0.25 R.

    Parameters
    ----------
    data : GroupData
        The fit group.
    pixels : Pixels
        Pixels of the fit; masked ones do not enter the moments.
    id_ : int
        The source.
    sky : float
        Background level, units of the image.
    psf : array (odd, odd)
        PSF at the pixels of the image.

    Raises
    ------
    ValueError
        The source has no pixel in the segmentation map.
    """
    segment = data.segments == id_
    area = int(np.count_nonzero(segment))
    if area == 0:
        raise ValueError(f"source {id_} has no pixel in the segmentation map of its cutout")
    start = start_values(np.where(pixels.mask, np.nan, pixels.image - sky), segment, psf)
    start = replace(start, y=start.y + data.box.y0, x=start.x + data.box.x0)
    radius = math.sqrt(area / math.pi)
    limits = (0.0025 * radius, 2.5 * radius)
    r_e = min(max(start.r_e, limits[0]), limits[1])
    if r_e != start.r_e:
        start = replace(start, r_e=r_e, i_e=intensity_from_flux(start.n, r_e, start.ell, start.total_flux))
    return sersic_block(start, id_, max_offset=min(max(radius, 2.0), 4.0), r_e_range=limits)


def group_starts(
    data: GroupData, psf: np.ndarray, overrides: Mapping[int, Override]
) -> tuple[list[MemberFit], Block, Pixels]:
    """Return the members at their start values, the flat sky at its own, and the pixels of the fit.

    The sky is that of `measured_sky` without a model.

    Parameters
    ----------
    data : GroupData
        The fit group.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    overrides : mapping of source to Override
        User overrides of start values and models.

    Raises
    ------
    OverrideError
        An override places a centre off the cutout.
    """
    pixels = group_pixels(data)
    sky = measured_sky(data.segments, pixels, around=data.sky_around)
    level = sky.functions[0]["I_sky"].value
    members = []
    starts = {id_: automatic_block(data, pixels, id_, level, psf) for id_ in data.members}
    centres = {i: (block.y0.value, block.x0.value) for i, block in starts.items() if block.y0 and block.x0}
    for id_, automatic in starts.items():
        blocks: tuple[Block, ...] = (automatic,)
        flags = Flag(0)
        if id_ in overrides:
            flux = function_flux(automatic.functions[0]) or 0.0
            override = overrides[id_].on_detection_image(data.box).restricted_to(id_, centres)
            blocks = apply_override(override, automatic, flux, data.box)
            flags = Flag.OVERRIDDEN
        if all(function.name in POINT_SOURCES for block in blocks for function in block.functions):
            flags |= Flag.POINT_SOURCE
        members.append(MemberFit(id_, blocks, blocks, blocks, flags=int(flags)))
    return members, sky, pixels


def segment_snr(member: MemberFit, data: GroupData, pixels: Pixels, sky: float) -> float:
    """Return the signal-to-noise ratio of the flux in a member's segment; 0 if all its pixels are masked.

    Parameters
    ----------
    member : MemberFit
        The source.
    data : GroupData
        The segmentation map and the correlation of the noise are used.
    pixels : Pixels
        Image, error and mask.
    sky : float
        Background level to subtract, units of the image.
    """
    own = (data.segments == member.id) & ~pixels.mask
    error = np.where(own, pixels.error, 0.0)
    noise = noise_of_sum(error, data.smoothing)
    return float((pixels.image[own] - sky).sum()) / noise if noise > 0 else 0.0
