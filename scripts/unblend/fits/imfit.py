"""IMFIT on arrays, through pyimfit: minimise, covariance, model images. Knows models, not galaxies or groups.

Nothing here depends on time, on the number of cores, or on what was computed before in the process: the same
input gives the same bits. Positions are 0-based pixels of the detection image; a `Box` says what an array covers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.nouns import Box
from .imfit_config import Block, Function, Parameter
from .imfit_loader import load_pyimfit, silence
from .smoothed_noise import spread

SKY = "FlatSky"
POINT_SOURCES = ("PointSource", "PointSourceRot")

LINEAR = frozenset({"I_e", "I_0", "I_b", "I_tot", "I_sky", "J_0", "J0_bar", "L_0", "A", "A_maj"})
"""Parameters of IMFIT's functions in units of the image (per pixel, or per pixel³)."""

STEPS = {"X0": 0.02, "Y0": 0.02, "PA": 1.0, "ell": 0.005}
"""Steps of the finite differences: pixels, pixels, degrees, 1. The sky: a tenth of its range; others: 1 %."""


@dataclass(frozen=True)
class Pixels:
    """What a fit looks at: finite `image`, `error` > 0, `mask` (True = ignored), all of the shape of `box`.

    `smoothing`: pixels, width of the Gaussian that has smoothed the noise; 0: white.
    """

    box: Box
    image: np.ndarray
    error: np.ndarray
    mask: np.ndarray
    smoothing: float = 0.0

    @property
    def count(self) -> int:
        """Number of pixels that take part."""
        return int(np.count_nonzero(~self.mask))


@dataclass(frozen=True)
class ImfitSolution:
    """Outcome of one run: best `blocks` with IMFIT's own errors (0 where it has none), chi2, model evaluations."""

    blocks: tuple[Block, ...]
    chi2: float
    converged: bool
    solver: str
    evaluations: int


def sky_block(value: float, limit: float) -> Block:
    """Return the block of a flat sky, free within ±`limit`; its centre means nothing."""
    sky = Parameter("I_sky", min(max(value, -limit), limit), -limit, limit)
    return Block(Parameter("Y0", 0.0, fixed=True), Parameter("X0", 0.0, fixed=True), (Function(SKY, (sky,)),))


def parameters_of(blocks: Sequence[Block]) -> list[Parameter]:
    """Return all parameters in IMFIT's order."""
    return [parameter for block in blocks for parameter in block.parameters]


def with_parameters(blocks: Sequence[Block], parameters: Sequence[Parameter]) -> tuple[Block, ...]:
    """Return the blocks with all parameters replaced, in IMFIT's order."""
    stream = iter(parameters)
    return tuple(block.with_parameters([next(stream) for _ in block.parameters]) for block in blocks)


def minimise(
    blocks: Sequence[Block], pixels: Pixels, psf: np.ndarray, *, ftol: float = 1e-6, solver: str = "LM"
) -> ImfitSolution | None:
    """Fit the blocks to the pixels by least squares; None where IMFIT gives up or returns nonsense.

    Parameters
    ----------
    blocks : sequence of Block
        Start values and limits; at least one limit in all (the sky's), or IMFIT ignores `fixed`.
    pixels : Pixels
        Data.
    psf : array (odd, odd)
        PSF at the pixels of the image, as `fit_psf` makes it.
    ftol : float
        Relative change of chi2 at which to stop.
    solver : {"LM", "NM"}
        Levenberg–Marquardt, or Nelder–Mead.
    """
    start = with_parameters(blocks, [parameter.clipped() for parameter in parameters_of(blocks)])
    # IMFIT's solver takes absolute steps near 0 and stands still in units where the noise is 1e-10; a power of two
    # as unit changes no bit of a fit that needs none
    unit = 2.0 ** round(math.log2(float(np.median(pixels.error[~pixels.mask]))))
    with silence():
        fitter = _fitter(_in_units(start, unit), pixels.box, psf)
        fitter.loadData(pixels.image / unit, error=pixels.error / unit, mask=pixels.mask.astype(float))
        result = fitter.doFit(solver=solver, ftol=ftol)
    if "params" not in result or not np.all(np.isfinite(result.params)) or not math.isfinite(result.fitStat):
        return None
    units = np.array([unit if parameter.name in LINEAR else 1.0 for parameter in parameters_of(start)])
    values = _values_in_image(result.params * units, start, pixels.box)
    found = np.zeros(len(values)) if result.paramErrs is None else np.nan_to_num(result.paramErrs, posinf=0.0)
    errors = found * units
    best = []
    for parameter, value, error in zip(parameters_of(start), values, errors, strict=True):
        turns = parameter.name == "PA" and parameter.lower is None and not parameter.fixed
        best.append(replace(parameter, value=float(value % 180.0 if turns else value), error=float(error)))
    return ImfitSolution(
        with_parameters(start, best), float(result.fitStat), bool(result.fitConverged), solver, int(result.nFuncEvals)
    )


