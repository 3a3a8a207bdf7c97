"""Normal equations of templates and a constant: sums over overlapping boxes, and the inverse, dense or local.

The matrix is scaled to a unit diagonal, given a ridge of 1e-10 and factorised. The ridge, taken after the scaling, is
invisible unless the data cannot tell templates apart: identical ones then share their light equally, with errors
inflated by 7e4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import UnblendError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

RIDGE = 1e-10
"""Added to the unit diagonal: far below any correlation that data can measure, far above rounding (1e-16 n)."""

ROWS = 256
"""Rows of the inverse handled at a time, to bound memory (10 MB at 5000 sources)."""


@dataclass(frozen=True)
class LocalInverse:
    """The inverse of a large normal matrix: `core` inverts the templates' part, the constant is exact.

    Each row of `core` is from the dense inverse of the sources around it (two steps along overlapping boxes);
    `coupling` is that inverse times the constant's column, `schur` the constant's weight once all templates are free.
    """

    core: csr_array
    coupling: np.ndarray
    schur: float

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return rows of the whole inverse, shape (len(index), n + 1), the constant last."""
        u = np.append(self.coupling, -1.0)
        block = np.outer(u[index], u) / self.schur
        inside = index < len(self.coupling)
        block[inside, :-1] += self.core[index[inside]].toarray()
        return block

    def permuted(self, order: np.ndarray) -> LocalInverse:
        """Return the inverse with its templates in another order."""
        return LocalInverse(self.core[order][:, order], self.coupling[order], self.schur)

    def __mul__(self, factor: float) -> LocalInverse:
        """Return the inverse of the matrix divided by `factor`."""
        return LocalInverse(self.core * factor, self.coupling, self.schur / factor)


@dataclass(frozen=True)
class NormalEquations:
    """Templates' matrix as elements value[k] at (i[k], j[k]), i <= j, every (k, k) included; the constant apart.

    `column` is the sum of weight × template, the constant's column; `right` the right-hand side, the constant last;
    `boxes` (n, 4) the templates' boxes.
    """

    boxes: np.ndarray
    i: np.ndarray
    j: np.ndarray
    value: np.ndarray
    column: np.ndarray
    total_weight: float
    right: np.ndarray

    @property
    def n(self) -> int:
        """Number of templates."""
        return len(self.boxes)

    @property
    def diagonal(self) -> np.ndarray:
        """Each template's weighted square sum, shape (n,): the inverse variance of its flux were it alone."""
        same = self.i == self.j
        diagonal = np.zeros(self.n)
        diagonal[self.i[same]] = self.value[same]
        return diagonal


Inverse = np.ndarray | LocalInverse


