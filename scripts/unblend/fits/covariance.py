"""Derivatives of IMFIT's model images, and the covariance of fitted parameters that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from .imfit import Pixels, cutout_offsets, evaluate_blocks, make_fitter, parameters_of
from .imfit_config import Block, Parameter
from .imfit_loader import silence
from .smoothed_noise import convolve_with_autocorrelation

DIFFERENCE_STEPS = {"X0": 0.02, "Y0": 0.02, "PA": 1.0, "ell": 0.005}
"""Steps of the finite differences in pixels, pixels, degrees and as a number. The step of the sky is a tenth of its
range, and that of all other parameters 1 % of their value."""

Linearise = Callable[[Sequence[Block], Collection[int]], tuple[list[int], np.ndarray, np.ndarray]]
"""Takes blocks and `extra`, and returns what `linearise` returns."""


def parameter_covariance(
    blocks: Sequence[Block],
    pixels: Pixels,
    psf: np.ndarray,
    priors: Mapping[int, float] | None = None,
    *,
    block_by_block: bool = False,
    exact: Linearise | None = None,
    held: Collection[int] = (),
) -> np.ndarray:
    """Return the covariance (JᵀWJ + P)⁻¹ of all parameters in IMFIT's order, J from IMFIT's own images or exact ones.

    For noise with the autocorrelation R it is (JᵀWJ + P)⁻¹ (JᵀW½RW½J + P) (JᵀWJ + P)⁻¹. Rows and columns are zero for
    parameters that are fixed, on a limit or without effect on any pixel, unless `priors` gives their standard
    deviation: their uncertainty then enters the errors of all other parameters. Where the data cannot distinguish
    parameters, the variances are large but finite.

    Parameters
    ----------
    blocks : sequence of Block
        The best fit.
    pixels : Pixels
        Image, error and mask.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    priors : mapping of int to float
        Standard deviations, by index of the parameter in IMFIT's order; 1/σ² on the diagonal of P.
    block_by_block : bool
        As in `linearise`.
    exact : callable or None
        `linearise` of an exact model (`exact_model`); None: that of IMFIT's images.
    held : collection of int
        Parameters of `priors` about which the pixels are not to say anything: they keep the variance σ² of their prior,
        and all others get (dp/ds)² σ² from it.
    """
    priors = priors or {}
    if exact is None:
        indices, jacobian, _ = linearise(blocks, pixels, psf, priors, block_by_block=block_by_block)
    else:
        indices, jacobian, _ = exact(blocks, list(priors))
    is_held = np.isin(indices, list(held))
    free = jacobian[~is_held]
    prior = np.diag([priors[k] ** -2 if k in priors else 0.0 for k in indices if k not in held])
    inverse = safe_inverse(free @ free.T + prior)
    # the change of all parameters with each held one
    response = np.zeros((len(indices), int(is_held.sum())))
    response[~is_held] = -inverse @ (free @ jacobian[is_held].T)
    response[is_held] = np.eye(response.shape[1])
    if pixels.smoothing > 0:
        inverse = inverse @ (_correlated_information(free, pixels) + prior) @ inverse
    covariance = response * np.array([priors[k] ** 2 for k in indices if k in held]) @ response.T
    covariance[np.ix_(~is_held, ~is_held)] += inverse
    full = np.zeros((len(parameters_of(blocks)),) * 2)
    full[np.ix_(indices, indices)] = covariance
    return full


def _correlated_information(jacobian: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return JᵀW½RW½J from the derivatives divided by the error, shape (n parameters, n unmasked pixels)."""
    good = ~pixels.mask
    image, convolved = np.zeros(good.shape), np.empty_like(jacobian)
    for row, derivative in enumerate(jacobian):
        image[good] = derivative
        convolved[row] = convolve_with_autocorrelation(image, pixels.smoothing)[good]
    return jacobian @ convolved.T


