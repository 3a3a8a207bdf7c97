"""The covariance of the fluxes of a band, and draws from it, that belong to the adopted errors of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.split_matrix import SplitMatrix
from .flux_covariance import flux_covariance
from .flux_draws import DRAWS, of_band, of_source, shape_draws
from .linear_system import LinearSolution
from .shape_errors import MOST_AXES, ShapeResponses

if TYPE_CHECKING:
    from scipy.sparse import sparray


@dataclass(frozen=True)
class CovarianceParts:
    """The errors of the fluxes of a band before the Monte Carlo is known, in image units; 0 where there is no flux.

    Parameters
    ----------
    ids : int array (n,)
    noise, model : SplitMatrix (n, n)
        Covariance from the noise, and from the shapes, details, shift and PSF.
    noise_draws, model_draws : arrays (n, DRAWS)
        Changes of the fluxes.
    """

    ids: np.ndarray
    noise: SplitMatrix
    model: SplitMatrix
    noise_draws: np.ndarray
    model_draws: np.ndarray

    @staticmethod
    def unknown(ids: np.ndarray) -> CovarianceParts:
        """Return those of a band without any flux."""
        zero, draws = SplitMatrix.zero(len(ids)), np.zeros((len(ids), DRAWS))
        return CovarianceParts(ids, zero, zero, draws, draws)

    def in_order(self, ids: np.ndarray) -> CovarianceParts:
        """Return the parts of the sources `ids`, 0 for those that they lack."""
        place = {int(i): k for k, i in enumerate(ids)}
        index = np.array([place.get(int(i), -1) for i in self.ids], dtype=int)

        def rows(draws: np.ndarray) -> np.ndarray:
            found = np.zeros((len(ids), draws.shape[1]))
            found[index[index >= 0]] = draws[index >= 0]
            return found

        noise, model = (part.placed(index, len(ids)) for part in (self.noise, self.model))
        return CovarianceParts(ids, noise, model, rows(self.noise_draws), rows(self.model_draws))


def noise_covariance(solution: LinearSolution, count: int, matrix: sparray | None) -> SplitMatrix:
    """Return the covariance of the first `count` fluxes of a solution from the noise.

    Parameters
    ----------
    solution : LinearSolution
    count : int
        Number of detected sources, which come first.
    matrix : sparse array or None
        As `Noise.matrix`.
    """
    found = flux_covariance(solution.inverse, len(solution.active), matrix)
    return found.placed(_first(solution, count), count)


def model_covariance(
    solution: LinearSolution, count: int, responses: ShapeResponses, common: np.ndarray, detail: np.ndarray
) -> SplitMatrix:
    """Return the covariance of the first `count` fluxes from shapes, shift, PSF and details.

    Parameters
    ----------
    solution : LinearSolution
    count : int
        Number of detected sources, which come first.
    responses : ShapeResponses
    common : array (n, k)
        Changes of the fluxes with shift and PSF; NaN counts as 0.
    detail : array (n,)
        Errors from the noise in the details, with the sign of the flux.
    """
    found = SplitMatrix.of_columns(np.nan_to_num(common[:count]))
    if responses.matrix is not None:
        axes = responses.matrix
        shapes = flux_covariance(solution.inverse, len(solution.active), (axes.T @ axes).tocsr())
        found = found + shapes.placed(_first(solution, count), count)
    return found.plus_diagonal(np.nan_to_num(detail[:count]) ** 2)


def model_draws(
    solution: LinearSolution, responses: ShapeResponses, common: np.ndarray, detail: np.ndarray, band: str
) -> np.ndarray:
    """Return changes of all fluxes from shapes, shift, PSF and details, shape (n, DRAWS).

    Parameters
    ----------
    solution, responses, common, detail
        As in `model_covariance`.
    band : str
        Name of the band, which decides the random numbers of its shift and PSF.
    """
    drawn = np.nan_to_num(shape_draws(responses, solution))
    drawn += np.nan_to_num(common) @ of_band(band, "common").standard_normal((common.shape[1], DRAWS))
    # the detail of a galaxy is the same in every band
    for k in np.flatnonzero(np.nan_to_num(detail) > 0).tolist():
        drawn[k] += detail[k] * of_source(int(solution.ids[k]), MOST_AXES + 1)[-1]
    return drawn


def adopted_covariance(
    parts: CovarianceParts, flux: np.ndarray, err: np.ndarray, *, scale: float, band: str
) -> tuple[SplitMatrix, np.ndarray]:
    """Return the covariance of the fluxes whose diagonal is the square of the adopted errors, and draws of the fluxes.

    What the adopted error has besides noise, shape, shift and PSF (misfit, error floor, amplitude of a detail) is
    independent for every source and band. Where it has less, since the covariance of the source's own shape is not
    known, the row and the column are scaled down.

    Parameters
    ----------
    parts : CovarianceParts
    flux, err : arrays (n,)
        In the order of `parts`; NaN where there is no flux.
    scale : float
        Monte Carlo over formal errors, as for `adopted_error`.
    band : str
        Its name, for the random numbers.

    Returns
    -------
    covariance : SplitMatrix (n, n)
        Image units squared; rows of zeros where there is no flux.
    draws : array (n, DRAWS)
        Fluxes in image units; NaN where there is none.
    """
    known = parts.noise.scaled(scale) + parts.model
    variance, wanted = known.diagonal(), np.nan_to_num(err) ** 2
    factor = np.where(variance > wanted, np.sqrt(wanted / np.where(variance > 0, variance, 1.0)), 1.0)
    rest = np.maximum(wanted - factor**2 * variance, 0.0)
    covariance = known.scaled(factor).plus_diagonal(rest).significant(np.sqrt(wanted))
    own = of_band(band, "own").standard_normal((len(flux), DRAWS)) * np.sqrt(rest)[:, None]
    changes = factor[:, None] * (scale * parts.noise_draws + parts.model_draws) + own
    return covariance, np.where(np.isfinite(err), flux, np.nan)[:, None] + changes


def _first(solution: LinearSolution, count: int) -> np.ndarray:
    """Return the place of each active source among the first `count` of the solution, −1 for others."""
    return np.where(solution.active < count, solution.active, -1)
