"""The PSF of every place of a band: one PSF, or several with the places where each of them holds.

Places are pixel positions (y, x) of the band's image. A place has one PSF of the map, or a mean of several with weights
that add up to 1. Both the PSF and its Fourier transform at a place are the weighted sums of those of the map.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from .types import Psf

Weights = tuple[tuple[int, float], ...]
"""Index and weight of each PSF that contributes to a place; the weights add up to 1."""
MIN_WEIGHT = 1e-6
"""A PSF with a smaller weight does not contribute to a place."""


class Places(Protocol):
    """Where the PSFs of a map hold."""

    def weights(self, y: float, x: float) -> Weights:
        """Return the PSFs of a place with their weights."""

    def distance(self, y: float, x: float) -> float:
        """Return how far outside the map a place is, in pixels; 0 inside."""

    def moved(self, dy: float, dx: float) -> Places:
        """Return the places in an image in which all pixel positions are larger by (dy, dx)."""


@dataclass(frozen=True)
class Everywhere:
    """The place of a single PSF: the whole image."""

    def weights(self, y: float, x: float) -> Weights:
        """Return the only PSF."""
        return ((0, 1.0),)

    def distance(self, y: float, x: float) -> float:
        """Return 0."""
        return 0.0

    def moved(self, dy: float, dx: float) -> Everywhere:
        """Return the same."""
        return self


@dataclass(frozen=True)
class NearestPoint:
    """PSFs that hold around a point each: a place has the PSF of the nearest point.

    Parameters
    ----------
    points : array (n, 2)
        Pixel position (y, x) of each PSF.
    """

    points: np.ndarray

    def weights(self, y: float, x: float) -> Weights:
        """Return the PSF of the nearest point."""
        return ((int(np.argmin(np.hypot(self.points[:, 0] - y, self.points[:, 1] - x))), 1.0),)

    def distance(self, y: float, x: float) -> float:
        """Return the distance from the rectangle around the points and the areas in which the outermost ones hold.

        Each is taken to hold as far as the nearest other point of the most isolated one. Along an axis on which the
        points do not differ, the PSF does not change.
        """
        low, high = self.points.min(axis=0) - self._reach, self.points.max(axis=0) + self._reach
        beyond = np.maximum(np.maximum(low - (y, x), (y, x) - high), 0.0)
        return float(np.hypot(*np.where(np.ptp(self.points, axis=0) > 0, beyond, 0.0)))

    @cached_property
    def _reach(self) -> float:
        """The largest distance of a point from the nearest other one."""
        apart = np.hypot(*(self.points[:, None, :] - self.points[None, :, :]).transpose(2, 0, 1))
        nearest = np.where(apart > 0, apart, np.inf).min(axis=1)
        return float(np.max(nearest, initial=0.0, where=np.isfinite(nearest)))

    def moved(self, dy: float, dx: float) -> NearestPoint:
        """Return the points in an image in which all pixel positions are larger by (dy, dx)."""
        return NearestPoint(self.points + np.array([dy, dx]))


@dataclass(frozen=True)
class PixelGrid:
    """PSFs on a rectangular grid of pixel positions, with bilinear interpolation between them.

    Outside the grid the nearest place on its border counts, as in `photutils.psf.GriddedPSFModel`.

    Parameters
    ----------
    y, x : arrays (ny,), (nx,)
        Rows and columns of the grid, ascending. The PSF of row i and column j has the index i nx + j.
    """

    y: np.ndarray
    x: np.ndarray

    def weights(self, y: float, x: float) -> Weights:
        """Return the PSFs at the corners of the cell of the grid with their bilinear weights."""
        found = [
            (row * self.x.size + column, of_row * of_column)
            for row, of_row in _linear(self.y, y)
            for column, of_column in _linear(self.x, x)
        ]
        return tuple((index, weight) for index, weight in found if weight > MIN_WEIGHT)

    def distance(self, y: float, x: float) -> float:
        """Return the distance from the rectangle of the grid; along an axis with one point the PSF does not change."""
        axes = [(axis, at) for axis, at in ((self.y, y), (self.x, x)) if axis.size > 1]
        return float(np.hypot.reduce([max(axis[0] - at, at - axis[-1], 0.0) for axis, at in axes], initial=0.0))

    def moved(self, dy: float, dx: float) -> PixelGrid:
        """Return the grid in an image in which all pixel positions are larger by (dy, dx)."""
        return PixelGrid(self.y + dy, self.x + dx)


def _linear(axis: np.ndarray, at: float) -> list[tuple[int, float]]:
    """Return the indices of the two points of an axis around `at` with their weights; one of them at the ends."""
    if axis.size == 1 or at <= axis[0]:
        return [(0, 1.0)]
    if at >= axis[-1]:
        return [(axis.size - 1, 1.0)]
    low = int(np.searchsorted(axis, at, side="right")) - 1
    share = float((at - axis[low]) / (axis[low + 1] - axis[low]))
    return [(low, 1.0 - share), (low + 1, share)]


@dataclass(frozen=True)
class Polygons:
    """Polygons with the PSF that holds in each of them; outside of all, the PSF of the nearest polygon.

    Where polygons overlap, the first one counts. A polygon may consist of several closed lines: a place is inside where
    a ray from it crosses an odd number of its edges, so that an inner line is a hole.

    Parameters
    ----------
    owners : int array (m,)
        Index of the PSF of each polygon.
    numbers : int array (k,)
        Polygon to which each edge belongs.
    starts, ends : arrays (k, 2)
        Pixel positions (y, x) of the ends of the edges.
    """

    owners: np.ndarray
    numbers: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of_lines(cls, lines: list[tuple[int, int, np.ndarray]]) -> Polygons:
        """Return polygons from closed lines.

        Parameters
        ----------
        lines : list of (polygon, PSF, vertices)
            Number of the polygon and index of its PSF; array (k, 2) of pixel positions. The last vertex is joined to
            the first one, which may be repeated. All lines of a polygon have the same PSF.
        """
        owners = dict.fromkeys(number for number, _, _ in lines)
        owners.update({number: psf for number, psf, _ in lines})
        order = {number: k for k, number in enumerate(owners)}
        numbers = np.concatenate([np.full(len(line), order[number]) for number, _, line in lines])
        starts = np.concatenate([line for _, _, line in lines])
        ends = np.concatenate([np.roll(line, -1, axis=0) for _, _, line in lines])
        return cls(np.array(list(owners.values()), dtype=int), numbers, starts, ends)

    def weights(self, y: float, x: float) -> Weights:
        """Return the PSF of the polygon that contains a place, or else of the nearest one."""
        inside = np.flatnonzero(self._contains(y, x))
        number = inside[0] if inside.size else self.numbers[np.argmin(self._distances(y, x))]
        return ((int(self.owners[number]), 1.0),)

    def distance(self, y: float, x: float) -> float:
        """Return the distance from the nearest polygon, 0 inside one."""
        return 0.0 if self._contains(y, x).any() else float(self._distances(y, x).min())

    def moved(self, dy: float, dx: float) -> Polygons:
        """Return the polygons in an image in which all pixel positions are larger by (dy, dx)."""
        offset = np.array([dy, dx])
        return replace(self, starts=self.starts + offset, ends=self.ends + offset)

    def _contains(self, y: float, x: float) -> np.ndarray:
        """Return whether each polygon contains a place, from the number of edges that a ray towards +x crosses."""
        (y0, x0), (y1, x1) = self.starts.T, self.ends.T
        rising = np.where(y1 == y0, 1.0, y1 - y0)
        crossed = ((y0 > y) != (y1 > y)) & (x < x0 + (x1 - x0) * (y - y0) / rising)
        return np.bincount(self.numbers[crossed], minlength=self.owners.size) % 2 == 1

    def _distances(self, y: float, x: float) -> np.ndarray:
        """Return the distance of a place from every edge."""
        along, place = self.ends - self.starts, np.array([y, x]) - self.starts
        length2 = np.sum(along**2, axis=1)
        share = np.clip(np.sum(along * place, axis=1) / np.where(length2 > 0, length2, 1.0), 0.0, 1.0)
        return np.hypot(*(place - share[:, None] * along).T)


@dataclass(frozen=True)
class FieldPsf:
    """The PSF of a band at every place of its image.

    Parameters
    ----------
    psfs : tuple of Psf
        All of the same shape, oversampling and kind.
    places : Places
        Where they hold.

    Raises
    ------
    ValueError
        There is no PSF, or their shapes, oversampling or kinds differ.
    """

    psfs: tuple[Psf, ...]
    places: Places = field(default_factory=Everywhere)

    def __post_init__(self) -> None:
        """Check that the PSFs can be added."""
        kinds = {(psf.data.shape, psf.oversampling, psf.kind) for psf in self.psfs}
        if len(kinds) != 1:
            raise ValueError(f"expected PSFs of one shape, oversampling and kind, found {sorted(map(str, kinds))}")

    @classmethod
    def of(cls, psf: Psf | FieldPsf) -> FieldPsf:
        """Return a single PSF as that of the whole image; a map is returned as it is."""
        return psf if isinstance(psf, FieldPsf) else cls((psf,))

    def at(self, y: float, x: float) -> Psf:
        """Return the PSF at a pixel position (y, x), 0-based."""
        return self.mean(self.places.weights(y, x))

    def moved(self, dy: float, dx: float) -> FieldPsf:
        """Return the PSFs in an image in which all pixel positions are larger by (dy, dx)."""
        return replace(self, places=self.places.moved(dy, dx))

    def broadened(self, fraction: float) -> FieldPsf:
        """Return the PSFs with a FWHM larger by a fraction: on pixels larger by as much, with the same sum."""
        broader = (replace(psf, oversampling=psf.oversampling / (1.0 + fraction)) for psf in self.psfs)
        return replace(self, psfs=tuple(broader))

    def mean(self, weights: Weights) -> Psf:
        """Return the mean of PSFs with weights that add up to 1."""
        if len(weights) == 1:
            return self.psfs[weights[0][0]]
        chosen = [(self.psfs[index], weight) for index, weight in weights]
        centre = np.sum([np.array(psf.centre) * weight for psf, weight in chosen], axis=0)
        return Psf(
            data=np.sum([psf.data * weight for psf, weight in chosen], axis=0),
            centre=(float(centre[0]), float(centre[1])),
            oversampling=self.oversampling,
            kind=self.kind,
            original_sum=float(sum(psf.original_sum * weight for psf, weight in chosen)),
        )

    @property
    def oversampling(self) -> float:
        """Number of PSF pixels per image pixel along each axis."""
        return self.psfs[0].oversampling

    @property
    def kind(self) -> str:
        """Whether the response of the image pixel is included ("effective") or not ("optical")."""
        return self.psfs[0].kind

    @cached_property
    def sharpest(self) -> Psf:
        """The PSF with the highest peak for its light."""
        return max(self.psfs, key=_peak_share)

    @cached_property
    def broadest(self) -> Psf:
        """The PSF with the lowest peak for its light."""
        return min(self.psfs, key=_peak_share)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """Distance from the centre to the farthest border along y and x, in image pixels: that of the widest PSF."""
        reaches = [
            [max(c, side - 1 - c) / psf.oversampling for c, side in zip(psf.centre, psf.data.shape, strict=True)]
            for psf in self.psfs
        ]
        y, x = np.max(reaches, axis=0)
        return float(y), float(x)


def _peak_share(psf: Psf) -> float:
    return float(psf.data.max() / psf.data.sum())
