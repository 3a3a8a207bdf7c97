"""The light at the border of a PSF's stamp: wings that still fall, or a pedestal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma

INNER_RING, OUTER_RING = (0.60, 0.75), (0.85, 1.00)
"""Radii of the two rings that are compared, as fractions of the distance from the centre to the nearest border."""
SLOWEST_FALL = 2.0
"""Power of the radius with which the wings of a PSF fall at least: the aureole of the atmosphere falls as r⁻², light
diffracted by an aperture as r⁻³, the seeing as r⁻¹¹ᐟ³. What falls more slowly is not all wing."""
MIN_SHARE = 0.005
"""Share of the stamp's sum below which a pedestal is not mentioned: the fluxes are wrong by as much."""
MIN_SIGNIFICANCE = 4.0
"""Pedestal over its error. Spikes and rings of real wings change the medians of the two rings; in 56 PSFs of HST,
JWST, Spitzer and Subaru the largest value above 0 was 2.0."""
MIN_RING_PIXELS = 12
"""Fewest pixels in a ring: fewer tell nothing."""

LARGEST_BORDER_SHARE = 0.02
"""Largest share of the outermost pixels of a stamp in its sum: in 13 PSFs of HST, JWST, Spitzer, Subaru and MUSE it is
0.004 at most. Wings have light of the same order beyond the stamp."""
LARGEST_SUM_ERROR = 0.01
"""Largest error of the sum of a PSF from the noise of its pixels: in 19 PSFs of HST, JWST, Spitzer, Subaru and MUSE it
is 0.0006 at most."""


@dataclass(frozen=True)
class Pedestal:
    """A constant level under a PSF.

    Parameters
    ----------
    level : float
        In the units of the PSF's pixels; of a negative pedestal the least that it can be.
    share : float
        `level` times the number of pixels that are not 0, over the sum of the PSF.
    """

    level: float
    share: float


def find_pedestal(data: np.ndarray, centre: tuple[float, float]) -> Pedestal | None:
    """Return the pedestal of a PSF, None where the light at its border can be that of its wings.

    The medians of two rings are compared. Wings that fall with the radius at least as r⁻² leave less in the outer ring
    than (r_in / r_out)² times the inner one; a pedestal leaves more. Negative light in the outer ring is not a wing.

    Parameters
    ----------
    data : array (ny, nx)
        Finite, with a positive sum. Rows and columns of zeros at its edges are taken for padding.
    centre : (y, x)
        Centre of the PSF, 0-based.
    """
    rows, columns = np.indices(data.shape)
    radius = np.hypot(rows - centre[0], columns - centre[1])
    reach = _reach(data != 0, centre)
    inner, outer = ((radius >= low * reach) & (radius < high * reach) for low, high in (INNER_RING, OUTER_RING))
    if min(inner.sum(), outer.sum()) < MIN_RING_PIXELS:
        return None
    fall = float(np.median(radius[inner]) / np.median(radius[outer])) ** SLOWEST_FALL
    (near, near_error), (far, far_error) = _level(data[inner]), _level(data[outer])
    level, error = (far - fall * near) / (1.0 - fall), float(np.hypot(far_error, fall * near_error)) / (1.0 - fall)
    if far < 0:
        level, error = far, far_error
    elif level < 0:  # the wings fall faster
        return None
    share = level * np.count_nonzero(data) / float(data.sum())
    if abs(share) < MIN_SHARE or abs(level) <= MIN_SIGNIFICANCE * error:
        return None
    return Pedestal(level, share)


def border_share(data: np.ndarray) -> float:
    """Return the share of the outermost pixels in the sum of a PSF: large where a part of its light was cut off.

    Parameters
    ----------
    data : array (ny, nx)
        Finite, with a positive sum. Rows and columns of zeros at its edges are taken for padding.
    """
    (y0, y1), (x0, x1) = ((used[0], used[-1]) for used in (np.flatnonzero((data != 0).any(axis=k)) for k in (1, 0)))
    return 1.0 - float(data[y0 + 1 : y1, x0 + 1 : x1].sum() / data.sum())


def sum_error(data: np.ndarray, centre: tuple[float, float]) -> float:
    """Return the error of the sum of a PSF as a fraction of it, if the scatter of the pixels at its border is noise.

    Parameters
    ----------
    data, centre
        As for `find_pedestal`. The result is 0 where too few pixels are at the border.
    """
    rows, columns = np.indices(data.shape)
    radius, reach = np.hypot(rows - centre[0], columns - centre[1]), _reach(data != 0, centre)
    ring = (radius >= OUTER_RING[0] * reach) & (radius < OUTER_RING[1] * reach)
    if ring.sum() < MIN_RING_PIXELS:
        return 0.0
    return float(robust_sigma(data[ring]) * np.sqrt(np.count_nonzero(data)) / data.sum())


def _reach(filled: np.ndarray, centre: tuple[float, float]) -> float:
    """Return the distance from the centre to the nearest side of the box that holds all pixels that are not 0."""
    reach = np.inf
    for axis, middle in enumerate(centre):
        used = np.flatnonzero(filled.any(axis=1 - axis))
        reach = min(reach, middle - used[0] + 0.5, used[-1] - middle + 0.5)
    return reach


def _level(values: np.ndarray) -> tuple[float, float]:
    """Return the median of values and its error from their scatter."""
    return float(np.median(values)), 1.2533 * robust_sigma(values) / np.sqrt(values.size)
