"""Point sources at positions measured in a band: its PSF of that place, at a sub-pixel position."""

from __future__ import annotations

import numpy as np

from ..core.coordinates import pixel_to_sky
from ..core.types import Box, Model, Template, cut
from .templates import Spectrum, TemplateEngine

_ITERATIONS = 3
"""Iterations of the position without a shift that varies over the image: it changes by 1e-3 of itself per pixel."""


def sky_of(engine: TemplateEngine, y: float, x: float) -> tuple[float, float]:
    """Return the sky position (ra, dec) in degrees whose source lies at a pixel (y, x) of the band, shift included.

    Parameters
    ----------
    engine : TemplateEngine
        Template engine of the band, with its shift.
    y, x : float
        0-based pixel.
    """
    y, x = y - engine.shift[0], x - engine.shift[1]
    at_y, at_x = y, x
    for _ in range(_ITERATIONS if engine.shift_field is not None else 0):
        dy, dx = engine.shift_field.at(at_y, at_x)  # type: ignore[union-attr]
        at_y, at_x = y - dy, x - dx
    ra, dec = pixel_to_sky(engine.wcs, np.array([at_y]), np.array([at_x]))
    return float(ra[0]), float(dec[0])


def point_at(engine: TemplateEngine, y: float, x: float) -> Model:
    """Return the model of a point source of unit flux at a pixel position (y, x) of the band.

    Parameters
    ----------
    engine : TemplateEngine
        Template engine of the band, with its shift.
    y, x : float
        0-based pixel.
    """
    return Model(np.ones((1, 1)), (0.0, 0.0), sky_of(engine, y, x), np.eye(2), 1.0, pixel_integrated=False)


def point_template(engine: TemplateEngine, source_id: int, y: float, x: float) -> Template:
    """Return the template of a point source.

    Parameters
    ----------
    engine : TemplateEngine
        Of the band.
    source_id : int
    y, x : float
        Pixel position in the band, 0-based.
    """
    return engine.template(source_id, point_at(engine, y, x))


def point_and_gradients(spectrum: Spectrum, shift: tuple[float, float], box: Box) -> np.ndarray:
    """Return a point source and its derivatives with respect to y and x on a box of the band, shape (3, ny, nx).

    Parameters
    ----------
    spectrum : Spectrum
        Transform of its template, see `TemplateEngine.spectrum`.
    shift : (dy, dx)
        Pixels by which it is shifted.
    box : Box
        Where the stamp does not reach, values are 0.
    """
    along_y, along_x = (-2j * np.pi * frequency for frequency in spectrum.frequencies)
    factors = (1.0, along_y[:, None], along_x[None, :])
    return np.array([cut(spectrum.stamp(shift, factor), box, 0.0, outer=spectrum.box) for factor in factors])
