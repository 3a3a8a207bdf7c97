"""Draws of the fluxes of a band from their errors: what is common to sources and to bands is common to the draws.

A draw is one outcome of all errors. Its noise is drawn from the covariance of the sums of pixels times template.
Its shapes are drawn from the covariance of each fit in the detection image: they are the same in every band, so that a
galaxy whose model is too large is too bright in all of them. All random numbers follow from the ID of a source and the
name of a band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .linear_system import LinearSolution
from .shape_errors import ShapeResponses
from .stamps import single_thread

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DRAWS = 100
"""Number of draws: their scatter is that of the errors within 7 %."""
SEED = 20260117
LEAST_VARIANCE = 1e-9
"""Least variance of a sum that is independent of the others, over its own variance: more than the rounding."""


def of_source(source: int, count: int) -> np.ndarray:
    """Return the normal deviates of a source, the same for every band, shape (count, DRAWS)."""
    return np.random.default_rng([SEED, source]).standard_normal((count, DRAWS))


def of_band(band: str, purpose: str) -> np.random.Generator:
    """Return the random numbers of a band for one purpose."""
    return np.random.default_rng([SEED, *f"{purpose}/{band}".encode()])


def shape_draws(responses: ShapeResponses, solution: LinearSolution) -> np.ndarray:
    """Return changes of the fluxes for shapes drawn from their covariance, shape (n, DRAWS), image units.

    In the order of the solution; NaN where there is no flux.
    """
    changes = np.zeros((solution.inverse.size, DRAWS))
    if responses.matrix is not None:
        first = np.flatnonzero(np.diff(responses.sources, prepend=-1))
        counts = np.diff(np.append(first, len(responses.sources)))
        drawn = np.vstack([of_source(*axes) for axes in zip(responses.sources[first].tolist(), counts, strict=True)])
        with single_thread():
            changes = -solution.inverse.apply(responses.matrix.T @ drawn)
    return _in_order(changes, solution)


def noise_draws(solution: LinearSolution, matrix: csr_array, rng: np.random.Generator) -> np.ndarray:
    """Return changes of the fluxes from drawn noise, shape (n, DRAWS), image units.

    Parameters
    ----------
    solution : LinearSolution
    matrix : sparse array (m + t, m + t)
        Covariance of the right-hand side of the fit, from `right_hand_covariance`.
    rng : Generator

    Returns
    -------
    array (n, DRAWS)
        In the order of the solution; NaN where there is no flux.
    """
    with single_thread():
        right = _correlated(matrix, rng.standard_normal((solution.inverse.size, DRAWS)))
        return _in_order(solution.inverse.apply(right), solution)


def _correlated(matrix: csr_array, deviates: np.ndarray) -> np.ndarray:
    """Return L · deviates, shape (n, k), where L Lᵀ is the symmetric `matrix` (n, n), by its sparse factors."""
    from scipy.sparse import csc_array, diags_array, eye_array
    from scipy.sparse.linalg import splu

    variance = matrix.diagonal()
    sigma = np.sqrt(np.maximum(variance, 0.0))
    inverse = diags_array(np.divide(1.0, sigma, out=np.zeros(len(sigma)), where=sigma > 0))
    unit = inverse @ (matrix + matrix.T) @ inverse / 2.0 + LEAST_VARIANCE * eye_array(len(sigma))
    # without a choice of pivots and with one order of rows and columns, L U = L D Lᵀ
    factors = splu(csc_array(unit), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    pivots = np.sqrt(np.maximum(factors.U.diagonal(), 0.0))
    return np.asarray(sigma[:, None] * (factors.L @ (pivots[:, None] * deviates))[factors.perm_c])


def _in_order(changes: np.ndarray, solution: LinearSolution) -> np.ndarray:
    """Return the changes of the active amplitudes in the order of the solution, NaN for all others."""
    found = np.full((len(solution.ids), changes.shape[1]), np.nan)
    found[solution.active] = changes[: len(solution.active)]
    return found
