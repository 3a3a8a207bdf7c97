"""Whether the sources that a user gives lie on the light of the detection image, or beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.correlation import sums_of_products
from ..core.types import Box, WindowedImage

REACH_FWHM, MIN_REACH_PIXELS = 12.0, 24
"""Largest offset that is looked for along either axis, in FWHM of the PSF and in pixels, the larger of the two."""
MAX_SNR = 5.0
"""Larger S/N counts as this, so that no bright source decides."""
MIN_OFFSET_PIXELS = 2.0
"""Smallest offset that causes a warning: a pixel more or less can come from the filter with which a map was made."""
MAX_SHARE = 0.85
"""Largest share of the agreement at the best offset that sources beside the light have where they are."""
MIN_AGREEMENT = 1.5
"""Smallest mean S/N on the sources at the best offset: noise alone has 0.4, and seldom 1.4 on five sources."""
MIN_SOURCES = 5
"""Fewest sources that are compared: a single faint one agrees better with a bright neighbour than with itself."""
TOP = 0.02
"""Offsets agree as well as the best one if they lack less than this fraction of its height; their mean is taken."""
BLOCK = 1024
"""Side of the blocks whose correlations are added up, pixels."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of sources with the light of an image, as they are and where it is largest.

    Parameters
    ----------
    offset : (dy, dx)
        Pixels by which the sources would have to move.
    here, best, typical : float
        Mean S/N on the sources, cut at 0 and 5, without an offset, with this offset, and the median over all offsets.
    """

    offset: tuple[int, int]
    here: float
    best: float
    typical: float


def compare_with_light(covered: WindowedImage, snr: WindowedImage, fwhm_pixels: float) -> Agreement:
    """Return how well sources agree with the light of an image, and the offset at which they do best.

    It is the cross-correlation of the pixels of the sources with the S/N, cut at 0 and 5, for every offset up to 12
    FWHM along either axis.

    Parameters
    ----------
    covered : bool image (ny, nx)
        Pixels of the sources; at least one.
    snr : image (ny, nx)
        Smoothed S/N image; 0 where nothing is observed.
    fwhm_pixels : float
        FWHM of the PSF.
    """
    reach = max(MIN_REACH_PIXELS, int(np.ceil(REACH_FWHM * fwhm_pixels)))
    total, pixels = np.zeros((2 * reach + 1, 2 * reach + 1)), 0
    for block in Box.of_shape(covered.shape).tiles(BLOCK):
        own = covered[block.slices]
        if own.any():
            total += sums_of_products(_light(snr, block.grown(reach)), own.astype(float))
            pixels += int(np.count_nonzero(own))
    mean = total / pixels
    best, typical = float(mean.max()), float(np.median(mean))
    # bright sources agree over several pixels, since their S/N is cut
    rows, columns = np.nonzero(mean >= best - TOP * (best - typical))
    offset = round(float(rows.mean())) - reach, round(float(columns.mean())) - reach
    return Agreement(offset, float(mean[reach, reach]), best, typical)


def _light(snr: WindowedImage, box: Box) -> np.ndarray:
    """Return the S/N in a box, cut at 0 and `MAX_SNR`; 0 beyond the image."""
    result, known = np.zeros(box.shape), box & Box.of_shape(snr.shape)
    result[known.within(box)] = np.clip(snr[known.slices], 0.0, MAX_SNR)
    return result


def misplaced_warning(agreement: Agreement, names: str) -> str | None:
    """Return a warning of sources beside the light of the detection image, None where they agree with it.

    Parameters
    ----------
    agreement : Agreement
    names : str
        The user's files.
    """
    dy, dx = agreement.offset
    here, best = agreement.here - agreement.typical, agreement.best - agreement.typical
    if np.hypot(dy, dx) < MIN_OFFSET_PIXELS or agreement.best < MIN_AGREEMENT or here > MAX_SHARE * best:
        return None
    return (
        f"The sources of {names} lie beside the light of the detection images, which agrees with them best {dx:+d} "
        f"pixels along X and {dy:+d} pixels along Y from where they are (mean S/N {agreement.best:.1f} instead of "
        f"{agreement.here:.1f}): positions and fluxes will be wrong. Move them by that; if it makes no sense, check "
        "that they are of this field, and neither turned nor mirrored."
    )
