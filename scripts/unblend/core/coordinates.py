"""World coordinates: pixel scales, tangent planes, the map from one pixel grid to another.

Positions are (y, x), 0-based. Sky positions are (ra, dec) in degrees, ICRS. Tangent-plane offsets are
(east, north) in arcsec. Every map is taken locally, from the full solution (rotation, shear, SIP included).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.wcs import WCS

    from .nouns import Box

ARCSEC_PER_DEG = 3600.0
INVERSION_TOLERANCE = 1e-6
"""Pixels, of the inversion of a distortion."""
LOST = 0.01
"""Pixels: an inversion that misses its position by more has not converged."""
GRID_TOLERANCE_PIXELS = 1e-3
"""Pixels: grids that agree this well all over are one grid, for what counts in whole pixels."""


def sky_system(wcs: WCS) -> str:
    """Return the system in which an image's world coordinates are given: icrs, fk5 or fk4.

    Astropy has filled RADESYS from EQUINOX where the header gives that alone.
    """
    system = wcs.wcs.radesys.strip().lower()
    return system if system in ("fk4", "fk5") else "icrs"


def set_physical_coordinates(wcs: WCS, matrix: np.ndarray, offset: np.ndarray) -> None:
    """Note on `wcs` the image's physical coordinates: 1-based image (x, y) = `matrix` @ physical + `offset`.

    They are IRAF's (LTM, LTV): the pixels of the image that a cutout was taken from. DS9 saves regions in them.
    """
    wcs.physical = np.asarray(matrix, dtype=float), np.asarray(offset, dtype=float)


def physical(wcs: WCS) -> tuple[np.ndarray, np.ndarray]:
    """Return (matrix, offset) of `set_physical_coordinates`; unity and zero where nothing is noted."""
    return getattr(wcs, "physical", (np.eye(2), np.zeros(2)))


def physical_to_pixel(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (y, x) of physical coordinates, both counted from 0."""
    matrix, offset = physical(wcs)
    at_x, at_y = matrix @ np.array([x + 1.0, y + 1.0]) + offset[:, None] - 1.0
    return at_y, at_x


