"""The inverse of a large normal matrix as a sparse part and a part of low rank, and the variances that follow from it.

Almost all elements of the normal matrix F are between sources whose boxes overlap. Its *border* are the few rows that
overlap everything: the terms of the background, and sources as large as the field. Without them, F is a sparse matrix A
whose inverse has small elements between distant sources. With the border's rows Bᵀ and its own block D (Schur
complement S = D − Bᵀ A⁻¹ B),

    F⁻¹ = A⁻¹ + V S⁻¹ Vᵀ,    V = A⁻¹ B for a source, V = −1 for its own row of the border,

where A⁻¹ is zero in the border. Each quantity is computed from the two parts: cost and memory grow with the number of
sources and their neighbours, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array, sparray

ELEMENTS_AT_ONCE = 1_000_000
"""Number of elements of the low-rank part that are computed together."""


@dataclass(frozen=True)
class BorderedInverse:
    """The covariance of all amplitudes for white noise: sources first, the terms of the background last.

    Parameters
    ----------
    core : sparse array (n, n)
        A⁻¹; its rows and columns are empty in the border.
    border : array (n, r)
        V, dense: one column for each row of the border.
    schur_inverse : array (r, r)
        S⁻¹, the covariance of the amplitudes in the border.
    tiles : tuple of arrays
        Indices of the amplitudes outside the border, in groups of close sources.
    """

    core: csr_array
    border: np.ndarray
    schur_inverse: np.ndarray
    tiles: tuple[np.ndarray, ...]

    @property
    def size(self) -> int:
        """Number of amplitudes."""
        return len(self.border)

    def __mul__(self, factor: float) -> BorderedInverse:
        """Return the inverse of the matrix divided by `factor`."""
        return replace(self, core=self.core * factor, schur_inverse=self.schur_inverse * factor)

    def permuted(self, order: np.ndarray) -> BorderedInverse:
        """Return the inverse with its amplitudes in another order; `order` has the index of each new one."""
        if (order == np.arange(self.size)).all():
            return self
        new = np.argsort(order)
        core = self.core[order][:, order]
        core.sort_indices()
        return replace(self, core=core, border=self.border[order], tiles=tuple(new[tile] for tile in self.tiles))

    def apply(self, right: np.ndarray) -> np.ndarray:
        """Return the inverse times `right`, shape (n,) or (n, k)."""
        return np.asarray(self.core @ right + self.border @ (self.schur_inverse @ (self.border.T @ right)))

    def elements(self, row: int, columns: np.ndarray) -> np.ndarray:
        """Return some elements of one row."""
        found = self.border[columns] @ (self.schur_inverse @ self.border[row])
        first, last = self.core.indptr[row : row + 2]
        present = self.core.indices[first:last]
        place = np.minimum(np.searchsorted(present, columns), max(len(present) - 1, 0))
        if len(present):
            found += np.where(present[place] == columns, self.core.data[first:last][place], 0.0)
        return np.asarray(found)

    def variances(self) -> np.ndarray:
        """Return the diagonal, shape (n,)."""
        return np.asarray(self.core.diagonal() + _row_products(self.border @ self.schur_inverse, self.border))

    def strongest_correlations(self, number: int, smallest: float) -> tuple[np.ndarray, np.ndarray]:
        """Return for each of the first `number` amplitudes the most correlated other one of these, and its correlation.

        Parameters
        ----------
        number : int
        smallest : float
            Correlations below this are not looked for; they are returned as 0, of the amplitude 0.

        Returns
        -------
        index, correlation : arrays (number,)
        """
        sigma = np.sqrt(self.variances()[:number])
        # the low-rank part of a correlation is a product of two of these vectors
        lengths, axes = np.linalg.eigh(self.schur_inverse)
        vectors = self.border[:number] @ (axes * np.sqrt(np.maximum(lengths, 0.0))) / sigma[:, None]
        core = self.core[:number][:, :number]
        index, correlation = _strongest_in_core(core, vectors, sigma)
        everything, in_border = np.arange(number), core.diagonal() == 0
        norms = np.where(in_border, 0.0, np.sqrt(_row_products(vectors, vectors)))
        reaching = np.flatnonzero(norms * norms.max(initial=0.0) >= smallest)
        wide = np.flatnonzero(in_border)
        for rows, columns in ((reaching, reaching), (everything, wide), (wide, everything)):
            _add_distant(core, vectors, sigma, rows, columns, index, correlation)
        weak = np.abs(correlation) < smallest
        return np.where(weak, 0, index), np.where(weak, 0.0, correlation)

    def propagated(self, matrix: sparray) -> tuple[np.ndarray, np.ndarray]:
        """Return the variances for noise with another covariance: the diagonal of F⁻¹ M F⁻¹.

        Parameters
        ----------
        matrix : sparse array (n, n)
            M, symmetric: the covariance of the right-hand side.

        Returns
        -------
        variances : array (n,)
        last : array (r, r)
            The covariance of the amplitudes in the border.
        """
        matrix = matrix.tocsr()
        dense = matrix @ self.border
        inner = self.border.T @ dense
        loading = self.border @ self.schur_inverse
        variance = 2.0 * _row_products(loading, self.core @ dense) + _row_products(loading @ inner, loading)
        for tile, members, rows in self._blocks():
            product = matrix[members][:, members] @ rows.T
            variance[tile] += np.einsum("kj,jk->k", rows, product)
        return variance, self.schur_inverse @ inner @ self.schur_inverse

    def summed_squares(self, responses: sparray) -> np.ndarray:
        """Return Σ_s (P F⁻¹)²_sk for each amplitude k, shape (n,).

        Parameters
        ----------
        responses : sparse array (s, n)
            P: the change of the right-hand side for one sigma of each independent error.
        """
        responses = responses.tocsc()
        dense = responses @ self.border
        loading = self.border @ self.schur_inverse
        variance = _row_products(loading @ (dense.T @ dense), loading)
        variance += 2.0 * _row_products(loading, self.core @ (responses.T @ dense))
        for tile, members, rows in self._blocks():
            local = responses[:, members].tocsr()
            local = local[np.flatnonzero(np.diff(local.indptr))]
            product = local @ rows.T
            variance[tile] += np.einsum("sk,sk->k", product, product)
        # rounding can make the smallest ones negative
        return np.maximum(variance, 0.0)

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (tile, members, rows): the core's rows of close sources, dense, in the columns where they have any."""
        for tile in self.tiles:
            part = self.core[tile]
            members = np.unique(part.indices)
            yield tile, members, part[:, members].toarray()


