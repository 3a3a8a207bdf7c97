"""Saturated pixels: those at and above a level that the user gives, or at which the brightest pixels are cut.

A source whose core is cut off fits no model. What its model leaves would raise the level of the whole image, and every
other flux would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.strips import Strip, Workspace
from ..core.types import Box, WindowedImage

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
    """A flat top, or the level at which the brightest pixels are cut.

    Parameters
    ----------
    y, x : int
        One of its pixels, 0-based.
    level : float
        Value of its pixels.
    least : float
        Value from which on a pixel is saturated: a little less where the pixels are not exactly equal.
    pixels : int
        Number of saturated pixels in the image.
    """

    y: int
    x: int
    level: float
    least: float
    pixels: int


def is_saturated(image: np.ndarray, level: float | None) -> np.ndarray:
    """Return True where a pixel is at or above a level in image units; nowhere without a level or a finite value."""
    if level is None:
        return np.zeros(image.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(image >= level)


def find_plateau(
    image: WindowedImage, missing: WindowedImage | None = None, work: Workspace | None = None
) -> Plateau | None:
    """Return the plateau at the maximum of an image, or the level at which its brightest pixels are cut; else None.

    A plateau contains a square of 3 × 3 pixels that are equal within 0.1 % of their height above the median. The
    maximum is that of the least values in such squares, so that a single hot pixel does not hide a plateau.

    Parameters
    ----------
    image : image (ny, nx)
        NaN where masked.
    missing : bool image (ny, nx), optional
        True for other pixels that are not looked at.
    work : Workspace, optional
    """
    work = work or Workspace()

    def known(box: Box) -> np.ndarray:
        pixels = np.asarray(image[box.slices], dtype=float)
        return pixels if missing is None else np.where(missing[box.slices], np.nan, pixels)

    tops = _Tops(known, image.shape, work)
    found = tops.square() or tops.cut_cores()
    if found is None:
        return None
    y, x, level, least = found
    number = sum(int(is_saturated(known(strip.core), least).sum()) for strip in work.strips(image.shape))
    return Plateau(y, x, level, least, number)


class _Tops:
    """The brightest pixels of an image.

    Parameters
    ----------
    known : callable
        Returns the pixels of a box, NaN where they are not looked at.
    shape : (ny, nx)
    work : Workspace
    """

    def __init__(self, known: Callable[[Box], np.ndarray], shape: tuple[int, ...], work: Workspace) -> None:
        from scipy.ndimage import minimum_filter

        self._known, self._shape, self._work = known, shape, work
        self.number, self.brightest, self.highest = 0, np.zeros(0), (-np.inf, 0, 0)
        for strip in work.strips(shape, SIDE // 2):
            pixels = known(strip.wide)
            finite = np.isfinite(pixels)
            core = pixels[strip.inside][finite[strip.inside]]
            self.number += core.size
            self.brightest = _brightest(np.concatenate([self.brightest, _brightest(core)]))
            lowest = minimum_filter(np.where(finite, pixels, -np.inf), SIDE, mode="constant", cval=-np.inf)
            at = int(np.argmax(lowest[strip.inside]))
            y, x = np.unravel_index(at, strip.core.shape)
            here = (float(lowest[strip.inside].flat[at]), strip.core.y0 + int(y), int(x))
            self.highest = max(self.highest, here, key=lambda each: each[0])

    def square(self) -> tuple[int, int, float, float] | None:
        """Return the pixel, the level and the least value of the highest flat square; None if it is not flat."""
        level, y, x = self.highest
        if not np.isfinite(level):
            return None
        tolerance = FLATNESS * (level - self._median())
        square = self._known(Box(y - 1, x - 1, y + 2, x + 2))
        flat = tolerance > 0 and np.ptp(square) <= tolerance
        return (y, x, level, level - tolerance) if flat else None

    def cut_cores(self) -> tuple[int, int, float, float] | None:
        """Return the first pixel of the level that many of the brightest pixels share, and this level twice."""
        if self.number <= 2 * BRIGHTEST:
            return None
        values, counts = np.unique(self.brightest, return_counts=True)
        k = int(np.argmax(counts))
        others, above = int(np.delete(counts, k).max(initial=0)), int(counts[k + 1 :].sum())
        if counts[k] < max(MOST_EQUAL, TIMES_OTHERS * others) or above > MOST_ABOVE or not values[k] > self._median():
            return None
        for strip in self._work.strips(self._shape):
            rows, columns = np.nonzero(self._known(strip.core) == values[k])
            if rows.size:
                return strip.core.y0 + int(rows[0]), int(columns[0]), float(values[k]), float(values[k])
        return None

    def _median(self) -> float:
        """Return the median of the pixels, of a large image that of some of them."""

        def read(strip: Strip) -> tuple[np.ndarray, np.ndarray]:
            pixels = self._known(strip.core)
            return np.isfinite(pixels), pixels

        return float(np.median(self._work.gather(self._shape, read)[0]))


def _brightest(values: np.ndarray) -> np.ndarray:
    """Return the largest `BRIGHTEST` values, in any order."""
    return values if values.size <= BRIGHTEST else np.partition(values, -BRIGHTEST)[-BRIGHTEST:]
