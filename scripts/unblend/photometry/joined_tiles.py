"""The tiles of a band as one: rows of the sources that each tile owns, and one background level for all of them.

Every tile fits its own background level, whose error is larger than that of the band, and which is too high where
sources beyond its margin shine in. The level of the band is the mean of those of the cores of the tiles. The fluxes are
linear in it: with the level of the band in place of that of the tile, each flux changes by its response to the level
times the difference. That is what a single fit gives for fluxes that do not depend on pixels far away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.split_matrix import SplitMatrix
from ..core.types import Box, Template
from .adopted_covariance import CovarianceParts
from .linear_system import LinearSolution, model_image


@dataclass(frozen=True)
class BackgroundLevels:
    """The background levels of the tiles of a band, image units.

    Parameters
    ----------
    fitted, errors : arrays (t,)
        With which each tile was fitted; NaN where it has no usable pixel.
    level, error : float
        Of the band; 0 and NaN if no tile has any.
    """

    fitted: np.ndarray
    errors: np.ndarray
    level: float
    error: float

    @classmethod
    def of(cls, fitted: np.ndarray, errors: np.ndarray, cores: np.ndarray, core_errors: np.ndarray) -> BackgroundLevels:
        """Return the levels with the weighted mean of those of the cores.

        Parameters
        ----------
        fitted, errors : arrays (t,)
            With which each tile was fitted.
        cores, core_errors : arrays (t,)
            Of the core of each tile, see `core_level`.
        """
        known = np.isfinite(cores) & (core_errors > 0)
        if not known.any():
            return cls(fitted, errors, 0.0, np.nan)
        weight = core_errors[known] ** -2.0
        return cls(fitted, errors, float(np.sum(weight * cores[known]) / weight.sum()), float(weight.sum() ** -0.5))

    def differences(self) -> np.ndarray:
        """Return the level of the band less that of each tile, 0 where that is not known, shape (t,)."""
        return np.where(np.isfinite(self.fitted), self.level - self.fitted, 0.0)


def core_level(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, core: Box
) -> tuple[float, float]:
    """Return the background level in the core of a tile and its error for white noise; NaN without usable pixels there.

    If the level were higher by one, each pixel of the model would be higher by g = 1 + Σ_k r_k t_k, with the responses
    r_k of the fluxes and their templates t_k. The level follows from the residual in the direction of g.

    Parameters
    ----------
    solution : LinearSolution
        Of the window of the tile, with a constant background.
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        As fitted, inverse variance.
    core : Box
        In the pixels of the window.
    """
    response = np.nan_to_num(solution.background_response())
    change = model_image(templates, response, weight.shape, 1.0)[core.slices]
    residual = solution.residual[core.slices]
    used = np.where(np.isfinite(residual), weight[core.slices], 0.0)
    norm = float(np.sum(used * change**2))
    if not norm > 0:
        return np.nan, np.nan
    return solution.background + float(np.sum(used * change * np.nan_to_num(residual))) / norm, norm**-0.5


def with_common_level(rows: np.ndarray, tile: np.ndarray, levels: BackgroundLevels) -> np.ndarray:
    """Return the table of the fluxes of a band for the background level of all tiles.

    Parameters
    ----------
    rows : structured array (n,)
        Of fluxes.fits, each from the tile that owns the source; `background_response` is the change of the flux with
        the level. Fluxes without a response stay as they are.
    tile : int array (n,)
        Index of this tile.
    levels : BackgroundLevels

    Returns
    -------
    structured array (n,)
        With `flux`, `flux_err` and `flux_err_white` changed. An error is no smaller than that of the isolated source.
    """
    result = rows.copy()
    response = np.nan_to_num(rows["background_response"])
    result["flux"] += response * levels.differences()[tile]
    less = response**2 * (np.nan_to_num(levels.error) ** 2 - np.nan_to_num(levels.errors[tile]) ** 2)
    for name in ("flux_err", "flux_err_white"):
        changed = np.sqrt(np.maximum(rows[name] ** 2 + less, np.fmin(rows["flux_err_isolated"], rows[name]) ** 2))
        result[name] = np.where(response == 0, rows[name], changed)
    return result


def mean_ratio(ratios: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the mean ratio of Monte Carlo to formal errors of tiles, with its error; NaN where none is known."""
    ratio, error = np.asarray(ratios, dtype=float), np.asarray(errors, dtype=float)
    known = np.isfinite(ratio) & (error > 0)
    if not known.any():
        return np.nan, np.nan
    weight = error[known] ** -2.0
    return float(np.sum(weight * ratio[known]) / weight.sum()), float(weight.sum() ** -0.5)


def joined_parts(parts: Sequence[CovarianceParts], owned: Sequence[np.ndarray], ids: np.ndarray) -> CovarianceParts:
    """Return the errors of all sources from those of the tiles.

    Parameters
    ----------
    parts : sequence of CovarianceParts
        Of each tile.
    owned : sequence of int arrays
        IDs of the sources that the tile owns.
    ids : int array (n,)
        All sources of the band. Those that no tile owns have zeros.

    Returns
    -------
    CovarianceParts
        The covariance of two sources of different tiles, of which both tiles know, is the mean of what they say; draws
        of such sources are independent.
    """
    whole = [tile.in_order(ids) for tile in parts]
    mine = [np.isin(ids, each) for each in owned]
    draws = {name: sum(getattr(part, name) * own[:, None] for part, own in zip(whole, mine, strict=True))
             for name in ("noise_draws", "model_draws")}  # fmt: skip
    noise, model = (_joined([getattr(part, name) for part in whole], mine, len(ids)) for name in ("noise", "model"))
    return CovarianceParts(ids, noise, model, draws["noise_draws"], draws["model_draws"])


def _joined(matrices: Sequence[SplitMatrix], owned: Sequence[np.ndarray], size: int) -> SplitMatrix:
    """Return the sum of the matrices, each element with weight 1, 1/2 or 0: both, one or none of its sources is own."""
    from scipy.sparse import csr_array, diags_array

    sparse, columns, signs = csr_array((size, size)), [np.zeros((size, 0))], [np.zeros(0)]
    for matrix, own in zip(matrices, owned, strict=True):
        half = diags_array(0.5 * own) @ matrix.sparse
        sparse = sparse + half + half.T
        columns.append(matrix.columns * own[:, None])
        signs.append(matrix.signs)
    return SplitMatrix(sparse.tocsr(), np.hstack(columns), np.concatenate(signs))
