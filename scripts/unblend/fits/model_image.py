"""From fitted functions to a model image: Sersic profiles by exact integration, all others as IMFIT draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import pixel_to_sky, sky_jacobian
from ..core.nouns import Model
from ..models.rendering import point_model, sersic_model, stamp_half_size
from .imfit import draw_functions
from .imfit_config import Block
from .result import MemberFit, function_flux

if TYPE_CHECKING:
    from astropy.wcs import WCS

OTHER_RADII = 10.0
"""Half side of the stamp of functions that are not Sersic, in their largest length scale."""
MAX_HALF_SIZE = 1500
"""Model pixels: the longest half side of such a stamp."""


def model_of(member: MemberFit, wcs: WCS, oversampling: int) -> Model:
    """Return the un-convolved model of a fitted source on pixels `oversampling` times finer than the stack's.

    Raises
    ------
    ValueError
        The functions have no light at all.
    """
    y, x = centre_of(member)
    ra, dec = pixel_to_sky(wcs, np.array([y]), np.array([x]))
    sky, jacobian = (float(ra[0]), float(dec[0])), sky_jacobian(wcs, y, x)
    profile = member.sersic
    if profile is not None:
        return sersic_model(
            n=profile.n, r_e=profile.r_e, ell=profile.ell, pa=profile.pa, flux=profile.total_flux, sky=sky,
            pixel_to_sky=jacobian, oversampling=oversampling,
        )  # fmt: skip
    functions = [function for block in member.blocks for function in block.functions]
    if [function.name for function in functions] == ["PointSource"]:
        return point_model(function_flux(functions[0]) or 0.0, sky, jacobian, oversampling)
    half = half_size_of(member.blocks, oversampling)
    shape, middle = (2 * half + 1, 2 * half + 1), (float(half), float(half))
    data = draw_functions(member.blocks, shape, oversampling, reference=(y, x), centre=middle)
    total = float(data.sum())
    if not total > 0:
        raise ValueError(f"the functions of source {member.id} have the total light {total:g}: expected a positive one")
    return Model(data, middle, sky, jacobian / oversampling, total)


def centre_of(member: MemberFit) -> tuple[float, float]:
    """Return the position (y, x) of a source: that of its first function."""
    first = member.blocks[0]
    if first.y0 is None or first.x0 is None:
        raise ValueError(f"the model of source {member.id} has no position")
    return first.y0.value, first.x0.value


def half_size_of(blocks: tuple[Block, ...], oversampling: int) -> int:
    """Return the half side in model pixels of a stamp that holds all functions."""
    half = 8.0 * oversampling
    for block in blocks:
        for function in block.functions:
            named = {p.name: p.value for p in function.parameters}
            if function.name == "Sersic":
                sides = stamp_half_size(named["n"], named["r_e"] * oversampling, named["ell"], named["PA"])
                half = max(half, *sides)
                continue
            lengths = [v for name, v in named.items() if name.startswith(("r_", "h", "sigma", "R_", "fwhm"))]
            half = max(half, OTHER_RADII * oversampling * max(lengths, default=0.0))
    return min(int(np.ceil(half)), MAX_HALF_SIZE)