def pixel_to_physical(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the physical coordinates (y, x) of pixel positions, both counted from 0."""
    matrix, offset = physical(wcs)
    at_x, at_y = np.linalg.solve(matrix, np.array([x + 1.0, y + 1.0]) - offset[:, None]) - 1.0
    return at_y, at_x


def pixel_to_sky(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (ra, dec) of the pixel positions, distortion included."""
    ra, dec = wcs.all_pix2world(np.atleast_1d(x), np.atleast_1d(y), 0)
    return ra, dec


def sky_to_pixel(wcs: WCS, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (y, x) of the sky positions.

    NaN where the position is behind the tangent plane, or where the inversion of the distortion does not converge
    (far off the image, where its polynomial grows without limit).
    """
    ra, dec = np.atleast_1d(ra), np.atleast_1d(dec)
    with warnings.catch_warnings():
        # Astropy warns where all positions are behind the tangent plane; the NaN says it.
        warnings.simplefilter("ignore", RuntimeWarning)
        x, y = wcs.all_world2pix(ra, dec, 0, quiet=True, tolerance=INVERSION_TOLERANCE)
        if wcs.has_distortion:
            off = np.hypot(*offset_arcsec(*pixel_to_sky(wcs, y, x), ra, dec))
            lost = ~(off < LOST * pixel_scale(wcs))
            x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
    return y, x


def to_grid(wcs: WCS, target_wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (y, x) on another image's grid, good to `GRID_TOLERANCE_PIXELS`; NaN as in `sky_to_pixel`.

    Positions on one grid are returned as they are: millions of pixels take two seconds through the sky.
    """
    if (
        y.size > 1000
        and _apart(wcs, target_wcs, (np.min(y), np.min(x)), (np.max(y), np.max(x))) < GRID_TOLERANCE_PIXELS
    ):
        return np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    return sky_to_pixel(target_wcs, *pixel_to_sky(wcs, y, x))


def same_grid(wcs: WCS, shape: tuple[int, ...], other: WCS, other_shape: tuple[int, ...]) -> bool:
    """Whether two images have the same pixels, to `GRID_TOLERANCE_PIXELS`."""
    return tuple(shape) == tuple(other_shape) and largest_offset(wcs, other, shape) < GRID_TOLERANCE_PIXELS


def largest_offset(wcs: WCS, other: WCS, shape: tuple[int, ...]) -> float:
    """Return how far apart, in pixels, two images of one shape have a pixel at most; NaN on other sides of the sky."""
    return _apart(wcs, other, (0, 0), (shape[0] - 1, shape[1] - 1))


def _apart(wcs: WCS, other: WCS, first: tuple[float, float], last: tuple[float, float]) -> float:
    """Return the largest offset of 21 × 21 positions (y, x) of one image, from `first` to `last`, on another."""
    lattice = np.meshgrid(*(np.linspace(*ends, 21) for ends in zip(first, last, strict=True)), indexing="ij")
    y, x = (axis.ravel() for axis in lattice)
    there_y, there_x = sky_to_pixel(other, *pixel_to_sky(wcs, y, x))
    return float(np.max(np.hypot(there_y - y, there_x - x)))


def offset_arcsec(
    ra: np.ndarray, dec: np.ndarray, ra0: float | np.ndarray, dec0: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gnomonic offset (east, north) in arcsec of (ra, dec) from the tangent point (ra0, dec0)."""
    dra = np.deg2rad(np.asarray(ra) - ra0)
    d, d0 = np.deg2rad(dec), np.deg2rad(dec0)
    cos_c = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(dra)
    east = np.cos(d) * np.sin(dra) / cos_c
    # cos(d0) sin(d) - sin(d0) cos(d) cos(dra), written without the cancellation of two numbers near one
    north = (np.sin(d - d0) + 2.0 * np.sin(d0) * np.cos(d) * np.sin(dra / 2.0) ** 2) / cos_c
    return np.rad2deg(east) * ARCSEC_PER_DEG, np.rad2deg(north) * ARCSEC_PER_DEG


def nearest(ra: np.ndarray, dec: np.ndarray, target: Mapping[str, float]) -> int:
    """Return the index of the position nearest to the target (ra, dec); all in degrees."""
    east, north = offset_arcsec(ra, dec, target["ra"], target["dec"])
    return int(np.argmin(np.hypot(east, north)))


def offset_to_sky(east: np.ndarray, north: np.ndarray, ra0: float, dec0: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (ra, dec) in degrees of gnomonic offsets (arcsec) from the tangent point: inverse of `offset_arcsec`."""
    xi, eta = np.deg2rad(np.asarray(east) / ARCSEC_PER_DEG), np.deg2rad(np.asarray(north) / ARCSEC_PER_DEG)
    d0 = np.deg2rad(dec0)
    across = np.cos(d0) - eta * np.sin(d0)
    ra = ra0 + np.rad2deg(np.arctan2(xi, across))
    dec = np.rad2deg(np.arctan2(np.sin(d0) + eta * np.cos(d0), np.hypot(xi, across)))
    return ra, dec


def sky_jacobian(wcs: WCS, y: float, x: float) -> np.ndarray:
    """Return the local matrix d(east, north)/d(y, x) in arcsec per pixel at a pixel position, shape (2, 2).

    Central differences over one pixel on the full solution: exact to 1e-8 for linear grids.
    """
    ys = y + np.array([0.0, 0.5, -0.5, 0.0, 0.0])
    xs = x + np.array([0.0, 0.0, 0.0, 0.5, -0.5])
    ra, dec = pixel_to_sky(wcs, ys, xs)
    east, north = offset_arcsec(ra, dec, float(ra[0]), float(dec[0]))
    return np.array([[east[1] - east[2], east[3] - east[4]], [north[1] - north[2], north[3] - north[4]]])


def pixel_scale(wcs: WCS, shape: tuple[int, ...] | None = None) -> float:
    """Return the pixel size in arcsec, the square root of a pixel's area, at the centre of the image.

    Without `shape`, at the reference pixel.
    """
    if shape is None:
        x, y = wcs.wcs.crpix - 1.0
    else:
        y, x = (shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0
    return float(np.sqrt(abs(np.linalg.det(sky_jacobian(wcs, y, x)))))


def axis_scales(wcs: WCS, y: float, x: float) -> tuple[float, float]:
    """Return the pixel size in arcsec along image Y and X at a pixel position."""
    jacobian = sky_jacobian(wcs, y, x)
    return float(np.hypot(*jacobian[:, 0])), float(np.hypot(*jacobian[:, 1]))


def shift_to_pixels(wcs: WCS, shift_arcsec: tuple[float, float], y: float, x: float) -> tuple[float, float]:
    """Return the shift (along image X, Y in arcsec, the order of the config) as (dy, dx) in pixels."""
    scale_y, scale_x = axis_scales(wcs, y, x)
    return shift_arcsec[1] / scale_y, shift_arcsec[0] / scale_x


def cut_wcs(wcs: WCS, box: Box) -> WCS:
    """Return the WCS of the part of the image that `box` covers (it may reach off the image)."""
    cut = wcs.deepcopy()
    cut.wcs.crpix = cut.wcs.crpix - [box.x0, box.y0]
    if cut.sip is not None:
        from astropy.wcs import Sip

        old = cut.sip
        cut.sip = Sip(old.a, old.b, old.ap, old.bp, cut.wcs.crpix)
    if hasattr(wcs, "physical"):
        matrix, offset = physical(wcs)
        set_physical_coordinates(cut, matrix, offset - [box.x0, box.y0])
    cut.pixel_shape = (box.shape[1], box.shape[0])
    return cut
