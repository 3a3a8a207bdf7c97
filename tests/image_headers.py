"""Headers of images with a plain celestial WCS."""

from __future__ import annotations

from typing import Any

from astropy.io import fits


def tan_header(**changes: Any) -> fits.Header:
    """Return a header without a pixel scale, with changed or additional cards."""
    header = fits.Header()
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 2.0, "CRPIX2": 1.5}
    header.update({**cards, **changes})
    return header


SCALE = 0.1 / 3600.0
CD = {"CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE}
