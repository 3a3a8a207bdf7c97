"""The basic types, all frozen dataclasses. Positions are (y, x), 0-based, with integers at the centres of pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

NoiseOrigin = Literal["value", "map", "weights", "image"]
"""Origin of the noise of a band: an rms that the user gave; a map of the noise or variance, in the unit of the image; a
map of weights, such as exposure times, whose unit has no meaning; or the scatter measured on the image."""


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels, rows y0 to y1−1 and columns x0 to x1−1. It may extend beyond the image."""

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
        """Return a square box around a position.

        Parameters
        ----------
        y, x : float
            Position; the box is centred on its pixel.
        half_size : float
            Pixels on each side of the central one, rounded up. The side of the box is odd.
        """
        half, row, column = int(np.ceil(half_size)), round(y), round(x)
        return cls(row - half, column - half, row + half + 1, column + half + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns (ny, nx), zero where the box is empty."""
        return max(self.y1 - self.y0, 0), max(self.x1 - self.x0, 0)

    @property
    def is_empty(self) -> bool:
        """Whether the box contains no pixel."""
        return self.y1 <= self.y0 or self.x1 <= self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an image whose first pixel is (0, 0). The box must lie inside the image."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Return the index of this box in an array that covers the box `outer`."""
        return self.shifted(-outer.y0, -outer.x0).slices

    def __and__(self, other: Box) -> Box:
        """Return the intersection, which is empty if the boxes do not overlap."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        return Box(y0, x0, max(min(self.y1, other.y1), y0), max(min(self.x1, other.x1), x0))

    def __or__(self, other: Box) -> Box:
        """Return the smallest box that contains both."""
        return Box(min(self.y0, other.y0), min(self.x0, other.x0), max(self.y1, other.y1), max(self.x1, other.x1))

    def __contains__(self, other: Box) -> bool:
        """Return whether `other` lies entirely inside this box."""
        return self.y0 <= other.y0 and self.x0 <= other.x0 and other.y1 <= self.y1 and other.x1 <= self.x1

    def overlaps(self, other: Box) -> bool:
        """Return whether the boxes share a pixel."""
        return not (self & other).is_empty

    def shifted(self, dy: int, dx: int) -> Box:
        """Return the box shifted by whole pixels."""
        return Box(self.y0 + dy, self.x0 + dx, self.y1 + dy, self.x1 + dx)

    def grown(self, margin: int) -> Box:
        """Return the box enlarged by `margin` pixels on every side."""
        return Box(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)

    def strips(self, rows: int) -> list[Box]:
        """Return boxes of at most so many rows, and of the full width, from the first row to the last."""
        return [Box(y, self.x0, min(y + rows, self.y1), self.x1) for y in range(self.y0, self.y1, rows)]

    @property
    def centre(self) -> tuple[float, float]:
        """The position (y, x) of its middle, 0-based pixels."""
        return (self.y0 + self.y1 - 1) / 2.0, (self.x0 + self.x1 - 1) / 2.0

    def middle(self, side: int) -> Box:
        """Return the part of at most `side` × `side` pixels around the middle."""
        ny, nx = (min(length, side) for length in self.shape)
        y0, x0 = self.y0 + (self.shape[0] - ny) // 2, self.x0 + (self.shape[1] - nx) // 2
        return Box(y0, x0, y0 + ny, x0 + nx)

    def tiles(self, side: int) -> list[Box]:
        """Return boxes of at most `side` × `side` pixels that cover this one without overlap."""
        corners = [(y, x) for y in range(self.y0, self.y1, side) for x in range(self.x0, self.x1, side)]
        return [Box(y, x, y + side, x + side) & self for y, x in corners]


def cut(array: np.ndarray, box: Box, fill: float | bool, *, outer: Box | None = None) -> np.ndarray:
    """Return the pixels of an array inside a box.

    Parameters
    ----------
    array : array (ny, nx)
    box : Box
        May extend beyond the array.
    fill : number
        Value of the pixels outside the array.
    outer : Box, optional
        Box that the array covers. By default its first pixel is (0, 0).
    """
    outer = Box.of_shape(array.shape) if outer is None else outer
    common = outer & box
    result = np.full(box.shape, fill, dtype=array.dtype)
    result[common.within(box)] = array[common.within(outer)]
    return result


@dataclass(frozen=True)
class Psf:
    """A point-spread function (PSF).

    Parameters
    ----------
    data : array (ny, nx) float64
        Fraction of a point source's light per PSF pixel. The sides may be even or odd. The sum is 1, or less where the
        stamp is known to hold only a part of the light (`psf_sum: given`).
    centre : (y, x)
        Position of the centroid in `data`, which is placed on the position of a source.
    oversampling : float
        Number of PSF pixels per image pixel along each axis.
    kind : {"effective", "optical"}
        An effective PSF includes the response of the image pixel, as measured PSFs do; an optical one does not.
    original_sum : float
        Sum of the pixels of the user's file.
    """

    data: np.ndarray
    centre: tuple[float, float]
    oversampling: float = 1.0
    kind: str = "effective"
    original_sum: float = 1.0


@dataclass(frozen=True)
class SersicShape:
    """The shape of a Sersic profile on the pixels of a model, centred at the model's `centre`.

    Parameters
    ----------
    n, r_e, ell, pa : float
        Sersic index, half-light radius along the major axis in model pixels, ellipticity, position angle in degrees
        from +y towards −x.
    """

    n: float
    r_e: float
    ell: float
    pa: float


@dataclass(frozen=True)
class Model:
    """A model image of one source before convolution with a PSF, on fine pixels.

    Parameters
    ----------
    data : array (ny, nx) float64
        Flux per model pixel. All values are finite, and their sum is positive.
    centre : (y, x)
        Position in `data` that lies at `sky`.
    sky : (ra, dec)
        Sky position in degrees, ICRS.
    pixel_to_sky : array (2, 2)
        Jacobian d(east, north)/d(y, x) in the tangent plane, arcsec per model pixel.
    total : float
        Total flux of the source in the units of `data`. It exceeds `data.sum()` if the stamp truncates the wings.
    pixel_integrated : bool
        True if `data` is integrated over the pixels, False for point masses at pixel centres (a point source).
    detail : Model or None
        What this model leaves of the source, to be added to it: an image that may be negative, with any sum.
    noise : float
        Standard deviation of the sum of a detail, in the units of `data`.
    free : bool
        Whether this detail consists of the further components of a model, whose share of the flux is free in each band.
    shape : SersicShape or None
        The profile of which `data` is an image; None for any other model.
    """

    data: np.ndarray
    centre: tuple[float, float]
    sky: tuple[float, float]
    pixel_to_sky: np.ndarray
    total: float
    pixel_integrated: bool = True
    detail: Model | None = None
    noise: float = 0.0
    shape: SersicShape | None = None
    free: bool = False

    @property
    def flux(self) -> float:
        """Total flux of the source with its detail, in the units of `data`."""
        return self.total + (0.0 if self.detail is None else self.detail.total)

    @property
    def detail_noise(self) -> float:
        """Standard deviation of the sum of the detail, in the units of `data`; 0 without one."""
        return 0.0 if self.detail is None else self.detail.noise


@dataclass(frozen=True)
class ModelOutline:
    """A model without its pixels, which for all sources of a field would take gigabytes. Attributes as those of Model.

    Parameters
    ----------
    sky : (ra, dec)
        Degrees, ICRS.
    pixel_to_sky : array (2, 2)
        Jacobian d(east, north)/d(y, x), arcsec per model pixel.
    total, flux : float
        Total flux of the source without and with its detail, in the units of the model.
    detail_noise : float
        Standard deviation of the sum of the detail; 0 without one.
    """

    sky: tuple[float, float]
    pixel_to_sky: np.ndarray
    total: float
    flux: float
    detail_noise: float = 0.0


@dataclass(frozen=True)
class Template:
    """The model of a source convolved with the PSF of a band, for a total flux of 1, on the pixels of the band.

    Parameters
    ----------
    id : int
        ID of the source.
    box : Box
        Part of the band's image that `data` covers, clipped to the image.
    data : array (ny, nx)
        Flux per pixel.
    coverage : float
        Fraction of the stamp's flux inside the image.
    detail : array (ny, nx) or None
        The part of `data` that is detail of the model; None without one.
    detail_share : float
        Its share of the flux, also outside the image.
    detail_free : bool
        Whether the detail consists of components whose share is free.
    """

    id: int
    box: Box
    data: np.ndarray
    coverage: float = 1.0
    detail: np.ndarray | None = None
    detail_share: float = 0.0
    detail_free: bool = False

    @property
    def centroid(self) -> tuple[float, float]:
        """Centroid (y, x) of the absolute light, in pixels of the band's image."""
        light = np.abs(np.asarray(self.data, dtype=float))
        total = light.sum()
        rows, columns = np.arange(self.box.y0, self.box.y1), np.arange(self.box.x0, self.box.x1)
        return float(light.sum(axis=1) @ rows / total), float(light.sum(axis=0) @ columns / total)


@dataclass(frozen=True)
class FitGroup:
    """Sources that are fitted together.

    Parameters
    ----------
    main : int
        ID of the main source, the brightest member, after which the group is named.
    members : tuple of int
        IDs of the sources, the main source first, then in order of ID.
    box : Box
        Cutout of the detection image in which they are fitted.
    neighbours : tuple of int
        Main sources of the groups whose light can reach the cutout.
    """

    main: int
    members: tuple[int, ...]
    box: Box
    neighbours: tuple[int, ...] = field(default=())


class WindowedImage(Protocol):
    """An image of which windows are read: an array, an open file, or an image that is computed when it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, window: tuple[slice, slice], /) -> np.ndarray:
        """Return the pixels of a window."""


@dataclass(frozen=True)
class Region:
    """A shape drawn in DS9 that encloses an area.

    Parameters
    ----------
    kind : {"circle", "ellipse", "box", "polygon"}
        A shape with an `inner` size is an annulus.
    frame : str
        "image", "physical" (pixels of the image from which a cutout was taken, LTM and LTV in its header), or the name
        of a sky frame of Astropy (icrs, fk5, fk4, galactic, barycentricmeanecliptic).
    points : tuple of pairs
        The centre, or the vertices of a polygon: 0-based (y, x) in the frames "image" and "physical", otherwise
        (longitude, latitude) in degrees.
    outer : pair of (value, unit), empty for a polygon
        Semi-axes (for a box, half its sides) along `angle` and perpendicular to it; the unit is "pixel", "physical" or
        "arcsec".
    inner : pair of (value, unit), empty without a hole
        The same for the hole of an annulus.
    angle : float
        Degrees counter-clockwise from the x axis; on the sky from west through north, as in DS9.
    sector : (start, stop) or None
        Range of angles of a panda in degrees, from the same axis; start < stop.
    include : bool
        False for a region whose area is excluded from all others of its file.
    text : str
        Label given by the user.
    line : int
        1-based line number in the file; 0 for a region that was not read from a file.
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

    def moved(self, dy: float, dx: float) -> Region:
        """Return the region in an image whose pixels have other numbers: positions in its frame "image" are moved."""
        if self.frame != "image":
            return self
        return replace(self, points=tuple((y + dy, x + dx) for y, x in self.points))


@dataclass(frozen=True)
class Footprint:
    """The pixels of one region.

    Parameters
    ----------
    region : Region
    box : Box
        Part of the image that contains the region; empty if the region lies outside the image.
    inside : bool array (ny, nx)
        True for the pixels of `box` inside the region.
    """

    region: Region
    box: Box
    inside: np.ndarray