def linearise(
    blocks: Sequence[Block],
    pixels: Pixels,
    psf: np.ndarray,
    extra: Collection[int] = (),
    *,
    block_by_block: bool = False,
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Linearise the model around its parameters: return the parameters used, the Jacobian and the residual.

    Parameters
    ----------
    blocks : sequence of Block
        The model.
    pixels : Pixels
        Image, error and mask.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    extra : collection of int
        Indices of parameters to include although they are fixed or on a limit.
    block_by_block : bool
        Draw every block separately, so that the time grows with the number of blocks and not with its square.

    Returns
    -------
    indices : list of int
        Indices of the free parameters and of `extra`, in IMFIT's order.
    jacobian : array (len(indices), n)
        Change of the model in the n unmasked pixels per unit of each parameter, divided by the error.
    residual : array (n,)
        (image − model) / error.
    """
    indices = varied_indices(blocks, extra)
    separately_drawn = [[block] for block in blocks] if block_by_block else [list(blocks)]
    jacobian, model, first = [], np.zeros(pixels.image.shape), 0
    for part in separately_drawn:
        jacobian.append(derivatives(part, pixels, psf, [k - first for k in extra]))
        model += evaluate_blocks(part, pixels.box, psf)
        first += len(parameters_of(part))
    good = ~pixels.mask
    return indices, np.concatenate(jacobian), (pixels.image - model)[good] / pixels.error[good]


def varied_indices(blocks: Sequence[Block], extra: Collection[int]) -> list[int]:
    """Return the indices of the parameters that are neither fixed nor on a limit, and of `extra`."""
    return [k for k, parameter in enumerate(parameters_of(blocks)) if k in extra or not parameter.fixed_or_on_bound]


def derivatives(
    blocks: Sequence[Block], pixels: Pixels, psf: np.ndarray, extra: Collection[int] = (), *, one_sided: bool = False
) -> np.ndarray:
    """Return the derivatives of the model image with respect to its parameters, divided by the error.

    Parameters
    ----------
    blocks : sequence of Block
        The model.
    pixels : Pixels
        Image, error and mask.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    extra : collection of int
        Indices of parameters to include although they are fixed or on a limit.
    one_sided : bool
        Take one-sided differences, which are accurate to a few per cent in half the time of central ones.

    Returns
    -------
    array (number of parameters, number of unmasked pixels)
    """
    parameters = parameters_of(blocks)
    indices = varied_indices(blocks, extra)
    offsets = cutout_offsets(blocks, pixels.box)
    values = np.array([parameter.value for parameter in parameters]) + offsets
    good = ~pixels.mask
    jacobian = np.zeros((len(indices), int(np.count_nonzero(good))))
    if not indices:
        return jacobian
    with silence():
        fitter = make_fitter(blocks, pixels.box, psf)
        fitter.loadData(pixels.image, error=pixels.error, mask=pixels.mask.astype(float))
        present = fitter.getModelImage(newParameters=values)[good].copy() if one_sided else None
        for row, k in enumerate(indices):
            low, high = values.copy(), values.copy()
            low[k], high[k] = (end + offsets[k] for end in _difference_ends(parameters[k]))
            if present is None:
                change = (fitter.getModelImage(newParameters=high) - fitter.getModelImage(newParameters=low))[good]
                jacobian[row] = change / (high[k] - low[k]) / pixels.error[good]
            else:
                end = high if high[k] - values[k] >= values[k] - low[k] else low
                change = fitter.getModelImage(newParameters=end)[good] - present
                jacobian[row] = change / (end[k] - values[k]) / pixels.error[good]
    return jacobian


def _difference_ends(parameter: Parameter) -> tuple[float, float]:
    """Return the two parameter values between which the difference is taken, inside the limits."""
    step = DIFFERENCE_STEPS.get(parameter.name, 0.01 * abs(parameter.value) or 0.01)
    if parameter.name == "I_sky" and parameter.lower is not None and parameter.upper is not None:
        step = 0.1 * (parameter.upper - parameter.lower)
    low, high = parameter.value - step, parameter.value + step
    if parameter.lower is not None and parameter.upper is not None:
        low, high = max(low, parameter.lower), min(high, parameter.upper)
    return low, high


def safe_inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric matrix, computed at unit diagonal with eigenvalues of at least 1e-10.

    Rows and columns with a zero on the diagonal are zero in the inverse.
    """
    scale = np.sqrt(np.diag(matrix))
    used = scale > 0
    inverse = np.zeros_like(matrix)
    if not used.any():
        return inverse
    scaled = matrix[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    eigenvalues, vectors = np.linalg.eigh(scaled)
    unscaled = (vectors / np.maximum(eigenvalues, 1e-10)) @ vectors.T / np.outer(scale[used], scale[used])
    inverse[np.ix_(used, used)] = 0.5 * (unscaled + unscaled.T)
    return inverse
