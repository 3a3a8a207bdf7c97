"""The tiles of a band as one: rows of the sources that each tile owns, and one background level for all of them.

Every tile fits its own background level, whose error is larger than that of the band. The fluxes are linear in it: with
the mean level of all tiles in place of its own, each flux changes by its response to the level times the difference.
That is what a single fit of all tiles gives for fluxes that do not depend on pixels far away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.split_matrix import SplitMatrix
from .adopted_covariance import CovarianceParts


@dataclass(frozen=True)
class BackgroundLevels:
    """The background levels of the tiles of a band, image units.

    Parameters
    ----------
    values, errors : arrays (t,)
        Of each tile; NaN where it has no usable pixel.
    level, error : float
        Their mean and its error; 0 and NaN if no tile has any.
    """

    values: np.ndarray
    errors: np.ndarray
    level: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float], errors: Sequence[float], shares: Sequence[float]) -> BackgroundLevels:
        """Return the levels with their weighted mean.

        Parameters
        ----------
        values, errors : arrays (t,)
            Of each tile.
        shares : array (t,)
            Fraction of the pixels of each window that belong to the tile: those of the margins count once.
        """
        level, error = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
        weight = np.where(
            np.isfinite(level) & (error > 0), np.asarray(shares) / np.where(error > 0, error, 1.0) ** 2, 0
        )
        if not weight.any():
            return cls(level, error, 0.0, np.nan)
        mean = float(np.sum(weight * np.where(weight > 0, level, 0.0)) / weight.sum())
        return cls(level, error, mean, float(weight.sum() ** -0.5))

    def differences(self) -> np.ndarray:
        """Return the common level less that of each tile, 0 where that is not known, shape (t,)."""
        return np.where(np.isfinite(self.values), self.level - self.values, 0.0)


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
