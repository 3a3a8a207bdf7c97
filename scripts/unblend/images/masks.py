"""Pixels inside regions, and the mask of a band.

Whether a pixel is inside a region on the sky is tested in the tangent plane around the centre of the region, with the
position of each pixel from the full WCS. Rotation, flips, oblong pixels and distortion then need no special case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core import coordinates
from ..core.celestial import unit_vectors
from ..core.errors import RegionError
from ..core.types import Box, Footprint, Region
from .region_frames import equatorial
from .unobserved import unobserved

if TYPE_CHECKING:
    from astropy.wcs import WCS

_LATTICE_STEP = 16
"""Spacing, in pixels, of the lattice of sky positions with which the part of an image near a region is found."""
_OUTLINE_STEP = 0.05
"""Spacing, in pixels, of the points on an outline. A pixel whose corner is cut by less than this may be missed."""
_SHRINK = 1.0 - 1e-9
"""Outlines are drawn smaller by this factor, so that an edge along the side of a pixel does not touch the next one."""
_OUTLINE_POINTS = 400_000
"""Largest number of points on an outline. Longer ones (circles of more than 3000 pixels) are sampled more coarsely."""
_PIXELS_AT_ONCE = 1_000_000
"""Pixels of which the positions on another image are in memory at a time."""
MAX_PAINTED_PER_PIXEL = 4
"""If growing a mask would paint more pixels than this per pixel of the image, a distance transform is faster."""
MAX_COVERED = 100_000_000
"""Pixels that the regions of one file may cover where the pixels of each region are needed: 0.1 GB and minutes."""
_PIXELS = {"image": "pixel", "physical": "physical"}


def region_mask(regions: Iterable[Region], wcs: WCS, shape: tuple[int, int], *, touch: bool = False) -> np.ndarray:
    """Return a bool array, True where the centre of a pixel is inside `regions` and not inside an excluded one.

    Parameters
    ----------
    regions : iterable of Region
        The regions of one file. The area of excluded regions (`-circle`) is removed from all others. Regions may lie
        partly or entirely outside the image.
    wcs : WCS
        WCS of the image.
    shape : (ny, nx)
        Shape of the image.
    touch : bool
        Include pixels that a region touches only partially.
    """
    image = _ImageGrid(wcs, shape)
    mask, holes = (np.zeros(shape, dtype=bool) for _ in range(2))
    full = {True: False, False: False}
    for region in regions:
        painted = mask if region.include else holes
        if not full[region.include]:
            image.paint(region, painted, touch=touch and region.include)
            full[region.include] = bool(painted.all())
    if full[False] or holes.any():
        mask &= ~holes
    return mask


def footprints(
    regions: Iterable[Region],
    wcs: WCS,
    shape: tuple[int, int],
    *,
    touch: bool = False,
    keep_small: bool = False,
    name: str = "regions",
) -> list[Footprint]:
    """Return the pixels of every included region, in the order of the file and without the excluded regions.

    Parameters
    ----------
    regions, wcs, shape, touch
        As in `region_mask`.
    keep_small : bool
        Include partially touched pixels for regions that contain no centre of a pixel.
    name : str
        Name of their file, for the error.

    Raises
    ------
    RegionError
        The regions cover more than `MAX_COVERED` pixels, and more than 4 times the image, all together.
    """
    image = _ImageGrid(wcs, shape)
    regions = list(regions)
    covered, image_size = 0, shape[0] * shape[1]
    for region in regions:
        box = image.box_of(_Plane.of(region, wcs))
        covered += box.shape[0] * box.shape[1]
        if covered > max(MAX_COVERED, 4 * image_size):
            raise RegionError(
                f"{name}, line {region.line}: the regions up to here cover {covered / image_size:.0f} times the image; "
                "expected regions about as large as the sources. Check their sizes: a number without a unit is in "
                "degrees."
            )
    holes = [image.footprint(region, touch=False) for region in regions if not region.include]
    result = []
    for region in (region for region in regions if region.include):
        footprint = image.footprint(region, touch=touch)
        if keep_small and not touch and not footprint.inside.any():
            footprint = image.footprint(region, touch=True)
        for hole in holes:
            common = footprint.box & hole.box
            if not common.is_empty:
                footprint.inside[common.within(footprint.box)] &= ~hole.inside[common.within(hole.box)]
        result.append(footprint)
    return result


def boxes_of(regions: Iterable[Region], wcs: WCS, shape: tuple[int, int]) -> list[Box]:
    """Return a box of the image that contains each region, larger than it by up to some tens of pixels.

    Empty for a region off the image. Parameters as in `region_mask`.
    """
    image = _ImageGrid(wcs, shape)
    return [image.box_of(_Plane.of(region, wcs)) for region in regions]


def circles(regions: Iterable[Region], wcs: WCS) -> list[tuple[float, float, float]]:
    """Return (y, x, radius) in pixels of a circle around each included region.

    Positions that cannot be projected on the image are NaN.
    """
    result = []
    for region in regions:
        if region.include:
            plane = _Plane.of(region, wcs)
            y, x = plane.to_pixel(np.zeros(1), np.zeros(1))
            radius = plane.reach * plane.pixels_per(plane.unit)
            result.append((float(y[0]), float(x[0]), radius))
    return result


def grow_mask(mask: np.ndarray, radius_pixels: float) -> np.ndarray:
    """Return `mask` with all pixels within `radius_pixels` of a masked pixel masked as well."""
    if radius_pixels <= 0 or not mask.any():
        return mask.copy()
    reach = int(radius_pixels)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = y**2 + x**2 <= radius_pixels**2
    y, x = y[inside], x[inside]
    grown = np.pad(mask, reach + 1)
    edge = grown.copy()
    edge[1:-1, 1:-1] &= ~(grown[:-2, 1:-1] & grown[2:, 1:-1] & grown[1:-1, :-2] & grown[1:-1, 2:])
    rims = np.flatnonzero(edge)
    if rims.size * y.size > MAX_PAINTED_PER_PIXEL * mask.size:
        from scipy.ndimage import distance_transform_edt

        return distance_transform_edt(~mask) <= radius_pixels
    # Draw a disc around every pixel at the rim of a masked area; discs around the inner pixels reach no further.
    for step in (y * grown.shape[1] + x).tolist():
        grown.ravel()[rims + step] = True
    return grown[reach + 1 : -reach - 1, reach + 1 : -reach - 1].copy()


def project_mask(mask: np.ndarray, wcs: WCS, target_wcs: WCS, target_shape: tuple[int, int]) -> np.ndarray:
    """Return a mask on another pixel grid.

    A pixel is masked if the centre of a masked pixel lies in it, or if its own centre lies in a masked pixel. So no
    masked area is lost between coarse and fine pixels.

    Parameters
    ----------
    mask : bool array (ny, nx)
    wcs, target_wcs : WCS
        WCS of the mask and of the target image.
    target_shape : (ny, nx)
    """
    y, x = np.nonzero(mask)
    if y.size == 0:
        return np.zeros(target_shape, dtype=bool)
    projected = sample_mask(target_wcs, target_shape, wcs, mask)
    ty, tx, _ = _pixels_on_grid(wcs, target_wcs, y, x, target_shape)
    projected[ty, tx] = True
    return projected


def sample_mask(wcs: WCS, shape: tuple[int, int], other_wcs: WCS, other: np.ndarray) -> np.ndarray:
    """Return the mask of another image at the centres of pixels.

    Parameters
    ----------
    wcs : WCS
    shape : (ny, nx)
        Shape of the result, on the grid of `wcs`.
    other_wcs : WCS
    other : bool array (ny, nx)
        Mask of the other image. Outside of it the result is False.
    """
    if coordinates.same_grid(wcs, shape, other_wcs, other.shape):
        return np.array(other, dtype=bool)
    result = np.zeros(shape, dtype=bool)
    for strip in Box.of_shape(shape).strips(max(1, _PIXELS_AT_ONCE // max(shape[1], 1))):
        y, x = np.indices(strip.shape).reshape(2, -1)
        at_y, at_x, kept = _pixels_on_grid(wcs, other_wcs, y + strip.y0, x, other.shape)
        result[strip.slices].reshape(-1)[kept] = other[at_y, at_x]
    return result


def band_mask(
    image: np.ndarray, *, weight: np.ndarray | None = None, regions: Mapping[str, np.ndarray] | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the mask of a band (True = ignored) and the number of pixels for each reason.

    Parameters
    ----------
    image : array (ny, nx)
        Non-finite and unobserved pixels (see `unobserved`) are masked.
    weight : array (ny, nx), optional
        Inverse variance; pixels of zero, negative or non-finite weight are masked.
    regions : mapping of name to bool array, optional
        For instance {"border": ..., "bad": ...}, from `region_mask`.

    Returns
    -------
    mask : array (ny, nx) bool
    counts : dict
        Number of pixels for each name of `regions`, "not finite", "not observed", "zero weight", "masked" (for any
        reason) and "pixels" (all). A pixel masked for several reasons is counted for each.
    """
    reasons = dict(regions or {})
    reasons["not finite"] = ~np.isfinite(image)
    reasons["not observed"] = unobserved(image)
    if weight is not None:
        reasons["zero weight"] = ~(np.isfinite(weight) & (weight > 0))
    mask = np.zeros(image.shape, dtype=bool)
    for reason in reasons.values():
        mask |= reason
    counts = {name: int(np.count_nonzero(reason)) for name, reason in reasons.items()}
    return mask, counts | {"masked": int(np.count_nonzero(mask)), "pixels": mask.size}


