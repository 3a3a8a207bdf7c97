"""Run IMFIT on arrays through pyimfit: fits, covariance and model images of blocks of functions.

This module knows functions and pixels but no sources or groups. The same input always gives the same result to the
last bit: it does not depend on time, on the number of cores or on earlier fits in the process. Positions are 0-based
pixels of the detection image, and a `Box` gives the part of it that an array covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.types import Box
from .imfit_config import Block, Function, Parameter
from .imfit_loader import load_pyimfit, silence

SKY = "FlatSky"
"""IMFIT's function of the background level of a group."""
POINT_SOURCES = ("PointSource", "PointSourceRot")
"""IMFIT's functions that draw the PSF itself."""

BRIGHTNESS_PARAMETERS = frozenset({"I_e", "I_0", "I_b", "I_tot", "I_sky", "J_0", "J0_bar", "L_0", "A", "A_maj"})
"""Parameters of IMFIT's functions that scale with the units of the image (per pixel, or per pixel³)."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of a fit: finite `image`, `error` > 0 and `mask` (True = ignored), all of the shape of `box`.

    `smoothing` is the sigma in pixels of the Gaussian that describes the correlated noise; 0 for white noise.
    """

    box: Box
    image: np.ndarray
    error: np.ndarray
    mask: np.ndarray
    smoothing: float = 0.0

    @property
    def count(self) -> int:
        """Number of unmasked pixels."""
        return int(np.count_nonzero(~self.mask))


@dataclass(frozen=True)
class ImfitSolution:
    """Result of one run of IMFIT: best-fit `blocks` with IMFIT's own errors (0 where it gives none), chi2, effort."""

    blocks: tuple[Block, ...]
    chi2: float
    converged: bool
    solver: str
    evaluations: int


def sky_block(value: float, limit: float) -> Block:
    """Return the block of a flat sky, free within `value` ± `limit`."""
    return flat_sky(Parameter("I_sky", value, value - limit, value + limit))


def flat_sky(level: Parameter) -> Block:
    """Return the block of a flat sky with this level; its centre has no meaning."""
    return Block(Parameter("Y0", 0.0, fixed=True), Parameter("X0", 0.0, fixed=True), (Function(SKY, (level,)),))


def parameters_of(blocks: Sequence[Block]) -> list[Parameter]:
    """Return all parameters in IMFIT's order."""
    return [parameter for block in blocks for parameter in block.parameters]


def with_parameters(blocks: Sequence[Block], parameters: Sequence[Parameter]) -> tuple[Block, ...]:
    """Return the blocks with all parameters replaced, in IMFIT's order."""
    remaining = iter(parameters)
    return tuple(block.with_parameters([next(remaining) for _ in block.parameters]) for block in blocks)


