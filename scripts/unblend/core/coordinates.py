"""World coordinates: pixel scales, tangent planes and the transformation between pixel grids.

Pixel positions are (y, x), 0-based. Sky positions are (ra, dec) in degrees, ICRS, whatever the system of the image is
and whichever of its axes is the longitude. Offsets in the tangent plane are (east, north) in arcsec. All
transformations use the full WCS, including rotation, shear and SIP.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from .celestial import frame_of, from_icrs, to_icrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.wcs import WCS

    from .types import Box

ARCSEC_PER_DEG = 3600.0
INVERSION_TOLERANCE_PIXELS = 1e-6
"""The numerical inversion of a distorted WCS stops at this accuracy."""
MAX_INVERSION_ERROR_PIXELS = 0.01
"""The inversion has not converged if its result is off by more than this."""
GRID_TOLERANCE_PIXELS = 1e-3
"""Two pixel grids are taken as identical if they agree to this everywhere, well below the size of a pixel."""

DETECTION_GRID_TOLERANCE_PIXELS = 0.05
"""World coordinates of detection images that agree this well are those of one grid."""


def set_physical_coordinates(wcs: WCS, matrix: np.ndarray, offset: np.ndarray) -> None:
    """Attach the physical coordinates of an image to `wcs`.

    They are the pixels of the image from which a cutout was taken (IRAF's LTM and LTV); DS9 saves regions in them.

    Parameters
    ----------
    wcs : WCS
        Changed in place.
    matrix, offset : arrays (2, 2) and (2,)
        1-based image (x, y) = `matrix` @ physical (x, y) + `offset`.
    """
    wcs.physical = np.asarray(matrix, dtype=float), np.asarray(offset, dtype=float)


def physical_transform(wcs: WCS) -> tuple[np.ndarray, np.ndarray]:
    """Return (matrix, offset) as in `set_physical_coordinates`; the identity for an image without them."""
    return getattr(wcs, "physical", (np.eye(2), np.zeros(2)))


def physical_to_pixel(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel positions (y, x) of physical coordinates.

    Parameters
    ----------
    wcs : WCS
    y, x : arrays
        0-based physical coordinates.
    """
    matrix, offset = physical_transform(wcs)
    at_x, at_y = matrix @ np.array([x + 1.0, y + 1.0]) + offset[:, None] - 1.0
    return at_y, at_x


def pixel_to_physical(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 0-based physical coordinates (y, x) of 0-based pixel positions, the inverse of `physical_to_pixel`.

    Parameters
    ----------
    wcs : WCS
    y, x : arrays (n,)
    """
    matrix, offset = physical_transform(wcs)
    at_x, at_y = np.linalg.solve(matrix, np.array([x + 1.0, y + 1.0]) - offset[:, None]) - 1.0
    return at_y, at_x


def pixel_to_sky(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sky positions (ra, dec) of pixels in degrees, ICRS, including distortion.

    Parameters
    ----------
    wcs : WCS
    y, x : arrays
        0-based pixel positions.

    Returns
    -------
    ra, dec : arrays
        Degrees, ra from 0 to below 360, whatever CRVAL counts from.
    """
    ra, dec = to_icrs(frame_of(wcs), *_native_sky(wcs, y, x))
    ra = ra % 360.0
    return np.where(ra == 360.0, 0.0, ra), dec  # as -1e-17 becomes


def _native_sky(wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (longitude, latitude) of pixels in the system of the image."""
    axes = wcs.all_pix2world(np.atleast_1d(x), np.atleast_1d(y), 0)
    return axes[wcs.wcs.lng], axes[wcs.wcs.lat]


def sky_to_pixel(wcs: WCS, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel positions (y, x) of sky positions.

    Parameters
    ----------
    wcs : WCS
    ra, dec : arrays
        Degrees, ICRS.

    Returns
    -------
    y, x : arrays
        0-based; NaN for positions on the far side of the sky, and where the inversion of the distortion does not
        converge (far from the image, where its polynomial diverges).
    """
    return _native_pixel(wcs, *from_icrs(frame_of(wcs), np.atleast_1d(ra), np.atleast_1d(dec)))


def _native_pixel(wcs: WCS, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel positions (y, x) of positions in the system of the image, NaN as in `sky_to_pixel`."""
    axes = (longitude, latitude) if wcs.wcs.lng < wcs.wcs.lat else (latitude, longitude)
    with warnings.catch_warnings():
        # Astropy warns if no position can be projected; the returned NaN already tells it.
        warnings.simplefilter("ignore", RuntimeWarning)
        x, y = wcs.all_world2pix(*axes, 0, quiet=True, tolerance=INVERSION_TOLERANCE_PIXELS)
        if wcs.has_distortion:
            error_arcsec = np.hypot(*offset_arcsec(*_native_sky(wcs, y, x), longitude, latitude))
            failed = ~(error_arcsec < MAX_INVERSION_ERROR_PIXELS * pixel_scale(wcs))
            x, y = np.where(failed, np.nan, x), np.where(failed, np.nan, y)
    return y, x


def to_grid(wcs: WCS, target_wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel positions on the grid of another image.

    Where both images share one grid, many positions are returned unchanged: transforming millions of pixels through
    the sky takes two seconds.

    Parameters
    ----------
    wcs, target_wcs : WCS
        WCS of the image of the positions, and of the target.
    y, x : arrays
        0-based pixel positions.

    Returns
    -------
    y, x : arrays
        Accurate to `GRID_TOLERANCE_PIXELS`; NaN as in `sky_to_pixel`.
    """
    if (
        y.size > 1000
        and _largest_separation(wcs, target_wcs, (np.min(y), np.min(x)), (np.max(y), np.max(x))) < GRID_TOLERANCE_PIXELS
    ):
        return np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    return _through_sky(wcs, target_wcs, y, x)


def _through_sky(wcs: WCS, target_wcs: WCS, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel positions on the grid of another image; ICRS is needed only between different systems."""
    if frame_of(wcs) == frame_of(target_wcs):
        return _native_pixel(target_wcs, *_native_sky(wcs, y, x))
    return sky_to_pixel(target_wcs, *pixel_to_sky(wcs, y, x))


def same_grid(wcs: WCS, shape: tuple[int, ...], other: WCS, other_shape: tuple[int, ...]) -> bool:
    """Return whether two images share one pixel grid.

    Parameters
    ----------
    wcs, other : WCS
    shape, other_shape : (ny, nx)
        Their shapes must be equal, and their pixels must agree to `GRID_TOLERANCE_PIXELS`.
    """
    return tuple(shape) == tuple(other_shape) and largest_offset(wcs, other, shape) < GRID_TOLERANCE_PIXELS


def largest_offset(wcs: WCS, other: WCS, shape: tuple[int, ...]) -> float:
    """Return the largest separation, in pixels, between the same pixels of two images of the same shape.

    Parameters
    ----------
    wcs, other : WCS
    shape : (ny, nx)

    Returns
    -------
    float
        NaN if part of one image cannot be projected on the other.
    """
    return _largest_separation(wcs, other, (0, 0), (shape[0] - 1, shape[1] - 1))


def _largest_separation(wcs: WCS, other: WCS, first: tuple[float, float], last: tuple[float, float]) -> float:
    """Return the largest separation, in pixels, over 21 × 21 positions from `first` (y, x) to `last`."""
    lattice = np.meshgrid(*(np.linspace(*ends, 21) for ends in zip(first, last, strict=True)), indexing="ij")
    y, x = (axis.ravel() for axis in lattice)
    other_y, other_x = _through_sky(wcs, other, y, x)
    return float(np.max(np.hypot(other_y - y, other_x - x)))


def offset_arcsec(
    ra: np.ndarray, dec: np.ndarray, ra0: float | np.ndarray, dec0: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gnomonic offset (east, north), in arcsec, of sky positions from a tangent point.

    Parameters
    ----------
    ra, dec : arrays
        Positions in degrees.
    ra0, dec0 : float or array
        Tangent point in degrees.
    """
    dra = np.deg2rad(np.asarray(ra) - ra0)
    d, d0 = np.deg2rad(dec), np.deg2rad(dec0)
    cos_c = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(dra)
    east = np.cos(d) * np.sin(dra) / cos_c
    # This is cos(d0) sin(d) - sin(d0) cos(d) cos(dra), in a form that does not subtract nearly equal numbers.
    north = (np.sin(d - d0) + 2.0 * np.sin(d0) * np.cos(d) * np.sin(dra / 2.0) ** 2) / cos_c
    return np.rad2deg(east) * ARCSEC_PER_DEG, np.rad2deg(north) * ARCSEC_PER_DEG


def nearest(ra: np.ndarray, dec: np.ndarray, target: Mapping[str, float]) -> int:
    """Return the index of the position nearest to a target.

    Parameters
    ----------
    ra, dec : arrays
        Positions in degrees.
    target : mapping
        `ra` and `dec` in degrees.
    """
    east, north = offset_arcsec(ra, dec, target["ra"], target["dec"])
    return int(np.argmin(np.hypot(east, north)))


def offset_to_sky(east: np.ndarray, north: np.ndarray, ra0: float, dec0: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the sky positions (ra, dec) of gnomonic offsets, the inverse of `offset_arcsec`.

    Parameters
    ----------
    east, north : arrays
        Offsets in arcsec.
    ra0, dec0 : float
        Tangent point in degrees.
    """
    xi, eta = np.deg2rad(np.asarray(east) / ARCSEC_PER_DEG), np.deg2rad(np.asarray(north) / ARCSEC_PER_DEG)
    d0 = np.deg2rad(dec0)
    across = np.cos(d0) - eta * np.sin(d0)
    ra = ra0 + np.rad2deg(np.arctan2(xi, across))
    dec = np.rad2deg(np.arctan2(np.sin(d0) + eta * np.cos(d0), np.hypot(xi, across)))
    return ra, dec


def sky_jacobian(wcs: WCS, y: float, x: float) -> np.ndarray:
    """Return the local Jacobian d(east, north)/d(y, x) at a pixel position, in arcsec per pixel, shape (2, 2).

    It is computed by central differences over one pixel, which is accurate to 1e-8 for a WCS without distortion.

    Parameters
    ----------
    wcs : WCS
    y, x : float
        0-based pixel position.
    """
    ys = y + np.array([0.0, 0.5, -0.5, 0.0, 0.0])
    xs = x + np.array([0.0, 0.0, 0.0, 0.5, -0.5])
    ra, dec = pixel_to_sky(wcs, ys, xs)
    east, north = offset_arcsec(ra, dec, float(ra[0]), float(dec[0]))
    return np.array([[east[1] - east[2], east[3] - east[4]], [north[1] - north[2], north[3] - north[4]]])


def pixel_scale(wcs: WCS, shape: tuple[int, ...] | None = None) -> float:
    """Return the pixel scale in arcsec, the square root of the area of a pixel.

    It is taken at the centre of an image of `shape` (ny, nx), or without a shape at the reference pixel.
    """
    if shape is None:
        x, y = wcs.wcs.crpix - 1.0
    else:
        y, x = (shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0
    return float(np.sqrt(abs(np.linalg.det(sky_jacobian(wcs, y, x)))))


def axis_scales(wcs: WCS, y: float, x: float) -> tuple[float, float]:
    """Return the pixel scale in arcsec along image y and x.

    Parameters
    ----------
    wcs : WCS
    y, x : float
        0-based pixel position where the pixel scale is taken.
    """
    jacobian = sky_jacobian(wcs, y, x)
    return float(np.hypot(*jacobian[:, 0])), float(np.hypot(*jacobian[:, 1]))


def shift_to_pixels(wcs: WCS, shift_arcsec: tuple[float, float], y: float, x: float) -> tuple[float, float]:
    """Return an astrometric shift as (dy, dx) in pixels.

    Parameters
    ----------
    wcs : WCS
    shift_arcsec : (dx, dy)
        Shift along image x and y in arcsec, in the order of the configuration.
    y, x : float
        0-based pixel position where the pixel scale is taken.
    """
    scale_y, scale_x = axis_scales(wcs, y, x)
    return shift_arcsec[1] / scale_y, shift_arcsec[0] / scale_x


def cut_wcs(wcs: WCS, box: Box) -> WCS:
    """Return the WCS of the part of an image inside `box`, which may extend beyond the image."""
    cut = wcs.deepcopy()
    cut.wcs.crpix = cut.wcs.crpix - [box.x0, box.y0]
    if cut.sip is not None:
        from astropy.wcs import Sip

        old = cut.sip
        cut.sip = Sip(old.a, old.b, old.ap, old.bp, cut.wcs.crpix)
    if hasattr(wcs, "physical"):
        matrix, offset = physical_transform(wcs)
        set_physical_coordinates(cut, matrix, offset - [box.x0, box.y0])
    cut.pixel_shape = (box.shape[1], box.shape[0])
    return cut
