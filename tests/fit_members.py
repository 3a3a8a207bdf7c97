"""Fitted members of a group, and the world coordinates of the detection image in which they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.result import MemberFit

P = Parameter
SERSIC = Function("Sersic", (P("PA", 30.0), P("ell", 0.4), P("n", 1.5), P("I_e", 2.0), P("r_e", 3.0)))
POINT = Function("PointSource", (P("I_tot", 50.0),))


def stack_wcs() -> WCS:
    """Return the world coordinates: pixels of 0.06 arcsec, north up."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], [51.0, 41.0]
    wcs.wcs.cd = np.diag([-0.06, 0.06]) / 3600.0
    return wcs


def block(*functions: Function, y: float = 40.3, x: float = 49.8) -> Block:
    """Return a block of source 7 with these functions around (y, x), 0-based pixels."""
    return Block(P("Y0", y, error=0.02), P("X0", x, error=0.03), functions, 7)


def member(*blocks: Block, **more: Any) -> MemberFit:
    """Return source 7 with these blocks as its best model, its start values and its automatic ones."""
    return MemberFit(7, blocks, blocks, blocks, **more)
