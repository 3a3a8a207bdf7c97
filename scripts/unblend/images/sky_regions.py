"""Pixels as DS9 regions on the sky: what a person can load over any image of the field."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..core import coordinates
from ..core.nouns import Box, Region

if TYPE_CHECKING:
    from astropy.wcs import WCS


def sky_circle(wcs: WCS, y: float, x: float, radius_pixels: float, text: str = "") -> Region:
    """Return a circle, in arcsec and in the image's own system."""
    return sky_ellipse(wcs, y, x, (radius_pixels, radius_pixels), 0.0, text)


def sky_ellipse(wcs: WCS, y: float, x: float, axes_pixels: tuple[float, float], theta: float, text: str = "") -> Region:
    """Return an ellipse of these semi-axes, the first at `theta` degrees from image x, counter-clockwise.

    A circle where the axes are equal: of the area that it has in the image.
    """
    if axes_pixels[0] == axes_pixels[1]:
        scale = math.sqrt(abs(np.linalg.det(coordinates.sky_jacobian(wcs, y, x))))
        size = (axes_pixels[0] * scale, "arcsec")
        return Region("circle", coordinates.sky_system(wcs), _place(wcs, y, x), (size, size), text=text)
    sizes, angle = _on_sky(wcs, y, x, axes_pixels, theta)
    return Region("ellipse", coordinates.sky_system(wcs), _place(wcs, y, x), sizes, angle=angle, text=text)


def sky_box(wcs: WCS, box: Box, text: str = "") -> Region:
    """Return the outline of a box of pixels."""
    y, x = (box.y0 + box.y1 - 1) / 2.0, (box.x0 + box.x1 - 1) / 2.0
    halves = (box.x1 - box.x0) / 2.0, (box.y1 - box.y0) / 2.0
    sizes, angle = _on_sky(wcs, y, x, halves, 0.0)
    return Region("box", coordinates.sky_system(wcs), _place(wcs, y, x), sizes, angle=angle, text=text)


def _place(wcs: WCS, y: float, x: float) -> tuple[tuple[float, float], ...]:
    (ra,), (dec,) = coordinates.pixel_to_sky(wcs, np.array([y]), np.array([x]))
    return ((float(ra), float(dec)),)


def _on_sky(
    wcs: WCS, y: float, x: float, halves: tuple[float, float], theta: float
) -> tuple[tuple[tuple[float, str], ...], float]:
    """Return lengths in arcsec along `theta` and across it, and the angle from west through north."""
    turn = math.radians(theta)
    along = np.array([[math.sin(turn), math.cos(turn)], [math.cos(turn), -math.sin(turn)]])  # rows of (y, x)
    (east, north), across = along @ coordinates.sky_jacobian(wcs, y, x).T
    sizes = halves[0] * math.hypot(east, north), halves[1] * math.hypot(*across)
    return tuple((float(size), "arcsec") for size in sizes), math.degrees(math.atan2(north, -east))