def _in_units(blocks: Sequence[Block], unit: float) -> tuple[Block, ...]:
    """Return the blocks with all brightnesses divided by `unit`."""
    scaled = [
        replace(
            p,
            value=p.value / unit,
            lower=None if p.lower is None else p.lower / unit,
            upper=None if p.upper is None else p.upper / unit,
        )
        if p.name in LINEAR
        else p
        for p in parameters_of(blocks)
    ]
    return with_parameters(blocks, scaled)


def psf_for(blocks: Sequence[Block], psf: np.ndarray) -> np.ndarray:
    """Return the PSF to fit the blocks with: with the pixel's response where one of them is a point source.

    IMFIT integrates profiles over the pixel, but lays down the PSF itself for a point source. It takes one PSF:
    beside a point source the pixel is in the profiles twice (n off by 6 % at r_e of 2 pixels), which is the lesser
    evil, as the residual of a star would be 5 % of its light.
    """
    if not any(function.name in POINT_SOURCES for block in blocks for function in block.functions):
        return psf
    response = np.outer(*(np.sinc(np.fft.fftfreq(side)) for side in psf.shape))
    seen = np.fft.ifft2(np.fft.fft2(psf) * response).real
    return np.array(seen / seen.sum())


def _fitter(blocks: Sequence[Block], box: Box, psf: np.ndarray | None, subsampling: bool = True) -> Any:
    """Return pyimfit's object for the blocks, positions in the box's own 1-based pixels."""
    pyimfit = load_pyimfit()
    if psf is not None and not (np.all(np.isfinite(psf)) and psf.sum() > 0):
        raise ValueError("the PSF must be finite and of positive sum: IMFIT would fit without it")
    sets = []
    for number, block in enumerate(blocks):
        moved = block.shifted(1.0 - box.y0, 1.0 - box.x0)
        if moved.x0 is None or moved.y0 is None:
            raise ValueError("a block to fit needs a centre")
        functions = [_imfit_function(pyimfit, function) for function in moved.functions]
        x0, y0 = (pyimfit.ParameterDescription(p.name, p.value, _limits(p), p.fixed) for p in (moved.x0, moved.y0))
        sets.append(pyimfit.FunctionSetDescription(f"set{number}", x0, y0, functions))
    description = pyimfit.ModelDescription(sets)
    seen = None if psf is None else psf_for(blocks, psf)
    return pyimfit.Imfit(description, psf=seen, maxThreads=1, subsampling=subsampling)


def _imfit_function(pyimfit: Any, function: Function) -> Any:
    """Return pyimfit's description of one function."""
    made = pyimfit.make_imfit_function(function.name)
    for parameter in function.parameters:
        getattr(made, parameter.name).setValue(parameter.value, _limits(parameter), parameter.fixed)
    return made


def _limits(parameter: Parameter) -> list[float] | None:
    """Return the limits as pyimfit wants them."""
    if parameter.fixed or parameter.lower is None or parameter.upper is None:
        return None
    return [parameter.lower, parameter.upper]


def _offsets(blocks: Sequence[Block], box: Box) -> np.ndarray:
    """Return what must be added to values in the image's 0-based pixels to get the cutout's 1-based pixels."""
    shift = {"X0": 1.0 - box.x0, "Y0": 1.0 - box.y0}
    return np.array([shift.get(parameter.name, 0.0) for parameter in parameters_of(blocks)])


