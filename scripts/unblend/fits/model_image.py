"""Draw the model image of a fit: Sersic profiles by exact integration, all other functions with IMFIT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import pixel_to_sky, sky_jacobian
from ..core.types import Model
from ..models.detail import deconvolved
from ..models.rendering import point_model, sersic_model, stamp_half_size
from .fit_psf import as_psf
from .imfit import draw_functions
from .imfit_config import Block
from .residual import OwnResidual
from .result import MemberFit, function_flux

if TYPE_CHECKING:
    from astropy.wcs import WCS

STAMP_SCALE_LENGTHS = 10.0
"""Half side of the stamp of functions other than Sersic, in units of their largest length parameter. It contains
99.95 % of the flux of an exponential disc."""
MAX_HALF_SIZE = 1500
"""Maximum half side of such a stamp in model pixels."""


def model_of(
    member: MemberFit, wcs: WCS, oversampling: int, *, free_components: bool = False, coarse: bool = False
) -> Model:
    """Return the un-convolved model of a fitted source on pixels finer than those of the stack.

    Parameters
    ----------
    member : MemberFit
        The fit of the source.
    wcs : WCS
        World coordinates of the stack.
    oversampling : int
        Model pixels per detection pixel along each axis.
    free_components : bool
        The model is that of the first component, and the others are its detail; all together where the first or the
        others have no flux.
    coarse : bool
        Draw Sersic profiles in pixels of the stack, see `sersic_model`.

    Raises
    ------
    ValueError
        The model has no position, or its total flux is not positive.
    """
    parts = [replace(block, functions=(function,)) for block in member.blocks for function in block.functions]
    if free_components and len(parts) > 1:
        separate = [replace(member, blocks=tuple(blocks)) for blocks in (parts[:1], parts[1:])]
        if all(part.flux > 0 or math.isnan(part.flux) for part in separate):
            first, others = (model_of(part, wcs, oversampling) for part in separate)
            return replace(first, detail=replace(others, free=True))
    y, x = centre_of(member)
    ra, dec = pixel_to_sky(wcs, np.array([y]), np.array([x]))
    sky, jacobian = (float(ra[0]), float(dec[0])), sky_jacobian(wcs, y, x)
    drawn = [
        sersic_model(
            n=profile.n, r_e=profile.r_e, ell=profile.ell, pa=profile.pa, flux=profile.total_flux, sky=sky,
            pixel_to_sky=jacobian, oversampling=oversampling, coarse=coarse,
        )
        for profile in member.components
    ]  # fmt: skip
    if drawn:
        return drawn[0] if len(drawn) == 1 else _sum_of(drawn)
    functions = [function for block in member.blocks for function in block.functions]
    if [function.name for function in functions] == ["PointSource"]:
        return point_model(function_flux(functions[0]) or 0.0, sky, jacobian, oversampling)
    half = half_size_of(member.blocks, oversampling)
    shape, middle = (2 * half + 1, 2 * half + 1), (float(half), float(half))
    data = draw_functions(member.blocks, shape, oversampling, reference=(y, x), centre=middle)
    total = float(data.sum())
    if not total > 0:
        raise ValueError(f"the total flux of the model of source {member.id} is {total:g}; expected a positive flux")
    return Model(data, middle, sky, jacobian / oversampling, total)


def _sum_of(models: Sequence[Model]) -> Model:
    """Return the sum of models with the same centre and pixels, each of which lies in the middle of its stamp."""
    half = [max(int(model.centre[axis]) for model in models) for axis in (0, 1)]
    data = np.zeros((2 * half[0] + 1, 2 * half[1] + 1))
    for model in models:
        top, left = half[0] - int(model.centre[0]), half[1] - int(model.centre[1])
        data[top : top + model.data.shape[0], left : left + model.data.shape[1]] += model.data
    centre = (float(half[0]), float(half[1]))
    return replace(models[0], data=data, centre=centre, total=sum(model.total for model in models), shape=None)


def detail_of(residual: OwnResidual, wcs: WCS, psf: np.ndarray) -> Model:
    """Return the detail of a source: its residual, deconvolved from the PSF of the stack.

    Parameters
    ----------
    residual : OwnResidual
        The residual of the source.
    wcs : WCS
        World coordinates of the stack.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    """
    data, (top, left) = deconvolved(residual.data, as_psf(psf))
    row, column = (side // 2 for side in residual.data.shape)
    y, x = residual.box.y0 + row, residual.box.x0 + column
    ra, dec = pixel_to_sky(wcs, np.array([float(y)]), np.array([float(x)]))
    sky, centre = (float(ra[0]), float(dec[0])), (float(top + row), float(left + column))
    total = float(residual.data.sum())
    return Model(data, centre, sky, sky_jacobian(wcs, y, x), total, noise=residual.noise)


def centre_of(member: MemberFit) -> tuple[float, float]:
    """Return the position (y, x) of a source, which is that of its first block, in 0-based pixels of the stack.

    Raises
    ------
    ValueError
        The first block has no position.
    """
    first = member.blocks[0]
    if first.y0 is None or first.x0 is None:
        raise ValueError(f"the model of source {member.id} has no position")
    return first.y0.value, first.x0.value


def half_size_of(blocks: tuple[Block, ...], oversampling: int) -> int:
    """Return the half side in model pixels of a stamp that contains all functions."""
    half = 8.0 * oversampling
    for block in blocks:
        for function in block.functions:
            values = {p.name: p.value for p in function.parameters}
            if function.name == "Sersic":
                sides = stamp_half_size(values["n"], values["r_e"] * oversampling, values["ell"], values["PA"])
                half = max(half, *sides)
                continue
            lengths = [v for name, v in values.items() if name.startswith(("r_", "h", "sigma", "R_", "fwhm"))]
            half = max(half, STAMP_SCALE_LENGTHS * oversampling * max(lengths, default=0.0))
    return min(int(np.ceil(half)), MAX_HALF_SIZE)
