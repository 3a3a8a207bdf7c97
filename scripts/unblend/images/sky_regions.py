"""Shapes in pixels as DS9 regions on the sky, which can be loaded on any image of the field."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..core import coordinates
from ..core.types import Box, Region

if TYPE_CHECKING:
    from astropy.wcs import WCS


def sky_circle(wcs: WCS, y: float, x: float, radius_pixels: float, text: str = "") -> Region:
    """Return a circle around a pixel position, in arcsec and in ICRS.

    Parameters
    ----------
    wcs : WCS
    y, x : float
        0-based pixel position.
    radius_pixels : float
    text : str
        Label of the region.
    """
    return sky_ellipse(wcs, y, x, (radius_pixels, radius_pixels), 0.0, text)


def sky_ellipse(wcs: WCS, y: float, x: float, axes_pixels: tuple[float, float], theta: float, text: str = "") -> Region:
    """Return an ellipse around a pixel position, or a circle of the same area on the sky if its axes are equal.

    Parameters
    ----------
    wcs : WCS
    y, x : float
        0-based pixel position.
    axes_pixels : pair of float
        Semi-axes.
    theta : float
        Angle of the first axis in degrees, counter-clockwise from image x.
    text : str
        Label of the region.
    """
    if axes_pixels[0] == axes_pixels[1]:
        scale = math.sqrt(abs(np.linalg.det(coordinates.sky_jacobian(wcs, y, x))))
        size = (axes_pixels[0] * scale, "arcsec")
        return Region("circle", "icrs", _sky_points(wcs, y, x), (size, size), text=text)
    sizes, angle = _arcsec_and_angle(wcs, y, x, axes_pixels, theta)
    return Region("ellipse", "icrs", _sky_points(wcs, y, x), sizes, angle=angle, text=text)


def sky_box(wcs: WCS, box: Box, text: str = "") -> Region:
    """Return the outline of a box of pixels.

    Parameters
    ----------
    wcs : WCS
    box : Box
    text : str
        Label of the region.
    """
    y, x = box.centre
    halves = (box.x1 - box.x0) / 2.0, (box.y1 - box.y0) / 2.0
    sizes, angle = _arcsec_and_angle(wcs, y, x, halves, 0.0)
    return Region("box", "icrs", _sky_points(wcs, y, x), sizes, angle=angle, text=text)


def _sky_points(wcs: WCS, y: float, x: float) -> tuple[tuple[float, float], ...]:
    (ra,), (dec,) = coordinates.pixel_to_sky(wcs, np.array([y]), np.array([x]))
    return ((float(ra), float(dec)),)


def _arcsec_and_angle(
    wcs: WCS, y: float, x: float, halves: tuple[float, float], theta: float
) -> tuple[tuple[tuple[float, str], ...], float]:
    """Return the lengths in arcsec along `theta` and perpendicular to it, and the angle from west through north."""
    turn = math.radians(theta)
    along = np.array([[math.sin(turn), math.cos(turn)], [math.cos(turn), -math.sin(turn)]])  # rows of (y, x)
    (east, north), across = along @ coordinates.sky_jacobian(wcs, y, x).T
    sizes = halves[0] * math.hypot(east, north), halves[1] * math.hypot(*across)
    return tuple((float(size), "arcsec") for size in sizes), math.degrees(math.atan2(north, -east))