def _values_in_image(values: np.ndarray, blocks: Sequence[Block], box: Box) -> np.ndarray:
    """Return IMFIT's parameter vector with positions in pixels of the image; what was fixed stays to the bit."""
    moved = np.asarray(values, dtype=float) - _offsets(blocks, box)
    parameters = parameters_of(blocks)
    fixed = np.array([parameter.fixed for parameter in parameters])
    moved[fixed] = [parameter.value for parameter in parameters if parameter.fixed]
    for k, parameter in enumerate(parameters):
        if parameter.lower is not None and parameter.upper is not None and not parameter.fixed:
            moved[k] = min(max(moved[k], parameter.lower), parameter.upper)
    return moved


def covariance(
    blocks: Sequence[Block],
    pixels: Pixels,
    psf: np.ndarray,
    priors: Mapping[int, float] | None = None,
    *,
    each: bool = False,
) -> np.ndarray:
    """Return (JᵀWJ + P)⁻¹ of all parameters in IMFIT's order, J from central differences of IMFIT's own images.

    Where the noise has an autocorrelation R it is the sandwich (JᵀWJ + P)⁻¹ (JᵀW½RW½J + P) (JᵀWJ + P)⁻¹.
    Rows and columns of parameters that the fit could not move (fixed, on a limit) or that change no pixel are
    zero, unless `priors` has a standard deviation for them (by place, 1/σ² in P): what was held is uncertain then, and
    all that follows from it. Where the data cannot tell parameters apart the variances are large, not infinite.
    `each`: see `linearised`.
    """
    priors = priors or {}
    moved, columns, _ = linearised(blocks, pixels, psf, priors, each=each)
    prior = np.diag([priors[k] ** -2 if k in priors else 0.0 for k in moved])
    inverse = safe_inverse(columns @ columns.T + prior)
    if pixels.smoothing > 0:
        inverse = inverse @ (_correlated_information(columns, pixels) + prior) @ inverse
    full = np.zeros((len(parameters_of(blocks)),) * 2)
    full[np.ix_(moved, moved)] = inverse
    return full


