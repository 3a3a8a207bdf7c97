"""The exact model of a fit group: Sersic profiles and point sources from their transforms, other functions from IMFIT.

IMFIT subdivides the pixels of a steep core too coarsely and interpolates the PSF of a point source. The images here are
accurate to 1e-4 of the peak (`models.exact_images`), and their derivatives are analytic.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ..core.types import Box, cut
from ..models.exact_images import ExactImages
from ..models.sersic import Sersic, slope_of_ln_k_n, total_flux
from .covariance import derivatives, varied_indices
from .fit_psf import as_psf
from .imfit import SKY, Pixels, evaluate_blocks
from .imfit_config import Block, Function, Parameter

TABULATED_N = (0.1, 8.0)
"""Sersic indices for which the transform is tabulated."""

Terms = dict[str, np.ndarray]
"""Derivatives of an image by name of the parameter; X0 and Y0 are those of the centre."""


def is_exact(function: Function) -> bool:
    """Return whether a function is drawn exactly: a point source, or a Sersic profile in the range of the tables."""
    if function.name in ("PointSource", SKY):
        return True
    if function.name != "Sersic":
        return False
    return (
        all(TABULATED_N[0] <= n <= TABULATED_N[1] for n in _reach(function["n"]))
        and all(0.0 <= ell < 1.0 for ell in _reach(function["ell"]))
        and all(r_e > 0.0 for r_e in _reach(function["r_e"]))
    )


def is_exact_fit(blocks: Sequence[Block]) -> bool:
    """Return whether the exact model alone can fit the blocks: all are drawn exactly, and free shapes have limits."""
    functions = [function for block in blocks for function in block.functions]
    shapes = [f[name] for f in functions if f.name == "Sersic" for name in ("n", "ell", "r_e")]
    return all(map(is_exact, functions)) and all(p.fixed or p.upper is not None for p in shapes)


def draw_exactly(blocks: Sequence[Block], box: Box, psf: np.ndarray) -> np.ndarray:
    """Return the convolved image of the blocks in a box of the detection grid, functions drawn exactly where possible.

    Parameters
    ----------
    blocks : sequence of Block
        The model, positions in 0-based pixels of the detection image.
    box : Box
        The part of the detection grid to draw; may extend beyond the image.
    psf : array (odd, odd)
        PSF from `fit_psf`.

    Returns
    -------
    array (ny, nx)
        Flux per pixel, in the units of the image.
    """
    # the transforms are periodic: a source beside the box needs a box that contains it
    by_box: dict[Box, list[Block]] = {}
    for block in blocks:
        by_box.setdefault(_with_centre(box, block), []).append(block)
    image = np.zeros(box.shape)
    for wide, inside in by_box.items():
        nothing = np.zeros(wide.shape)
        drawn = ExactModel(Pixels(wide, nothing, nothing + 1.0, nothing > 0), psf).image(inside)
        image += cut(drawn, box, 0.0, outer=wide)
    return image


def _with_centre(box: Box, block: Block) -> Box:
    """Return the smallest box that contains `box` and the centre of the block."""
    if block.y0 is None or block.x0 is None:
        return box
    y, x = math.floor(block.y0.value), math.floor(block.x0.value)
    return Box(min(box.y0, y), min(box.x0, x), max(box.y1, y + 1), max(box.x1, x + 1))


def _reach(parameter: Parameter) -> list[float]:
    """Return the value of a parameter and, if it is free, its limits."""
    limits = () if parameter.fixed else (parameter.lower, parameter.upper)
    return [value for value in (parameter.value, *limits) if value is not None]


class ExactModel:
    """The model images of blocks on the pixels of a fit.

    Parameters
    ----------
    pixels : Pixels
        Image, error and mask.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    """

    def __init__(self, pixels: Pixels, psf: np.ndarray):
        self.pixels, self.psf = pixels, psf
        self._images = ExactImages(pixels.box, as_psf(psf))
        self._by_imfit = functools.lru_cache(maxsize=256)(lambda block: evaluate_blocks([block], pixels.box, psf))

    def image(self, blocks: Sequence[Block]) -> np.ndarray:
        """Return the image of the blocks, in flux per pixel, shape (ny, nx)."""
        image = np.zeros(self.pixels.image.shape)
        for block in blocks:
            exact, other = _divided(block)
            for function in exact.functions:
                image += self._drawn(exact, function, derivatives=False)[0]
            if other.functions:
                image += self._by_imfit(other)
        return image

    def linearise(
        self, blocks: Sequence[Block], extra: Collection[int] = ()
    ) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Linearise the model around its parameters, with the arguments and results of `covariance.linearise`."""
        pixels = self.pixels
        good, model = ~pixels.mask, np.zeros(pixels.image.shape)
        indices: list[int] = []
        jacobian, first = [], 0
        for block in blocks:
            own = varied_indices([block], [k - first for k in extra])
            rows = np.zeros((len(block.parameters), int(np.count_nonzero(good))))
            exact, other = _divided(block)
            for function in exact.functions:
                image, terms = self._drawn(exact, function)
                model += image
                for k in own:
                    if (name := _name_in(block, k, function)) in terms:
                        rows[k] += terms[name][good] / pixels.error[good]
            if other.functions:
                model += self._by_imfit(other)
                self._add_derivatives(rows, block, other, own)
            jacobian.append(rows[own])
            indices += [first + k for k in own]
            first += len(block.parameters)
        return indices, np.concatenate(jacobian), (pixels.image - model)[good] / pixels.error[good]

    def _drawn(self, block: Block, function: Function, *, derivatives: bool = True) -> tuple[np.ndarray, Terms]:
        """Return the image of one exact function, in flux per pixel, and its derivatives, or none of these."""
        if function.name == SKY:
            ones = np.ones(self.pixels.image.shape)
            return function["I_sky"].value * ones, {"I_sky": ones}
        if block.y0 is None or block.x0 is None:
            raise ValueError(f"a {function.name} function has no centre")
        y, x = block.y0.value, block.x0.value
        if function.name == "PointSource":
            unit, (by_y, by_x) = self._images.point(y, x)
            flux = function["I_tot"].value
            return flux * unit, {"Y0": flux * by_y, "X0": flux * by_x, "I_tot": unit}
        p = Sersic(y, x, *(parameter.value for parameter in function.parameters))
        unit, shape = self._images.sersic(p, derivatives=derivatives)
        flux = p.total_flux
        if not derivatives:
            return flux * unit, {}
        terms = dict(zip(("Y0", "X0", "PA", "ell", "n", "r_e"), flux * shape, strict=True))
        terms["ell"] -= flux / (1.0 - p.ell) * unit
        terms["n"] += flux * slope_of_ln_k_n(p.n) * unit
        terms["r_e"] += 2.0 * flux / p.r_e * unit
        return flux * unit, {**terms, "I_e": total_flux(p.n, p.r_e, p.ell, 1.0) * unit}

    def _add_derivatives(self, rows: np.ndarray, block: Block, other: Block, own: Collection[int]) -> None:
        """Add IMFIT's derivatives of the other functions of a block to the rows of its varied parameters."""
        places = [k for k in range(len(block.parameters)) if _is_of(block, k, other)]
        parameters = [replace(block.parameters[k], fixed=k not in own) for k in places]
        part = other.with_parameters(parameters)
        extra = [number for number, k in enumerate(places) if k in own]
        for row, number in zip(derivatives([part], self.pixels, self.psf, extra), extra, strict=True):
            rows[places[number]] += row


def _divided(block: Block) -> tuple[Block, Block]:
    """Return a block with the functions that are drawn exactly, and one with all others."""
    exact = tuple(f for f in block.functions if is_exact(f))
    return replace(block, functions=exact), replace(
        block, functions=tuple(f for f in block.functions if f not in exact)
    )


def _owner(block: Block, k: int) -> Function | None:
    """Return the function to which parameter `k` of a block belongs; None for the centre."""
    k -= len(block.parameters) - sum(len(f.parameters) for f in block.functions)
    for function in block.functions:
        if 0 <= k < len(function.parameters):
            return function
        k -= len(function.parameters)
    return None


def _name_in(block: Block, k: int, function: Function) -> str | None:
    """Return the name of parameter `k` if it is the centre or a parameter of the function."""
    owner = _owner(block, k)
    return block.parameters[k].name if owner is None or owner is function else None


def _is_of(block: Block, k: int, part: Block) -> bool:
    """Return whether parameter `k` of a block is the centre or belongs to one of the functions of `part`."""
    owner = _owner(block, k)
    return owner is None or any(owner is function for function in part.functions)