def pair_products(
    boxes_a: np.ndarray, make_a: Callable[[int], np.ndarray], boxes_b: np.ndarray, b: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (i, j, value), i <= j: the sum of make_a(i) × b[j] over common pixels, for pairs whose boxes `a` overlap.

    Boxes are arrays (n, 4) of y0, x0, y1, x1, not empty; each box of `b` lies inside its box of `a`. `make_a` is called
    once per source, so that only one of its arrays is in memory.
    """
    i, j = overlapping_pairs(boxes_a)
    bounds = np.searchsorted(i, np.arange(len(boxes_a) + 1))
    value = np.zeros(len(i))
    for k in range(len(boxes_a)):
        run = slice(bounds[k], bounds[k + 1])
        others, a = j[run], make_a(k)
        # plain integers from here: a Box per pair would cost more than the product of its pixels
        start = np.maximum(boxes_a[k, :2], boxes_b[others, :2])
        stop = np.maximum(start, np.minimum(boxes_a[k, 2:], boxes_b[others, 2:]))
        in_a = np.hstack([start, stop]) - np.tile(boxes_a[k, :2], 2)
        in_b = np.hstack([start, stop]) - np.tile(boxes_b[others, :2], 2)
        value[run] = [
            np.einsum("ij,ij->", a[y0:y1, x0:x1], b[other][v0:v1, u0:u1])
            for other, (y0, x0, y1, x1), (v0, u0, v1, u1) in zip(
                others.tolist(), in_a.tolist(), in_b.tolist(), strict=True
            )
        ]
    return i, j, value


def overlapping_pairs(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return indices (i, j), i <= j, of all pairs of boxes (n, 4) that share a pixel, each box with itself included.

    A sweep along Y: each box meets only those that begin before it ends.
    """
    n = len(boxes)
    order = np.argsort(boxes[:, 0], kind="stable")
    y0, x0, y1, x1 = boxes[order].T
    ends = np.searchsorted(y0, y1, side="left")
    first, second = [np.arange(n)], [np.arange(n)]
    for k in range(n):
        later = np.arange(k + 1, ends[k])
        later = later[(x0[later] < x1[k]) & (x1[later] > x0[k])]
        first.append(np.full(len(later), order[k]))
        second.append(order[later])
    i, j = np.concatenate(first), np.concatenate(second)
    i, j = np.minimum(i, j), np.maximum(i, j)
    ranked = np.lexsort((j, i))
    return i[ranked], j[ranked]


def single_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread: the last bit of its sums depends on the number of threads."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def scaled_solve(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (solution, inverse) of a symmetric positive matrix (n, n), scaled to a unit diagonal with the ridge added.

    `matrix` is overwritten. A zero on the diagonal is an error of the caller.
    """
    from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    matrix *= scale
    matrix *= scale[:, None]
    matrix[np.diag_indices_from(matrix)] += RIDGE
    # the transpose of a C array is in LAPACK's order: nothing is copied
    factor, failed = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise UnblendError(
            f"The normal matrix of {len(matrix)} amplitudes is not positive: expected finite templates and weights; "
            "check the band's weight map and the models."
        )
    solution, _ = dpotrs(factor, right * scale, lower=1)
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(inverse), ROWS):  # mirror the lower triangle by blocks: no second matrix in memory
        rows, after = slice(start, start + ROWS), slice(start + ROWS, None)
        lower = np.tril(inverse[rows, rows])
        inverse[rows, rows] = lower + np.tril(lower, -1).T
        inverse[rows, after] = inverse[after, rows].T
    inverse *= scale
    inverse *= scale[:, None]
    return solution * scale, inverse


def solve_dense(system: NormalEquations) -> tuple[np.ndarray, np.ndarray]:
    """Return the amplitudes, the constant last, and the whole inverse (n + 1, n + 1)."""
    n = system.n
    matrix = np.zeros((n + 1, n + 1))
    matrix[system.i, system.j] = system.value
    matrix[system.j, system.i] = system.value
    matrix[n, :n] = matrix[:n, n] = system.column
    matrix[n, n] = system.total_weight
    return scaled_solve(matrix, system.right)


def solve_local(system: NormalEquations) -> tuple[np.ndarray, LocalInverse]:
    """Solve by the dense inverses of parts of the field, which then precondition the exact solution."""
    from scipy.sparse import coo_array, csr_array, diags_array, vstack

    n, off = system.n, system.i != system.j
    scale = 1.0 / np.sqrt(system.diagonal)
    rows, columns = np.append(system.i, system.j[off]), np.append(system.j, system.i[off])
    value = np.append(system.value, system.value[off]) * scale[rows] * scale[columns]
    matrix = csr_array(coo_array((value, (rows, columns)), shape=(n, n))) + RIDGE * diags_array(np.ones(n)).tocsr()
    centres = system.boxes.reshape(-1, 2, 2).mean(axis=1)
    tiles = _tiles(centres, np.arange(n))
    parts = [_local_rows(matrix, tile) for tile in tiles]
    back = np.argsort(np.concatenate(tiles))
    core = csr_array(vstack(parts, format="csr"))[back]

    column = system.column * scale
    u, y = _refine(matrix, core, column), _refine(matrix, core, system.right[:-1] * scale)
    schur = system.total_weight - float(column @ u)
    background = (system.right[-1] - float(column @ y)) / schur
    spread = diags_array(scale)
    inverse = LocalInverse(csr_array(spread @ core @ spread), u * scale, schur)
    return np.append((y - u * background) * scale, background), inverse


def _tiles(centres: np.ndarray, index: np.ndarray, size: int = 1000) -> list[np.ndarray]:
    """Halve the sources along the longer side until at most `size` are together."""
    if len(index) <= size:
        return [index]
    axis = int(np.argmax(np.ptp(centres[index], axis=0)))
    ranked = index[np.argsort(centres[index, axis], kind="stable")]
    half = len(ranked) // 2
    return _tiles(centres, np.sort(ranked[:half]), size) + _tiles(centres, np.sort(ranked[half:]), size)


def _local_rows(matrix: csr_array, tile: np.ndarray) -> csr_array:
    """Return the rows `tile` of the inverse of the sources within two overlaps of the tile, shape (len(tile), n)."""
    from scipy.sparse import csr_array

    near = np.zeros(matrix.shape[0], dtype=bool)
    near[tile] = True
    for _ in range(2):
        near[np.unique(matrix[np.flatnonzero(near)].indices)] = True
    members = np.flatnonzero(near)
    _, inverse = scaled_solve(matrix[members][:, members].toarray(), np.zeros(len(members)))
    part = inverse[np.searchsorted(members, tile)]
    part[np.abs(part) < 1e-13] = 0.0
    sparse = csr_array(part)
    return csr_array((sparse.data, members[sparse.indices], sparse.indptr), shape=(len(tile), matrix.shape[0]))


def _refine(matrix: csr_array, core: csr_array, right: np.ndarray) -> np.ndarray:
    """Solve matrix x = right by refinement with the nearly exact inverse `core`, or directly if that stalls."""
    from scipy.sparse.linalg import spsolve

    x, rest = np.zeros_like(right), right
    for _ in range(50):
        x = x + core @ rest
        rest = right - matrix @ x
        # 1e-12: below the rounding of the sums that made the matrix
        if np.linalg.norm(rest) <= 1e-12 * np.linalg.norm(right):
            return x
    return spsolve(matrix.tocsc(), right)


def inverse_rows(inverse: Inverse, index: np.ndarray) -> np.ndarray:
    """Return rows of the inverse, dense, shape (len(index), n + 1)."""
    return inverse[index] if isinstance(inverse, np.ndarray) else inverse.rows(index)


def permuted_inverse(inverse: Inverse, ranked: np.ndarray) -> Inverse:
    """Return the inverse with its sources in the order `ranked`, the constant last; no copy where none is needed."""
    if (ranked == np.arange(len(ranked))).all():
        return inverse
    if isinstance(inverse, LocalInverse):
        return inverse.permuted(ranked)
    ranked = np.append(ranked, len(ranked))
    return inverse[np.ix_(ranked, ranked)]
