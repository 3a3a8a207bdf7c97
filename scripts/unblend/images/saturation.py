"""Saturated pixels: those above a level that the user gives, and flat tops where no level is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SATURATED = 2
"""Value of a saturated pixel in the mask of a band; other masked pixels are 1."""
FLATNESS = 1e-3
"""Largest difference of the pixels of a plateau over their height above the median of the image. The brightest 3 × 3
pixels of a Gaussian of FWHM 10 pixels differ by 5 %."""
BRIGHTEST, MOST_EQUAL, TIMES_OTHERS, MOST_ABOVE = 50, 6, 3, 2
"""The cores of several sources are cut at one level, each in a few pixels, if of this number of the brightest pixels at
least so many have exactly one value, so many times as many as any other value, and if at most so many are brighter.
Integers repeat near the maximum, too, but evenly."""
SIDE = 3
"""Side of the smallest square that a plateau contains."""


@dataclass(frozen=True)
class Plateau:
    """A flat top: its middle (0-based) and level, and the number of equal pixels that are connected."""

    y: int
    x: int
    level: float
    pixels: int


def is_saturated(image: np.ndarray, level: float | None) -> np.ndarray:
    """Return True where a pixel is at or above a level in image units; nowhere without a level or a finite value."""
    if level is None:
        return np.zeros(image.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(image >= level)


def find_plateau(image: np.ndarray) -> Plateau | None:
    """Return the plateau at the maximum of an image, or the level at which its brightest pixels are cut; else None.

    A plateau contains a square of 3 × 3 pixels that are equal within 0.1 % of their height above the median. The
    maximum is that of the least values in such squares, so that a single hot pixel does not hide a plateau.

    Parameters
    ----------
    image : array (ny, nx)
        NaN where masked.
    """
    return _largest_plateau(image) or _cut_cores(image)


def _cut_cores(image: np.ndarray) -> Plateau | None:
    """Return the level that many of the brightest pixels share, at its first pixel; None without one."""
    known = image[np.isfinite(image)]
    if known.size <= 2 * BRIGHTEST:
        return None
    values, counts = np.unique(np.partition(known, -BRIGHTEST)[-BRIGHTEST:], return_counts=True)
    k = int(np.argmax(counts))
    others = int(np.delete(counts, k).max(initial=0))
    above = int(counts[k + 1 :].sum())
    if counts[k] < max(MOST_EQUAL, TIMES_OTHERS * others) or above > MOST_ABOVE or not values[k] > np.median(known):
        return None
    rows, columns = np.nonzero(image == values[k])
    return Plateau(int(rows[0]), int(columns[0]), float(values[k]), rows.size)


def _largest_plateau(image: np.ndarray) -> Plateau | None:
    """Return the highest flat top of at least 3 × 3 pixels; None without one."""
    from scipy.ndimage import label, minimum_filter

    known = np.isfinite(image)
    if min(image.shape) < SIDE or not known.any():
        return None
    lowest = minimum_filter(np.where(known, image, -np.inf), SIDE, mode="constant", cval=-np.inf)
    y, x = (int(i) for i in np.unravel_index(np.argmax(lowest), image.shape))
    level = float(lowest[y, x])
    tolerance = FLATNESS * (level - float(np.median(image[known])))
    square = image[y - 1 : y + 2, x - 1 : x + 2]
    if not tolerance > 0 or square.size < SIDE**2 or not np.ptp(square) <= tolerance:
        return None
    areas, _ = label(known & (np.abs(np.where(known, image, -np.inf) - level) <= tolerance), np.ones((3, 3)))
    rows, columns = np.nonzero(areas == areas[y, x])
    return Plateau(round(rows.mean()), round(columns.mean()), level, rows.size)