def _pixels_on_grid(
    wcs: WCS, target_wcs: WCS, y: np.ndarray, x: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels (y, x) of the target that contain the positions, and which positions are inside it."""
    ty, tx = coordinates.to_grid(wcs, target_wcs, y, x)
    kept = np.isfinite(ty) & np.isfinite(tx)
    kept &= (ty > -0.5) & (ty < shape[0] - 0.5) & (tx > -0.5) & (tx < shape[1] - 0.5)
    return np.rint(ty[kept]).astype(int), np.rint(tx[kept]).astype(int), kept


@dataclass(frozen=True)
class _Plane:
    """Coordinates (p, q) in which a region has its nominal shape: pixels or physical (x, y), or arcsec (west, north).

    `turn` is the angle, in degrees, of the north of the frame of the region in ICRS.
    """

    region: Region
    wcs: WCS
    centre: tuple[float, float]
    turn: float
    vertices: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, region: Region, wcs: WCS) -> _Plane:
        first, second = (np.array(column) for column in zip(*region.points, strict=True))
        if region.frame in _PIXELS:
            centre = float(first.mean()), float(second.mean())
            return cls(region, wcs, centre, 0.0, (second - centre[1], first - centre[0]))
        ra, dec, turn = equatorial(region.frame, first, second)
        # The mean of unit vectors is also right for a polygon across RA = 0.
        vectors = unit_vectors(ra, dec).mean(axis=0)
        centre = (
            float(np.rad2deg(np.arctan2(vectors[1], vectors[0]))),
            float(np.rad2deg(np.arctan2(vectors[2], np.hypot(vectors[0], vectors[1])))),
        )
        east, north = coordinates.offset_arcsec(ra, dec, *centre)
        return cls(region, wcs, centre, turn, (-east, north))

    @property
    def on_sky(self) -> bool:
        return self.region.frame not in _PIXELS

    @property
    def unit(self) -> str:
        """Unit of (p, q)."""
        return _PIXELS.get(self.region.frame, "arcsec")

    def pixels_per(self, unit: str) -> float:
        """Return the size of a unit in image pixels at the centre."""
        if unit == "arcsec":
            return 1.0 / self.arcsec_per_pixel()
        return (
            float(np.sqrt(abs(np.linalg.det(coordinates.physical_transform(self.wcs)[0]))))
            if unit == "physical"
            else 1.0
        )

    def length(self, size: tuple[float, str]) -> float:
        """Return a size in the unit of (p, q), with the local pixel scale where a region mixes pixels and arcsec."""
        return size[0] if size[1] == self.unit else size[0] * self.pixels_per(size[1]) / self.pixels_per(self.unit)

    def arcsec_per_pixel(self) -> float:
        """Return the pixel scale at the centre, or at the reference pixel if the centre cannot be projected."""
        y, x = self.to_pixel(np.zeros(1), np.zeros(1))
        if np.isfinite([y[0], x[0]]).all():
            jacobian = coordinates.sky_jacobian(self.wcs, float(y[0]), float(x[0]))
            scale = float(np.sqrt(abs(np.linalg.det(jacobian))))
            if scale > 0:
                return scale
        return coordinates.pixel_scale(self.wcs)

    @property
    def reach(self) -> float:
        """Largest distance of the outline from the centre, in the unit of (p, q)."""
        if self.region.kind == "polygon":
            return float(np.hypot(*self.vertices).max())
        a, b = (self.length(size) for size in self.region.outer)
        return float(np.hypot(a, b)) if self.region.kind == "box" else max(a, b)

    def from_pixel(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (p, q) of pixel positions (y, x)."""
        if not self.on_sky:
            if self.unit == "physical":
                y, x = coordinates.pixel_to_physical(self.wcs, y, x)
            return x - self.centre[1], y - self.centre[0]
        ra, dec = coordinates.pixel_to_sky(self.wcs, y, x)
        east, north = coordinates.offset_arcsec(ra, dec, *self.centre)
        return -east, north

    def to_pixel(self, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixel positions (y, x) of points (p, q); NaN where they cannot be projected."""
        if not self.on_sky:
            y, x = q + self.centre[0], p + self.centre[1]
            return coordinates.physical_to_pixel(self.wcs, y, x) if self.unit == "physical" else (y, x)
        return coordinates.sky_to_pixel(self.wcs, *coordinates.offset_to_sky(-p, q, *self.centre))

    def contains(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Return whether points (p, q) are inside the region."""
        region = self.region
        if region.kind == "polygon":
            return _in_polygon(p, q, *self.vertices)
        angle = np.deg2rad(region.angle + self.turn)
        u, v = p * np.cos(angle) + q * np.sin(angle), q * np.cos(angle) - p * np.sin(angle)
        inside = self._within(u, v, region.outer)
        if region.inner:
            inside &= ~self._within(u, v, region.inner)
        if region.sector:
            inside &= self._in_sector(u, v)
        return inside

    def _within(self, u: np.ndarray, v: np.ndarray, sizes: tuple[tuple[float, str], ...]) -> np.ndarray:
        a, b = (self.length(size) for size in sizes)
        if a <= 0 or b <= 0:
            return np.zeros(u.shape, dtype=bool)
        if self.region.kind == "box":
            return (np.abs(u) <= a) & (np.abs(v) <= b)
        return (u / a) ** 2 + (v / b) ** 2 <= 1.0

    def _in_sector(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        assert self.region.sector is not None
        start, stop = self.region.sector
        # The `angle` of a circle is zero, but its sector is rotated with the frame.
        return (np.rad2deg(np.arctan2(v, u)) - start) % 360.0 <= stop - start

    def _cut_by_sector(self, u: np.ndarray, v: np.ndarray, reach: float, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the part of an outline in the sector, with the two straight edges of the sector."""
        assert self.region.sector is not None
        kept = self._in_sector(u, v)
        edge = np.linspace(0.0, 1.5 * reach, 2 + int(1.5 * reach / step))
        eu, ev = (np.concatenate([edge * turn(np.deg2rad(a)) for a in self.region.sector]) for turn in (np.cos, np.sin))
        on_edge = self._within(eu, ev, self.region.outer)
        if self.region.inner:
            on_edge &= ~self._within(eu, ev, self.region.inner)
        return np.concatenate([u[kept], eu[on_edge]]), np.concatenate([v[kept], ev[on_edge]])

    def outline(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield closely spaced points (p, q) along every line that bounds the region."""
        region = self.region
        # The scale at the centre is not used: far from the image a distortion polynomial can give any value.
        step = _OUTLINE_STEP * (coordinates.pixel_scale(self.wcs) if self.on_sky else 1.0 / self.pixels_per(self.unit))
        step = max(step, 8.0 * self.reach / _OUTLINE_POINTS)
        if region.kind == "polygon":
            yield _points_along(*self.vertices, step)
            return
        angle = np.deg2rad(region.angle + self.turn)
        for sizes in filter(None, (region.outer, region.inner)):
            a, b = (self.length(size) * _SHRINK for size in sizes)
            if region.kind == "box":
                u, v = _points_along(np.array([a, -a, -a, a]), np.array([b, b, -b, -b]), step)
            else:
                phase = np.linspace(0.0, 2.0 * np.pi, max(16, int(2.0 * np.pi * max(a, b) / step)))
                u, v = a * np.cos(phase), b * np.sin(phase)
            if region.sector:
                u, v = self._cut_by_sector(u, v, max(a, b), step)
            yield u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)


class _ImageGrid:
    """The pixel grid of an image, with a coarse lattice of sky positions that is computed once for all regions."""

    def __init__(self, wcs: WCS, shape: tuple[int, int]) -> None:
        self.wcs, self.shape = wcs, shape
        self.lattice: tuple[np.ndarray, np.ndarray, np.ndarray, float] | None = None

    def footprint(self, region: Region, *, touch: bool) -> Footprint:
        plane = _Plane.of(region, self.wcs)
        box = self.box_of(plane)
        if box.is_empty:
            return Footprint(region, box, np.zeros(box.shape, dtype=bool))
        y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1].astype(float)
        p, q = plane.from_pixel(y.ravel(), x.ravel())
        inside = plane.contains(p, q).reshape(box.shape)
        if touch:
            for p, q in plane.outline():
                y, x = plane.to_pixel(p, q)
                kept = np.isfinite(y) & np.isfinite(x)
                rows, columns = np.floor(y[kept] + 0.5).astype(int), np.floor(x[kept] + 0.5).astype(int)
                on = (rows >= box.y0) & (rows < box.y1) & (columns >= box.x0) & (columns < box.x1)
                inside[rows[on] - box.y0, columns[on] - box.x0] = True
        return Footprint(region, box, inside)

    def paint(self, region: Region, mask: np.ndarray, *, touch: bool) -> None:
        """Set the pixels of a region in `mask`; those that are set are not looked at again."""
        plane = _Plane.of(region, self.wcs)
        box = self.box_of(plane)
        part = mask[box.slices]
        if touch:
            part |= self.footprint(region, touch=True).inside
            return
        y, x = np.nonzero(~part)
        if y.size:
            p, q = plane.from_pixel(y + float(box.y0), x + float(box.x0))
            part[y, x] = plane.contains(p, q)

    def box_of(self, plane: _Plane) -> Box:
        """Return a box of the image that contains the region; empty if the region is outside the image."""
        if not plane.on_sky:
            (y,), (x,) = plane.to_pixel(np.zeros(1), np.zeros(1))
            stretch = (
                float(np.linalg.norm(coordinates.physical_transform(self.wcs)[0], 2))
                if plane.unit == "physical"
                else 1.0
            )
            return Box.around(float(y), float(x), stretch * plane.reach + 1.0) & Box.of_shape(self.shape)
        if self.lattice is None:
            self.lattice = self._sky_lattice()
        rows, columns, vectors, gap = self.lattice
        chord = np.linalg.norm(vectors - unit_vectors(*plane.centre), axis=-1)
        # Every pixel is within `gap` of its nearest node, which is at most half a step away along each axis.
        near = chord <= np.deg2rad(plane.reach / coordinates.ARCSEC_PER_DEG) + gap
        if not near.any():
            return Box(0, 0, 0, 0)
        hit_y, hit_x = rows[near.any(axis=1)], columns[near.any(axis=0)]
        box = Box(int(hit_y[0]), int(hit_x[0]), int(hit_y[-1]) + 1, int(hit_x[-1]) + 1)
        return box.grown(_LATTICE_STEP // 2) & Box.of_shape(self.shape)

    def _sky_lattice(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        rows, columns = (np.unique(np.append(np.arange(0, n, _LATTICE_STEP), n - 1)) for n in self.shape)
        y, x = (grid.ravel().astype(float) for grid in np.meshgrid(rows, columns, indexing="ij"))
        vectors = unit_vectors(*coordinates.pixel_to_sky(self.wcs, y, x)).reshape(len(rows), len(columns), 3)
        steps = [np.linalg.norm(np.diff(vectors, axis=axis), axis=-1) for axis in (0, 1)]
        # `gap` is half the diagonal of the largest cell, and one pixel for images of one row or column without cells.
        gap = 0.5 * sum(step.max() for step in steps if step.size)
        pixel = np.deg2rad(coordinates.pixel_scale(self.wcs, self.shape) / coordinates.ARCSEC_PER_DEG)
        return rows, columns, vectors, float(gap + pixel)


def _in_polygon(p: np.ndarray, q: np.ndarray, vertices_p: np.ndarray, vertices_q: np.ndarray) -> np.ndarray:
    """Return whether points are inside a polygon, from the number of edges that a ray towards +p crosses."""
    inside = np.zeros(p.shape, dtype=bool)
    for p0, q0, p1, q1 in zip(vertices_p, vertices_q, np.roll(vertices_p, -1), np.roll(vertices_q, -1), strict=True):
        if q0 != q1:
            inside ^= ((q0 > q) != (q1 > q)) & (p < (p1 - p0) * (q - q0) / (q1 - q0) + p0)
    return inside


def _points_along(corners_p: np.ndarray, corners_q: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return points at most `step` apart along the closed line through the corners."""
    pieces = []
    for p0, q0, p1, q1 in zip(corners_p, corners_q, np.roll(corners_p, -1), np.roll(corners_q, -1), strict=True):
        t = np.linspace(0.0, 1.0, 2 + int(np.hypot(p1 - p0, q1 - q0) / step))
        pieces.append((p0 + t * (p1 - p0), q0 + t * (q1 - q0)))
    return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])