def _row_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the scalar product of each row of `a` with the same row of `b`."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


def _strongest_in_core(core: csr_array, vectors: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strongest correlation of each row among the elements that the core has, and its column."""
    index, correlation = np.zeros(len(sigma), dtype=int), np.zeros(len(sigma))
    step = max(1, ELEMENTS_AT_ONCE * len(sigma) // max(core.nnz, 1))
    for start in range(0, len(sigma), step):
        part = core[start : start + step].tocoo()
        rows, columns = part.row + start, part.col
        rho = part.data / (sigma[rows] * sigma[columns]) + _row_products(vectors[rows], vectors[columns])
        rho[rows == columns] = 0.0
        order = np.lexsort((-columns, np.abs(rho), rows))
        last = order[np.flatnonzero(np.diff(rows[order], append=-1))]
        index[rows[last]], correlation[rows[last]] = columns[last], rho[last]
    return index, correlation


def _add_distant(
    core: csr_array,
    vectors: np.ndarray,
    sigma: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    index: np.ndarray,
    correlation: np.ndarray,
) -> None:
    """Replace, in place, the correlations of some rows by stronger ones with some columns, distant ones included."""
    if not len(columns):
        return
    step = max(1, ELEMENTS_AT_ONCE // len(columns))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        rho = core[part][:, columns].toarray() / np.outer(sigma[part], sigma[columns])
        rho += vectors[part] @ vectors[columns].T
        rho[part[:, None] == columns] = 0.0
        best = np.argmax(np.abs(rho), axis=1)
        found = rho[np.arange(len(part)), best]
        stronger = np.abs(found) > np.abs(correlation[part])
        index[part[stronger]], correlation[part[stronger]] = columns[best[stronger]], found[stronger]
