"""Normal equations of templates and a background level: sums over overlapping boxes, and a dense or local inverse.

The matrix is scaled to a unit diagonal, a ridge of 1e-10 is added, and it is factorised. The ridge has no effect unless
the data cannot distinguish two templates: identical templates then share their flux equally, with errors larger by 7e4.
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
"""Ridge on the unit diagonal: far below any correlation that data can measure, far above rounding errors (1e-16 n)."""

ROWS = 256
"""Number of rows of the inverse in a block, which limits the memory (10 MB for 5000 sources)."""


@dataclass(frozen=True)
class LocalInverse:
    """The inverse of a large normal matrix: approximate for the templates, exact for the background level.

    Parameters
    ----------
    core : sparse array (n, n)
        Inverse of the templates' part. Each row is taken from the dense inverse of the sources around it (two steps
        along overlapping boxes).
    coupling : array (n,)
        That inverse times the column of the background level.
    schur : float
        Inverse variance of the background level with all templates free.
    """

    core: csr_array
    coupling: np.ndarray
    schur: float

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return rows of the whole inverse, shape (len(index), n + 1), with the background level last."""
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
    """The normal equations: a sparse matrix for the templates, and a column for the background level.

    Parameters
    ----------
    boxes : array (n, 4)
        Boxes of the templates: y0, x0, y1, x1.
    i, j, value : arrays
        Elements of the templates' matrix, i <= j; every diagonal element is included.
    column : array (n,)
        Column of the background level: sums of weight × template.
    total_weight : float
        Diagonal element of the background level.
    right : array (n + 1,)
        Right-hand side, with the background level last.
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
        """Weighted square sum of each template, shape (n,): the inverse variance of the flux of an isolated source."""
        same = self.i == self.j
        diagonal = np.zeros(self.n)
        diagonal[self.i[same]] = self.value[same]
        return diagonal


Inverse = np.ndarray | LocalInverse


def pair_products(
    boxes_a: np.ndarray, make_a: Callable[[int], np.ndarray], boxes_b: np.ndarray, b: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (i, j, value) with i <= j: the sums of a_i × b_j over common pixels, for pairs whose `boxes_a` overlap.

    Parameters
    ----------
    boxes_a, boxes_b : arrays (n, 4)
        Not empty, columns y0, x0, y1, x1; each box of `b` lies inside its box of `a`.
    make_a : callable
        Index -> array of the shape of its box. Called once per source, so that one such array is in memory at a time.
    b : sequence of arrays
    """
    i, j = overlapping_pairs(boxes_a)
    bounds = np.searchsorted(i, np.arange(len(boxes_a) + 1))
    value = np.zeros(len(i))
    for k in range(len(boxes_a)):
        run = slice(bounds[k], bounds[k + 1])
        others, a = j[run], make_a(k)
        # plain integers: a Box for each pair would take longer than the product of its pixels
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
    """Return indices (i, j), i <= j, of all pairs of boxes (n, 4) that share a pixel, including each box with itself.

    The boxes are sorted along Y: each box overlaps only boxes that begin before it ends.
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
    """Return a context in which BLAS uses one thread: with more, the last bit of its sums depends on their number."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def scaled_solve(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (solution, inverse) of a symmetric positive matrix (n, n), scaled to a unit diagonal with the ridge added.

    `matrix` is overwritten; its diagonal must be positive.

    Raises
    ------
    UnblendError
        If the matrix is not positive definite.
    """
    from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    matrix *= scale
    matrix *= scale[:, None]
    matrix[np.diag_indices_from(matrix)] += RIDGE
    # the transpose of a C array has the memory order of LAPACK: nothing is copied
    factor, failed = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise UnblendError(
            f"The normal matrix of {len(matrix)} amplitudes is not positive definite. Templates and weights must be "
            "finite: check the band's weight map and the models."
        )
    solution, _ = dpotrs(factor, right * scale, lower=1)
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(inverse), ROWS):  # mirror the lower triangle in blocks, without a second matrix in memory
        rows, after = slice(start, start + ROWS), slice(start + ROWS, None)
        lower = np.tril(inverse[rows, rows])
        inverse[rows, rows] = lower + np.tril(lower, -1).T
        inverse[rows, after] = inverse[after, rows].T
    inverse *= scale
    inverse *= scale[:, None]
    return solution * scale, inverse


def solve_dense(system: NormalEquations) -> tuple[np.ndarray, np.ndarray]:
    """Return the amplitudes, with the background level last, and the whole inverse (n + 1, n + 1)."""
    n = system.n
    matrix = np.zeros((n + 1, n + 1))
    matrix[system.i, system.j] = system.value
    matrix[system.j, system.i] = system.value
    matrix[n, :n] = matrix[:n, n] = system.column
    matrix[n, n] = system.total_weight
    return scaled_solve(matrix, system.right)


def solve_local(system: NormalEquations) -> tuple[np.ndarray, LocalInverse]:
    """Return the amplitudes, solved exactly with dense inverses of parts of the field, and the local inverse."""
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
    scaling = diags_array(scale)
    inverse = LocalInverse(csr_array(scaling @ core @ scaling), u * scale, schur)
    return np.append((y - u * background) * scale, background), inverse


def _tiles(centres: np.ndarray, index: np.ndarray, size: int = 1000) -> list[np.ndarray]:
    """Split the sources in halves along the longer axis until each part has at most `size` of them."""
    if len(index) <= size:
        return [index]
    axis = int(np.argmax(np.ptp(centres[index], axis=0)))
    ranked = index[np.argsort(centres[index, axis], kind="stable")]
    half = len(ranked) // 2
    return _tiles(centres, np.sort(ranked[:half]), size) + _tiles(centres, np.sort(ranked[half:]), size)


def _local_rows(matrix: csr_array, tile: np.ndarray) -> csr_array:
    """Return the rows `tile` of the inverse of all sources within two overlaps of the tile, shape (len(tile), n)."""
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
    """Solve matrix x = right by iterative refinement with the nearly exact inverse `core`, or directly if it stalls."""
    from scipy.sparse.linalg import spsolve

    x, rest = np.zeros_like(right), right
    for _ in range(50):
        x = x + core @ rest
        rest = right - matrix @ x
        # 1e-12 is below the rounding errors of the matrix elements
        if np.linalg.norm(rest) <= 1e-12 * np.linalg.norm(right):
            return x
    return spsolve(matrix.tocsc(), right)


def inverse_rows(inverse: Inverse, index: np.ndarray) -> np.ndarray:
    """Return rows of the inverse, dense, shape (len(index), n + 1)."""
    return inverse[index] if isinstance(inverse, np.ndarray) else inverse.rows(index)


def permuted_inverse(inverse: Inverse, ranked: np.ndarray) -> Inverse:
    """Return the inverse with its sources in the order `ranked`, without a copy where the order does not change."""
    if (ranked == np.arange(len(ranked))).all():
        return inverse
    if isinstance(inverse, LocalInverse):
        return inverse.permuted(ranked)
    ranked = np.append(ranked, len(ranked))
    return inverse[np.ix_(ranked, ranked)]