def _correlated_information(columns: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return JᵀW½RW½J of derivatives over the error, shape (n, number of good pixels)."""
    good = ~pixels.mask
    image, spread_out = np.zeros(good.shape), np.empty_like(columns)
    for row, column in enumerate(columns):
        image[good] = column
        spread_out[row] = spread(image, pixels.smoothing)[good]
    return columns @ spread_out.T


def linearised(
    blocks: Sequence[Block], pixels: Pixels, psf: np.ndarray, also: Collection[int] = (), *, each: bool = False
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return the places of the parameters that the fit could move and of `also`, J and the residual.

    `each`: every block is drawn for itself, so that the time grows with their number and not with its square.

    Returns
    -------
    moved : list of int
    columns : array (len(moved), n)
        Change of the model in the n good pixels per unit of each parameter, over the error.
    deviates : array (n,)
        (image − model) / error.
    """
    moved = _moved(blocks, also)
    drawn = [[block] for block in blocks] if each else [list(blocks)]
    columns, model, first = [], np.zeros(pixels.image.shape), 0
    for some in drawn:
        columns.append(derivatives(some, pixels, psf, [k - first for k in also]))
        model += evaluate_blocks(some, pixels.box, psf)
        first += len(parameters_of(some))
    good = ~pixels.mask
    return moved, np.concatenate(columns), (pixels.image - model)[good] / pixels.error[good]


def _moved(blocks: Sequence[Block], also: Collection[int]) -> list[int]:
    """Return the places of the parameters that the fit could move, and of `also`."""
    return [k for k, parameter in enumerate(parameters_of(blocks)) if k in also or not parameter.held]


def derivatives(
    blocks: Sequence[Block], pixels: Pixels, psf: np.ndarray, also: Collection[int] = (), *, one_sided: bool = False
) -> np.ndarray:
    """Return the derivatives of the image by every parameter that could move (and by `also`), over the error.

    From central differences, or (`one_sided`) in half the time and good to a few per cent.
    """
    parameters = parameters_of(blocks)
    moved = _moved(blocks, also)
    offsets = _offsets(blocks, pixels.box)
    values = np.array([parameter.value for parameter in parameters]) + offsets
    good = ~pixels.mask
    columns = np.zeros((len(moved), int(np.count_nonzero(good))))
    if not moved:
        return columns
    with silence():
        fitter = _fitter(blocks, pixels.box, psf)
        fitter.loadData(pixels.image, error=pixels.error, mask=pixels.mask.astype(float))
        present = fitter.getModelImage(newParameters=values)[good].copy() if one_sided else None
        for row, k in enumerate(moved):
            low, high = values.copy(), values.copy()
            low[k], high[k] = (end + offsets[k] for end in _difference_ends(parameters[k]))
            if present is None:
                change = (fitter.getModelImage(newParameters=high) - fitter.getModelImage(newParameters=low))[good]
                columns[row] = change / (high[k] - low[k]) / pixels.error[good]
            else:
                end = high if high[k] - values[k] >= values[k] - low[k] else low
                change = fitter.getModelImage(newParameters=end)[good] - present
                columns[row] = change / (end[k] - values[k]) / pixels.error[good]
    return columns


def _difference_ends(parameter: Parameter) -> tuple[float, float]:
    """Return the two values between which to take the difference, inside the limits."""
    step = STEPS.get(parameter.name, 0.01 * abs(parameter.value) or 0.01)
    if parameter.name == "I_sky" and parameter.lower is not None and parameter.upper is not None:
        step = 0.1 * (parameter.upper - parameter.lower)
    low, high = parameter.value - step, parameter.value + step
    if parameter.lower is not None and parameter.upper is not None:
        low, high = max(low, parameter.lower), min(high, parameter.upper)
    return low, high


def safe_inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric matrix after scaling to unit diagonal, small eigenvalues raised to 1e-10."""
    scale = np.sqrt(np.diag(matrix))
    seen = scale > 0
    inverse = np.zeros_like(matrix)
    if not seen.any():
        return inverse
    scaled = matrix[np.ix_(seen, seen)] / np.outer(scale[seen], scale[seen])
    eigenvalues, vectors = np.linalg.eigh(scaled)
    unscaled = (vectors / np.maximum(eigenvalues, 1e-10)) @ vectors.T / np.outer(scale[seen], scale[seen])
    inverse[np.ix_(seen, seen)] = 0.5 * (unscaled + unscaled.T)
    return inverse


def evaluate_blocks(blocks: Sequence[Block], box: Box, psf: np.ndarray | None) -> np.ndarray:
    """Return IMFIT's image of the blocks on any box of the detection grid, convolved where a PSF is given."""
    if not blocks:
        return np.zeros(box.shape)
    with silence():
        image = _fitter(blocks, box, psf).getModelImage(shape=box.shape)
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
    """Draw functions un-convolved on fine pixels, each the mean of `subsamples`² samples.

    Every sample is IMFIT's value at a point: the functions are drawn on detection pixels at each phase and
    interlaced, so no parameter has to be rescaled and every function of IMFIT works. A point source is shared
    between the four nearest fine pixels, which keeps its flux and centroid.

    Parameters
    ----------
    blocks : sequence of Block
        Functions, positions in 0-based pixels of the detection image.
    shape : (ny, nx)
        Fine pixels.
    oversampling : int
        Fine pixels per detection pixel along each axis.
    reference : (y, x)
        Position on the detection image, 0-based, that lies at `centre`.
    centre : (y, x)
        Fine-pixel position, 0-based, of `reference`.

    Returns
    -------
    array (ny, nx)
        Light per fine pixel, in the units of the image.
    """
    spread = [_without(block, POINT_SOURCES) for block in blocks]
    image = _interlaced([b for b in spread if b.functions], shape, oversampling, reference, centre, subsamples)
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
    """Return the mean of sub-samples of the blocks over each fine pixel, as light per fine pixel."""
    if not blocks:
        return np.zeros(shape)
    phases = oversampling * subsamples
    rows, columns = (math.ceil(side / oversampling) for side in shape)
    samples = np.empty((rows, phases, columns, phases))
    grid, parameters = Box(0, 0, rows, columns), parameters_of(blocks)
    is_y, is_x = (np.array([parameter.name == name for parameter in parameters]) for name in ("Y0", "X0"))
    values = np.array([parameter.value for parameter in parameters]) + _offsets(blocks, grid)
    with silence():
        fitter = _fitter(blocks, grid, None, subsampling=False)
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
