"""Where the PSFs of a band hold, in pixels of its image: from what the files say in pixels or on the sky."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import (
    offset_arcsec,
    physical_to_pixel,
    physical_transform,
    pixel_to_physical,
    pixel_to_sky,
    sky_jacobian,
    sky_to_pixel,
)
from ..core.errors import InputError
from ..core.field_psf import Everywhere, NearestPoint, PixelGrid, Places, Polygons
from ..core.types import Region
from ..images.psf_nodes import sampled_psf
from ..images.region_frames import equatorial
from ..io.psf_files import Grid, Points, Polynomial, PsfFile
from ..io.psf_polygons import PsfPolygon

if TYPE_CHECKING:
    from astropy.wcs import WCS


def placed_psfs(
    file: PsfFile, wcs: WCS, shape: tuple[int, int], header: Mapping[str, object]
) -> tuple[np.ndarray, tuple[str, ...], Places]:
    """Return PSFs, their names, and where in the image they hold, for a file that says it.

    Parameters
    ----------
    file : PsfFile
    wcs, shape, header
        Of the band's image. Pixel positions of the file are those of the image from which it was cut, where its header
        tells (LTM and LTV, or CRPIX1A and CRPIX2A for SPHEREx).

    Returns
    -------
    images : array (n, ny, nx)
    names : tuple of str
    places : Places

    Raises
    ------
    InputError
        The image is turned or scaled against the pixels of a grid.
    """
    if file.places is None:
        return file.images, file.names, Everywhere()
    if isinstance(file.places, Points):
        return file.images, file.names, NearestPoint(_points(file.places, wcs, header))
    if isinstance(file.places, Grid):
        return file.images, file.names, _grid(file.places, wcs, file.names[0])
    polynomial = file.places
    y, x, images = sampled_psf(lambda row, column: _value(file.images, polynomial, wcs, row, column), shape)
    path = file.names[0].split(",")[0]
    names = tuple(f"{path} at x={column + 1:.0f} y={row + 1:.0f}" for row in y for column in x)
    return images, names, PixelGrid(y, x)


def _points(points: Points, wcs: WCS, header: Mapping[str, object]) -> np.ndarray:
    """Return the pixel positions (y, x) of points, shape (n, 2)."""
    first, second = np.asarray(points.values, dtype=float).T
    if points.frame == "sky":
        return _on_image(wcs, first, second)
    y, x = second - 1.0, first - 1.0
    if points.frame == "detector" and "CRPIX1A" in header and "CRPIX2A" in header:
        offsets = [float(header[f"CRPIX{axis}A"]) - 1.0 for axis in (2, 1)]  # type: ignore[arg-type]
        return np.column_stack([y + offsets[0], x + offsets[1]])
    return np.column_stack(physical_to_pixel(wcs, y, x))


def _grid(grid: Grid, wcs: WCS, name: str) -> PixelGrid:
    """Return a grid of the pixels from which the image was cut as one of the image's own pixels.

    Raises
    ------
    InputError
        The image is turned, flipped or scaled against these pixels.
    """
    matrix, offset = physical_transform(wcs)
    if not np.allclose(matrix, np.eye(2)):
        raise InputError(
            f"{name}: the grid of PSFs is one of the original pixels, and the image is rotated or scaled relative to "
            "them (LTM in its header). Use the original image, or give positions on the sky."
        )
    return PixelGrid(grid.y - 1.0 + offset[1], grid.x - 1.0 + offset[0])


def _value(coefficients: np.ndarray, polynomial: Polynomial, wcs: WCS, row: float, column: float) -> np.ndarray:
    """Return the PSF at a pixel position."""
    y, x = pixel_to_physical(wcs, np.array([row]), np.array([column]))
    return np.tensordot(polynomial.terms(float(x[0]) + 1.0, float(y[0]) + 1.0), coefficients, axes=1)


def polygon_places(polygons: Sequence[PsfPolygon], wcs: WCS, shape: tuple[int, int]) -> tuple[Polygons, list[int]]:
    """Return polygons in pixels of the image, and the PSFs that they name, in the order of their new indices.

    Parameters
    ----------
    polygons : sequence of PsfPolygon
    wcs, shape
        Of the band's image.
    """
    used = sorted({polygon.psf for polygon in polygons})
    lines = [(p.number, used.index(p.psf), _vertices(p.line, wcs, shape)) for p in polygons]
    return Polygons.of_lines(lines), used


def _vertices(region: Region, wcs: WCS, shape: tuple[int, int]) -> np.ndarray:
    """Return the vertices of a polygon as pixel positions (y, x), shape (k, 2)."""
    first, second = np.array(region.points, dtype=float).T
    if region.frame == "image":
        return np.column_stack([first, second])
    if region.frame == "physical":
        return np.column_stack(physical_to_pixel(wcs, first, second))
    ra, dec, _ = equatorial(region.frame, first, second)
    return _on_image(wcs, ra, dec, shape)


def _on_image(wcs: WCS, ra: np.ndarray, dec: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Return the pixel positions (y, x) of sky positions, shape (n, 2).

    Far from the image, where a distortion cannot be inverted, they are those of the tangent plane at its middle.
    """
    y, x = sky_to_pixel(wcs, ra, dec)
    lost = ~(np.isfinite(y) & np.isfinite(x))
    if lost.any():
        y0, x0 = (wcs.wcs.crpix[::-1] - 1.0) if shape is None else ((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0)
        (ra0,), (dec0,) = pixel_to_sky(wcs, np.array([y0]), np.array([x0]))
        east, north = offset_arcsec(ra[lost], dec[lost], float(ra0), float(dec0))
        steps = np.linalg.solve(sky_jacobian(wcs, float(y0), float(x0)), np.array([east, north]))
        y[lost], x[lost] = y0 + steps[0], x0 + steps[1]
    return np.column_stack([y, x])
