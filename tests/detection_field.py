"""A field of Gaussian galaxies for the tests of the detection."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

SHAPE = (200, 220)


def make_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [110.0, 100.0]
    wcs.wcs.crval = [53.09, -27.84]
    wcs.wcs.cd = np.diag([-0.06, 0.06]) / 3600.0
    wcs.wcs.set()
    return wcs


def gaussian(y0: float, x0: float, flux: float, sigma: float, q: float = 1.0, theta: float = 0.0) -> np.ndarray:
    """Return an image of total `flux`; theta in degrees from x, counter-clockwise."""
    y, x = np.indices(SHAPE)
    c, s = np.cos(np.deg2rad(theta)), np.sin(np.deg2rad(theta))
    u, v = (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s
    return flux / (2 * np.pi * sigma**2 * q) * np.exp(-0.5 * (u**2 + (v / q) ** 2) / sigma**2)


SOURCES = [(40.3, 50.7, 900.0), (150.2, 60.1, 500.0), (60.6, 170.4, 300.0), (150.0, 165.0, 150.0), (100.0, 110.0, 12.0)]


def make_images(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    light = sum(gaussian(y, x, flux, 2.5) for y, x, flux in SOURCES)
    return {"a": 3.0 + light + rng.normal(size=SHAPE), "b": -1.0 + light + rng.normal(0.0, 2.0, size=SHAPE)}
