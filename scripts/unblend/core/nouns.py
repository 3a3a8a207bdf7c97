"""The nouns of the project, frozen. Positions are (y, x), 0-based, a pixel's centre on its integer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

NoiseOrigin = Literal["value", "map", "image"]
"""Where the noise of a band comes from: a number or a map that the user gave, or the scatter of the image."""


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of whole pixels, half open: rows y0 … y1−1, columns x0 … x1−1. May reach off the image."""

    y0: int
    x0: int
    y1: int
    x1: int

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> Box:
        """Return the box that covers an array of `shape` (ny, nx)."""
        return cls(0, 0, shape[0], shape[1])

    @classmethod
    def around(cls, y: float, x: float, half_size: float) -> Box:
        """Return the square of odd side that holds `half_size` pixels on each side of the pixel at (y, x)."""
        half, row, column = int(np.ceil(half_size)), round(y), round(x)
        return cls(row - half, column - half, row + half + 1, column + half + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns; zero where the box is empty."""
        return max(self.y1 - self.y0, 0), max(self.x1 - self.x0, 0)

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.y1 <= self.y0 or self.x1 <= self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an image that starts at (0, 0); the box must lie inside it."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Index of this box in an array whose first pixel is the first pixel of `outer`."""
        return self.shifted(-outer.y0, -outer.x0).slices

    def __and__(self, other: Box) -> Box:
        """Intersection; empty where the boxes do not meet."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        return Box(y0, x0, max(min(self.y1, other.y1), y0), max(min(self.x1, other.x1), x0))

    def __or__(self, other: Box) -> Box:
        """Smallest box that holds both."""
        return Box(min(self.y0, other.y0), min(self.x0, other.x0), max(self.y1, other.y1), max(self.x1, other.x1))

    def __contains__(self, other: Box) -> bool:
        """Whether `other` lies wholly inside."""
        return self.y0 <= other.y0 and self.x0 <= other.x0 and other.y1 <= self.y1 and other.x1 <= self.x1

    def overlaps(self, other: Box) -> bool:
        """Whether the boxes share a pixel."""
        return not (self & other).is_empty

    def shifted(self, dy: int, dx: int) -> Box:
        """Return the box moved by whole pixels."""
        return Box(self.y0 + dy, self.x0 + dx, self.y1 + dy, self.x1 + dx)

    def grown(self, margin: int) -> Box:
        """Return the box with `margin` pixels more on every side."""
        return Box(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)


def cut(array: np.ndarray, box: Box, fill: float | bool, *, outer: Box | None = None) -> np.ndarray:
    """Return the pixels in `box` of an array that covers `outer` (without it: starts at (0, 0)); beyond it `fill`."""
    outer = Box.of_shape(array.shape) if outer is None else outer
    common = outer & box
    result = np.full(box.shape, fill, dtype=array.dtype)
    result[common.within(box)] = array[common.within(outer)]
    return result


@dataclass(frozen=True)
class Psf:
    """A point-spread function of unit sum.

    Parameters
    ----------
    data : array (ny, nx) float64
        Light per PSF pixel; any size, even or odd.
    centre : (y, x)
        Position of the centroid in `data`: templates take it as the position of the source.
    oversampling : float
        PSF pixels per image pixel, along each axis.
    kind : {"effective", "optical"}
        Whether `data` already holds the response of the image's pixel (measured PSFs do).
    original_sum : float
        Sum before normalisation.
    """

    data: np.ndarray
    centre: tuple[float, float]
    oversampling: float = 1.0
    kind: str = "effective"
    original_sum: float = 1.0


@dataclass(frozen=True)
class Model:
    """An un-convolved picture of one source on fine pixels.

    Parameters
    ----------
    data : array (ny, nx) float64
        Light per model pixel, finite, of positive sum.
    centre : (y, x)
        The pixel position in `data` that lies at `sky`.
    sky : (ra, dec)
        Degrees, ICRS, of the reference position.
    pixel_to_sky : array (2, 2)
        Arcsec on the tangent plane, rows (east, north), per model pixel, columns (y, x).
    total : float
        The light of the whole source in the units of `data`: more than `data.sum()` where the stamp cuts wings.
    pixel_integrated : bool
        Whether `data` is light integrated over each pixel (True) or point masses at pixel centres (a point source).
    """

    data: np.ndarray
    centre: tuple[float, float]
    sky: tuple[float, float]
    pixel_to_sky: np.ndarray
    total: float
    pixel_integrated: bool = True


@dataclass(frozen=True)
class Template:
    """The source `id` as a band sees it, of unit total flux: `data` lies at `box` of the band's image.

    `box` is clipped to the image; `coverage` is the fraction of the template's light inside it.
    """

    id: int
    box: Box
    data: np.ndarray
    coverage: float = 1.0


@dataclass(frozen=True)
class FitGroup:
    """Sources fitted together: `members` (the first, `main`, is the brightest) in the cutout `box`.

    `neighbours` are the mains of the groups whose light can reach the cutout.
    """

    main: int
    members: tuple[int, ...]
    box: Box
    neighbours: tuple[int, ...] = field(default=())


@dataclass(frozen=True)
class Region:
    """A shape that encloses area, as drawn in DS9; plain numbers, so that reading a file imports nothing heavy.

    Parameters
    ----------
    kind : {"circle", "ellipse", "box", "polygon"}
        Circles and ellipses with an `inner` size are annuli.
    frame : str
        "image", "physical" (the pixels of the image that a cutout was taken from: LTM and LTV in its header), or the
        name of a sky frame of Astropy (icrs, fk5, fk4, galactic, barycentricmeanecliptic).
    points : tuple of pairs
        The centre, or the vertices of a polygon: (y, x), 0-based, in the frames "image" and "physical", else
        (longitude, latitude) in degrees.
    outer : pair of (value, unit), empty for a polygon
        Semi-axes (half sides of a box) along `angle` and across it; the unit is "pixel", "physical" or
        "arcsec".
    inner : pair of (value, unit), empty where there is no hole
        The same for the hole of an annulus.
    angle : float
        Degrees, counter-clockwise from the x axis; on the sky from west through north, as DS9 has it.
    sector : (start, stop) or None
        Degrees, the part of a panda, from the same axis; start < stop.
    include : bool
        False for a region that takes its area away from the others of its file.
    text : str
        The label that the user gave.
    line : int
        Line number in the file, 1-based; 0 for a region that comes from no file.
    """

    kind: str
    frame: str
    points: tuple[tuple[float, float], ...]
    outer: tuple[tuple[float, str], ...] = ()
    inner: tuple[tuple[float, str], ...] = ()
    angle: float = 0.0
    sector: tuple[float, float] | None = None
    include: bool = True
    text: str = ""
    line: int = 0


@dataclass(frozen=True)
class Footprint:
    """The pixels of one region: `inside` (bool) lies at `box` of the image, which is empty off the image."""

    region: Region
    box: Box
    inside: np.ndarray
