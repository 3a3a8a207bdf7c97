"""The covariance of the fluxes of a band from the inverse of its fit, in a sparse part and a few columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.split_matrix import SplitMatrix
from .bordered_inverse import BorderedInverse
from .stamps import single_thread

if TYPE_CHECKING:
    from scipy.sparse import csr_array, sparray


def flux_covariance(inverse: BorderedInverse, count: int, matrix: sparray | None = None) -> SplitMatrix:
    """Return the covariance F⁻¹ M F⁻¹ of the first `count` amplitudes of a fit.

    Parameters
    ----------
    inverse : BorderedInverse
        F⁻¹.
    count : int
        Number of sources: the amplitudes without the terms of the background.
    matrix : sparse array (n, n), optional
        M, the covariance of the right-hand side; by default F, that of white noise.
    """
    with single_thread():
        if matrix is None:
            columns, signs = _factors(inverse.border[:count], inverse.schur_inverse)
            found = SplitMatrix(inverse.core[:count][:, :count].tocsr(), columns, signs)
        else:
            matrix = matrix.tocsr()
            dense = matrix @ inverse.border
            loading = inverse.border @ inverse.schur_inverse
            zero, unit = np.zeros((dense.shape[1],) * 2), np.eye(dense.shape[1])
            small = np.block([[inverse.border.T @ dense, unit], [unit, zero]])
            columns, signs = _factors(np.hstack([loading, inverse.core @ dense])[:count], small)
            sparse = _core_products(inverse, matrix)[:count][:, :count]
            found = SplitMatrix(((sparse + sparse.T) / 2.0).tocsr(), columns, signs)
    return found.significant(np.sqrt(np.maximum(inverse.variances()[:count], 0.0)))


def _core_products(inverse: BorderedInverse, matrix: csr_array) -> csr_array:
    """Return A⁻¹ M A⁻¹, sparse, where A⁻¹ has elements."""
    from scipy.sparse import coo_array

    rows, columns, values = [], [], []
    for tile in inverse.tiles:
        members = np.unique(inverse.core[tile].indices)
        near = inverse.core[members][:, members]
        product = (inverse.core[tile][:, members] @ matrix[members][:, members]) @ near
        part = product.tocoo()
        rows.append(tile[part.row])
        columns.append(members[part.col])
        values.append(part.data)
    places = _joined(rows, int), _joined(columns, int)
    return coo_array((_joined(values, float), places), shape=matrix.shape).tocsr()


def _joined(parts: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=kind), *parts])


def _factors(columns: np.ndarray, small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (n, k) and signs (k,) whose products add up to columns · small · columnsᵀ."""
    basis, triangle = np.linalg.qr(columns)
    values, axes = np.linalg.eigh(triangle @ small @ triangle.T)
    return basis @ (axes * np.sqrt(np.abs(values))), np.where(values < 0, -1.0, 1.0)
