"""A covariance of many fluxes: a sparse matrix, and a few columns that couple all sources weakly.

Blended neighbours share much of their errors: these elements are in the sparse matrix. The background level, sources as
large as the field, the shift and the PSF couple every source with every other one. Written out, that would be a full
matrix; here it is the sum of a few products of columns, which cost no more than the sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SMALLEST_CORRELATION = 1e-4
"""Elements of the sparse part below this correlation are left out: each changes an error by less than that."""


@dataclass(frozen=True)
class SplitMatrix:
    """The symmetric matrix S + Σ_k s_k v_k v_kᵀ.

    Parameters
    ----------
    sparse : sparse array (n, n)
        S.
    columns : array (n, k)
        The vectors v_k.
    signs : array (k,)
        s_k, each 1 or −1.
    """

    sparse: csr_array
    columns: np.ndarray
    signs: np.ndarray

    @staticmethod
    def zero(size: int) -> SplitMatrix:
        """Return the matrix (size, size) of zeros."""
        from scipy.sparse import csr_array

        return SplitMatrix(csr_array((size, size)), np.zeros((size, 0)), np.zeros(0))

    @staticmethod
    def of_columns(columns: np.ndarray) -> SplitMatrix:
        """Return the sum of the products of each column (n, k) with itself."""
        size, count = columns.shape
        return SplitMatrix(SplitMatrix.zero(size).sparse, columns, np.ones(count))

    def diagonal(self) -> np.ndarray:
        """Return the diagonal, shape (n,)."""
        return np.asarray(self.sparse.diagonal() + np.square(self.columns) @ self.signs)

    def dense(self) -> np.ndarray:
        """Return the whole matrix (n, n): for a few sources only."""
        return np.asarray(self.sparse.toarray() + (self.columns * self.signs) @ self.columns.T)

    def __add__(self, other: SplitMatrix) -> SplitMatrix:
        """Return the sum of two matrices of the same size."""
        columns, signs = np.hstack([self.columns, other.columns]), np.append(self.signs, other.signs)
        return SplitMatrix((self.sparse + other.sparse).tocsr(), columns, signs)

    def plus_diagonal(self, values: np.ndarray) -> SplitMatrix:
        """Return the matrix with values (n,) added to its diagonal."""
        from scipy.sparse import diags_array

        return SplitMatrix((self.sparse + diags_array(values)).tocsr(), self.columns, self.signs)

    def scaled(self, factors: np.ndarray | float) -> SplitMatrix:
        """Return the covariance of the quantities multiplied by a factor, or by one each (n,)."""
        from scipy.sparse import diags_array

        factors = np.broadcast_to(factors, len(self.columns))
        scaling = diags_array(factors)
        return SplitMatrix((scaling @ self.sparse @ scaling).tocsr(), self.columns * factors[:, None], self.signs)

    def placed(self, index: np.ndarray, size: int) -> SplitMatrix:
        """Return the matrix of a part of `size` quantities as one of all; negative indices are left out.

        Parameters
        ----------
        index : int array (n,)
            Place of each quantity among all of them.
        size : int
        """
        from scipy.sparse import coo_array

        known = np.flatnonzero(index >= 0)
        part = self.sparse[known][:, known].tocoo()
        places = index[known][part.row], index[known][part.col]
        columns = np.zeros((size, len(self.signs)))
        columns[index[known]] = self.columns[known]
        return SplitMatrix(coo_array((part.data, places), shape=(size, size)).tocsr(), columns, self.signs)

    def significant(self, sigma: np.ndarray, smallest: float = SMALLEST_CORRELATION) -> SplitMatrix:
        """Return the matrix without the elements of its sparse part below a correlation, for errors `sigma` (n,).

        The diagonal is kept.
        """
        from scipy.sparse import coo_array

        part = self.sparse.tocoo()
        kept = (part.row == part.col) | (np.abs(part.data) > smallest * sigma[part.row] * sigma[part.col])
        sparse = coo_array((part.data[kept], (part.row[kept], part.col[kept])), shape=part.shape).tocsr()
        return SplitMatrix(sparse, self.columns, self.signs)