def in_half_turn(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks with free position angles without limits in 0 … 180 degrees."""
    parameters = [
        replace(p, value=p.value % 180.0) if p.name == "PA" and p.lower is None and not p.fixed else p
        for p in parameters_of(blocks)
    ]
    return with_parameters(blocks, parameters)


def minimise(
    blocks: Sequence[Block], pixels: Pixels, psf: np.ndarray, *, ftol: float = 1e-6, solver: str = "LM"
) -> ImfitSolution | None:
    """Fit the blocks to the pixels by least squares; return None where IMFIT fails or its result is not finite.

    Parameters
    ----------
    blocks : sequence of Block
        Start values and limits. At least one parameter must have limits (the sky has), or IMFIT ignores `fixed`.
    pixels : Pixels
        Image, error and mask.
    psf : array (odd, odd)
        PSF at the pixels of the image, as `fit_psf` returns it.
    ftol : float
        Relative change of chi2 at which to stop.
    solver : {"LM", "NM"}
        Levenberg–Marquardt or Nelder–Mead.

    Raises
    ------
    ValueError
        A block has no centre, or the PSF has no positive sum.
    """
    start = with_parameters(blocks, [parameter.clipped() for parameter in parameters_of(blocks)])
    # IMFIT's solver takes absolute steps near 0 and does not move in units in which the noise is 1e-10. Dividing by a
    # power of two is exact, so that it changes no bit of a fit in ordinary units.
    unit = 2.0 ** round(math.log2(float(np.median(pixels.error[~pixels.mask]))))
    with silence():
        fitter = make_fitter(_in_units(start, unit), pixels.box, psf)
        fitter.loadData(pixels.image / unit, error=pixels.error / unit, mask=pixels.mask.astype(float))
        result = fitter.doFit(solver=solver, ftol=ftol)
    if "params" not in result or not np.all(np.isfinite(result.params)) or not math.isfinite(result.fitStat):
        return None
    units = np.array([unit if parameter.name in BRIGHTNESS_PARAMETERS else 1.0 for parameter in parameters_of(start)])
    values = _values_in_image(result.params * units, start, pixels.box)
    imfit_errors = np.zeros(len(values)) if result.paramErrs is None else np.nan_to_num(result.paramErrs, posinf=0.0)
    errors = imfit_errors * units
    best = [
        replace(parameter, value=float(value), error=float(error))
        for parameter, value, error in zip(parameters_of(start), values, errors, strict=True)
    ]
    blocks = in_half_turn(with_parameters(start, best))
    return ImfitSolution(blocks, float(result.fitStat), bool(result.fitConverged), solver, int(result.nFuncEvals))


def _in_units(blocks: Sequence[Block], unit: float) -> tuple[Block, ...]:
    """Return the blocks with all brightness parameters divided by `unit`."""
    scaled = [
        replace(
            p,
            value=p.value / unit,
            lower=None if p.lower is None else p.lower / unit,
            upper=None if p.upper is None else p.upper / unit,
        )
        if p.name in BRIGHTNESS_PARAMETERS
        else p
        for p in parameters_of(blocks)
    ]
    return with_parameters(blocks, scaled)


def psf_for(blocks: Sequence[Block], psf: np.ndarray) -> np.ndarray:
    """Return the PSF to fit the blocks with; it includes the pixel response if one of them is a point source.

    IMFIT integrates profiles over the pixel but draws the PSF itself for a point source, and it takes only one PSF.
    Next to a point source the pixel response is therefore in the profiles twice, which changes n by 6 % at r_e = 2
    pixels. Without it the residual of a star would be 5 % of its flux.
    """
    if not any(function.name in POINT_SOURCES for block in blocks for function in block.functions):
        return psf
    response = np.outer(*(np.sinc(np.fft.fftfreq(side)) for side in psf.shape))
    effective = np.fft.ifft2(np.fft.fft2(psf) * response).real
    return np.array(effective / effective.sum())


def make_fitter(blocks: Sequence[Block], box: Box, psf: np.ndarray | None, subsampling: bool = True) -> Any:
    """Return pyimfit's object for the blocks, with positions in 1-based pixels of the box.

    Parameters
    ----------
    blocks : sequence of Block
        The model, positions in 0-based pixels of the detection image.
    box : Box
        The part of the detection grid that the images cover.
    psf : array (odd, odd) or None
        PSF at the pixels of the image; None draws un-convolved images.
    subsampling : bool
        Let IMFIT integrate profiles over the pixels near their centre.

    Raises
    ------
    ValueError
        The PSF is not finite or has no positive sum, or a block has no centre. (IMFIT would fit without such a PSF.)
    """
    pyimfit = load_pyimfit()
    if psf is not None and not (np.all(np.isfinite(psf)) and psf.sum() > 0):
        raise ValueError(f"the PSF must be finite with a positive sum; the sum found is {psf.sum():g}")
    sets = []
    for number, block in enumerate(blocks):
        in_box = block.shifted(1.0 - box.y0, 1.0 - box.x0)
        if in_box.x0 is None or in_box.y0 is None:
            raise ValueError(f"block {number} has no centre; IMFIT needs X0 and Y0")
        functions = [_imfit_function(pyimfit, function) for function in in_box.functions]
        x0, y0 = (pyimfit.ParameterDescription(p.name, p.value, _limits(p), p.fixed) for p in (in_box.x0, in_box.y0))
        sets.append(pyimfit.FunctionSetDescription(f"set{number}", x0, y0, functions))
    description = pyimfit.ModelDescription(sets)
    used_psf = None if psf is None else psf_for(blocks, psf)
    return pyimfit.Imfit(description, psf=used_psf, maxThreads=1, subsampling=subsampling)


def _imfit_function(pyimfit: Any, function: Function) -> Any:
    """Return pyimfit's description of one function."""
    described = pyimfit.make_imfit_function(function.name)
    for parameter in function.parameters:
        getattr(described, parameter.name).setValue(parameter.value, _limits(parameter), parameter.fixed)
    return described


def _limits(parameter: Parameter) -> list[float] | None:
    """Return the limits in pyimfit's form."""
    if parameter.fixed or parameter.lower is None or parameter.upper is None:
        return None
    return [parameter.lower, parameter.upper]


def cutout_offsets(blocks: Sequence[Block], box: Box) -> np.ndarray:
    """Return the offset of each parameter from 0-based pixels of the image to 1-based pixels of the cutout."""
    shift = {"X0": 1.0 - box.x0, "Y0": 1.0 - box.y0}
    return np.array([shift.get(parameter.name, 0.0) for parameter in parameters_of(blocks)])


def _values_in_image(values: np.ndarray, blocks: Sequence[Block], box: Box) -> np.ndarray:
    """Return IMFIT's parameter vector with positions in pixels of the image; fixed values stay exactly as given."""
    in_image = np.asarray(values, dtype=float) - cutout_offsets(blocks, box)
    parameters = parameters_of(blocks)
    fixed = np.array([parameter.fixed for parameter in parameters])
    in_image[fixed] = [parameter.value for parameter in parameters if parameter.fixed]
    for k, parameter in enumerate(parameters):
        if parameter.lower is not None and parameter.upper is not None and not parameter.fixed:
            in_image[k] = min(max(in_image[k], parameter.lower), parameter.upper)
    return in_image


def evaluate_blocks(blocks: Sequence[Block], box: Box, psf: np.ndarray | None) -> np.ndarray:
    """Return IMFIT's image of the blocks in a box of the detection grid, convolved with the PSF if one is given.

    Parameters
    ----------
    blocks : sequence of Block
        The model, positions in 0-based pixels of the detection image.
    box : Box
        The part of the detection grid to draw; may extend beyond the image.
    psf : array (odd, odd) or None
        PSF at the pixels of the image.

    Returns
    -------
    array (ny, nx)
        Flux per pixel, in the units of the image.
    """
    if not blocks:
        return np.zeros(box.shape)
    with silence():
        image = make_fitter(blocks, box, psf).getModelImage(shape=box.shape)
    return np.array(image, dtype=float)


def draw_functions(
    blocks: Sequence[Block],
    shape: tuple[int, int],
    oversampling: int,
    *,
    reference: tuple[float, float],
    centre: tuple[float, float],
    subsamples: int = 3,
) -> np.ndarray:
    """Draw un-convolved functions on fine pixels, each the mean of `subsamples`² samples.

    Every sample is IMFIT's value at a point. The functions are drawn on detection pixels at each phase and
    interlaced, so that no parameter has to be rescaled and every function of IMFIT works. The flux of a point source
    is shared between the four nearest fine pixels, which conserves its flux and centroid.

    Parameters
    ----------
    blocks : sequence of Block
        Functions, positions in 0-based pixels of the detection image.
    shape : (ny, nx)
        Number of fine pixels.
    oversampling : int
        Fine pixels per detection pixel along each axis.
    reference : (y, x)
        Position on the detection image, 0-based, that lies at `centre`.
    centre : (y, x)
        Fine-pixel position, 0-based, of `reference`.
    subsamples : int
        Samples per fine pixel along each axis.

    Returns
    -------
    array (ny, nx)
        Flux per fine pixel, in the units of the image.
    """
    extended = [_without(block, POINT_SOURCES) for block in blocks]
    image = _interlaced([b for b in extended if b.functions], shape, oversampling, reference, centre, subsamples)
    for block in blocks:
        for function in block.functions:
            if function.name in POINT_SOURCES and block.y0 is not None and block.x0 is not None:
                y = centre[0] + (block.y0.value - reference[0]) * oversampling
                x = centre[1] + (block.x0.value - reference[1]) * oversampling
                _add_point(image, y, x, function["I_tot"].value)
    return image


def _without(block: Block, names: tuple[str, ...]) -> Block:
    """Return the block without the named functions."""
    return Block(block.y0, block.x0, tuple(f for f in block.functions if f.name not in names), block.id)


def _interlaced(
    blocks: list[Block],
    shape: tuple[int, int],
    oversampling: int,
    reference: tuple[float, float],
    centre: tuple[float, float],
    subsamples: int,
) -> np.ndarray:
    """Return the blocks averaged over the samples of each fine pixel, as flux per fine pixel."""
    if not blocks:
        return np.zeros(shape)
    phases = oversampling * subsamples
    rows, columns = (math.ceil(side / oversampling) for side in shape)
    samples = np.empty((rows, phases, columns, phases))
    grid, parameters = Box(0, 0, rows, columns), parameters_of(blocks)
    is_y, is_x = (np.array([parameter.name == name for parameter in parameters]) for name in ("Y0", "X0"))
    values = np.array([parameter.value for parameter in parameters]) + cutout_offsets(blocks, grid)
    with silence():
        fitter = make_fitter(blocks, grid, None, subsampling=False)
        fitter.getModelImage(shape=(rows, columns))
        for i in range(phases):
            for j in range(phases):
                # detection-image position of sample (i, j) of the first fine pixels
                y, x = (
                    reference[axis] + ((phase + 0.5) / subsamples - 0.5 - centre[axis]) / oversampling
                    for axis, phase in ((0, i), (1, j))
                )
                samples[:, i, :, j] = fitter.getModelImage(newParameters=values - y * is_y - x * is_x)
    fine = samples.reshape(rows * oversampling, subsamples, columns * oversampling, subsamples).mean(axis=(1, 3))
    return fine[: shape[0], : shape[1]] / oversampling**2


def _add_point(image: np.ndarray, y: float, x: float, flux: float) -> None:
    """Add `flux` at (y, x), shared between the four nearest pixels."""
    row, column = math.floor(y), math.floor(x)
    for i, weight_y in ((row, 1.0 - (y - row)), (row + 1, y - row)):
        for j, weight_x in ((column, 1.0 - (x - column)), (column + 1, x - column)):
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                image[i, j] += flux * weight_y * weight_x
