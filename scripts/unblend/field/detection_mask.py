"""The mask of a detection image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.strips import BitMask, Strip, Workspace
from ..core.types import WindowedImage
from ..images.masks import region_mask
from ..images.saturation import find_plateau, is_saturated
from ..images.unobserved import unobserved
from ..io.regions import read_regions

if TYPE_CHECKING:
    from astropy.wcs import WCS


def no_data(image: np.ndarray, weight: np.ndarray | None = None, saturation: float | None = None) -> np.ndarray:
    """Return True where a detection image has no data: not finite, not observed, saturated, or without weight.

    Parameters
    ----------
    image : array (ny, nx)
    weight : array (ny, nx), optional
        Inverse variance; pixels whose weight is not positive have no data.
    saturation : float, optional
        Level at and above which a pixel is saturated, in image units; None: that at which the brightest pixels are cut,
        if they are.
    """
    return no_data_mask(image, weight, saturation, unobserved(image), Workspace())[:, :]


def no_data_mask(
    image: WindowedImage,
    weight: WindowedImage | None,
    saturation: float | None,
    missing: WindowedImage,
    work: Workspace,
) -> BitMask:
    """Return what `no_data` does for an image of any size.

    Parameters
    ----------
    image, weight, saturation
        As in `no_data`.
    missing : bool image (ny, nx)
        True where the image was not observed, see `images.unobserved`.
    work : Workspace
    """
    if saturation is None and (plateau := find_plateau(image, missing, work)) is not None:
        saturation = plateau.least

    def read(strip: Strip) -> np.ndarray:
        part = image[strip.slices]
        mask = ~np.isfinite(part) | missing[strip.slices] | is_saturated(part, saturation)
        return mask if weight is None else mask | ~(weight[strip.slices] > 0)

    return work.mask(image.shape, read)


def detection_mask(
    regions_path: str,
    wcs: WCS,
    image: np.ndarray,
    weight: np.ndarray | None = None,
    saturation: float | None = None,
) -> np.ndarray:
    """Return the mask (ny, nx) of a detection image: bad regions and pixels without data.

    Parameters
    ----------
    regions_path : str
        DS9 file of bad regions; a missing file is the same as an empty one.
    wcs : WCS
    image, weight, saturation
        As in `no_data`.
    """
    return region_mask(read_regions(regions_path), wcs, image.shape) | no_data(image, weight, saturation)
