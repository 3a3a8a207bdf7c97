"""Normal equations of templates and a background, and their solution.

The matrix is scaled to a unit diagonal, a ridge of 1e-10 is added, and it is inverted in parts of the field, see
`bordered_inverse`. The ridge has no effect unless the data cannot distinguish two templates: identical templates then
share their flux equally, with errors larger by 7e4.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import UnblendError
from .bordered_inverse import BorderedInverse

if TYPE_CHECKING:
    from scipy.sparse import csr_array

log = logging.getLogger(__name__)

RIDGE = 1e-10
"""Ridge on the unit diagonal: far below any correlation that data can measure, far above rounding errors (1e-16 n)."""

ROWS = 256
"""Number of rows of a matrix that are mirrored together."""

TILE_SIZE = 500
"""Largest number of sources in a part of the field. A part of 500 is inverted together with the 100 to 1000 sources
around it, in 0.1 to 0.5 s; smaller parts share more of these, larger ones take longer (n³)."""

BLOCK_SIZE = 200
"""Number of close sources whose rows of the inverse are multiplied together."""

TRUNCATION = 1e-6
"""Largest error of an inverse matrix that stops short of distant sources: the norm of a row of A⁻¹A − 1, over the root
of the diagonal element of A⁻¹. The errors of fluxes are wrong by about its square."""

SMALLEST_ELEMENT = 1e-10
"""Elements of the inverse below this correlation are dropped."""

MAX_MEMBERS = 4000
"""Largest number of sources that are inverted together, which takes 0.3 GB."""

SMALLEST_TILE = 50
"""Parts of the field with this number of sources are not divided further."""

WIDE_OVERLAPS = 200, 4.0
"""A source is part of the border if it overlaps more than 200 sources plus 4 times the median number: a galaxy as large
as the field, which would make neighbours of all sources."""


@dataclass(frozen=True)
class NormalEquations:
    """The normal equations: a sparse matrix for the templates, and dense columns for the terms of the background.

    Parameters
    ----------
    boxes : array (n, 4)
        Boxes of the templates: y0, x0, y1, x1.
    i, j, value : arrays
        Elements of the templates' matrix, i <= j; every diagonal element is included.
    columns : array (n, t)
        Sums of weight × template × term of the background.
    corner : array (t, t)
        Sums of weight × term × term.
    right : array (n + t,)
        Right-hand side, with the terms of the background last.
    """

    boxes: np.ndarray
    i: np.ndarray
    j: np.ndarray
    value: np.ndarray
    columns: np.ndarray
    corner: np.ndarray
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

    def matrix(self) -> csr_array:
        """Return the whole matrix (n + t, n + t), sparse."""
        return whole_matrix(self.i, self.j, self.value, self.columns, self.corner)


def whole_matrix(i: np.ndarray, j: np.ndarray, value: np.ndarray, columns: np.ndarray, corner: np.ndarray) -> csr_array:
    """Return the symmetric matrix of elements with i <= j, bordered by dense `columns` (n, t) and a `corner` (t, t).

    Parameters
    ----------
    i, j : int arrays (k,)
        Row and column of each element.
    value : array (k,)
    columns : array (n, t)
    corner : array (t, t)
    """
    from scipy.sparse import block_array, coo_array

    n, off = len(columns), i != j
    elements = np.concatenate([value, value[off]])
    places = np.concatenate([i, j[off]]), np.concatenate([j, i[off]])
    inner = coo_array((elements, places), shape=(n, n)).tocsr()
    return block_array([[inner, columns], [columns.T, corner]], format="csr")


def scaled_solve(matrix: np.ndarray, right: np.ndarray, *, ridge: float = RIDGE) -> tuple[np.ndarray, np.ndarray]:
    """Return (solution, inverse) of a symmetric positive matrix (n, n), scaled to a unit diagonal with a ridge added.

    `matrix` is overwritten; its diagonal must be positive.

    Parameters
    ----------
    matrix : array (n, n)
    right : array (n,) or (n, m)
    ridge : float
        Added to the unit diagonal.

    Raises
    ------
    UnblendError
        If the matrix is not positive definite.
    """
    from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    matrix *= scale
    matrix *= scale[:, None]
    matrix[np.diag_indices_from(matrix)] += ridge
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


def solve(system: NormalEquations, *, tile_size: int = TILE_SIZE) -> tuple[np.ndarray, BorderedInverse]:
    """Return the amplitudes, with the terms of the background last, and the inverse.

    The amplitudes are exact. The inverse is exact if there are no more than `tile_size` templates. Otherwise its rows
    come from parts of the field, each with as many sources around it as `TRUNCATION` needs. The errors of 3000 sources
    (Moffat and Gaussian profiles, up to 600 per square arcminute seen by Spitzer) then agree with those from the whole
    matrix to 1e-11.
    """
    from scipy.sparse import diags_array

    n, terms = system.n, len(system.corner)
    unit = 1.0 / np.sqrt(np.append(system.diagonal, np.diagonal(system.corner)))
    matrix = _unit_diagonal(system, unit)
    centres = system.boxes.reshape(-1, 2, 2).mean(axis=1)
    wide = _wide_sources(matrix[:n][:, :n]) if n > tile_size else np.zeros(0, dtype=int)
    border = np.append(wide, np.arange(n, n + terms))
    sparse = np.setdiff1d(np.arange(n), wide)

    inner = matrix[sparse][:, sparse]
    core = _inverse_in_tiles(inner, centres[sparse], tile_size)
    columns = matrix[sparse][:, border].toarray()
    coupling = _refine(inner, core, np.column_stack([columns, (system.right * unit)[sparse]]))
    coupling, alone = coupling[:, :-1], coupling[:, -1]
    corner = matrix[border][:, border].toarray() - columns.T @ coupling
    right = (system.right * unit)[border] - columns.T @ alone
    in_border, schur_inverse = scaled_solve(corner, right, ridge=0.0)

    amplitudes = np.empty(n + terms)
    amplitudes[border], amplitudes[sparse] = in_border, alone - coupling @ in_border
    vectors = np.zeros((n + terms, len(border)))
    vectors[sparse], vectors[border] = coupling * unit[sparse, None] / unit[border], -np.eye(len(border))
    schur_inverse *= np.outer(unit[border], unit[border])
    blocks = tuple(sparse[tile] for tile in _tiles(centres[sparse], np.arange(len(sparse)), BLOCK_SIZE))
    scaling = diags_array(unit)
    core = (scaling @ _placed(core, sparse, n + terms) @ scaling).tocsr()
    return amplitudes * unit, BorderedInverse(core, vectors, schur_inverse, blocks)


def _unit_diagonal(system: NormalEquations, unit: np.ndarray) -> csr_array:
    """Return the matrix (n + t, n + t) scaled to a unit diagonal, with the ridge."""
    from scipy.sparse import diags_array

    scaling = diags_array(unit)
    return (scaling @ system.matrix() @ scaling + RIDGE * diags_array(np.ones(len(unit)))).tocsr()


def _wide_sources(matrix: csr_array) -> np.ndarray:
    """Return the sources that overlap many more others than most do."""
    overlaps = np.diff(matrix.indptr)
    return np.flatnonzero(overlaps > WIDE_OVERLAPS[0] + WIDE_OVERLAPS[1] * np.median(overlaps))


def _placed(core: csr_array, index: np.ndarray, size: int) -> csr_array:
    """Return the matrix of a part of the amplitudes, given by `index` in increasing order, as one of all of them."""
    from scipy.sparse import csr_array

    counts = np.zeros(size, dtype=core.indptr.dtype)
    counts[index] = np.diff(core.indptr)
    indices = index.astype(core.indices.dtype)[core.indices]
    return csr_array((core.data, indices, np.append(0, np.cumsum(counts))), shape=(size, size))


def _tiles(centres: np.ndarray, index: np.ndarray, size: int) -> list[np.ndarray]:
    """Split the sources in halves along the longer axis until each part has at most `size` of them."""
    if len(index) <= size:
        return [index] if len(index) else []
    first, second = _halves(centres, index)
    return _tiles(centres, first, size) + _tiles(centres, second, size)


def _halves(centres: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the sources in halves along the longer axis."""
    axis = int(np.argmax(np.ptp(centres[index], axis=0)))
    ranked = index[np.argsort(centres[index, axis], kind="stable")]
    half = len(ranked) // 2
    return np.sort(ranked[:half]), np.sort(ranked[half:])


def _inverse_in_tiles(matrix: csr_array, centres: np.ndarray, tile_size: int) -> csr_array:
    """Return the inverse of a matrix with unit diagonal, its rows computed in parts of the field."""
    from scipy.sparse import csr_array, vstack

    n, worst = matrix.shape[0], 0.0
    todo, done, parts = _tiles(centres, np.arange(n), tile_size), [], []
    while todo:
        tile = todo.pop()
        rows, error = _local_rows(matrix, tile)
        if error > TRUNCATION and len(tile) > SMALLEST_TILE:
            todo.extend(_halves(centres, tile))  # a smaller part reaches farther
            continue
        worst = max(worst, error)
        done.append(tile)
        parts.append(rows)
    if worst > TRUNCATION:
        log.warning("The flux errors of some sources are approximate: more than %d templates overlap, and their normal "
                    "matrix cannot be inverted in parts without an error of %.0e.", MAX_MEMBERS, worst)  # fmt: skip
    if not parts:
        return csr_array((n, n))
    return csr_array(vstack(parts, format="csr"))[np.argsort(np.concatenate(done))]


def _local_rows(matrix: csr_array, tile: np.ndarray) -> tuple[csr_array | None, float]:
    """Return the rows `tile` of the inverse, shape (len(tile), n), and their error as defined at `TRUNCATION`.

    They are those of the inverse of the tile and the sources around it, of more and more steps along overlaps until the
    error is small, or there are too many sources: then the error is large, or there are no rows.
    """
    near = np.zeros(matrix.shape[0], dtype=bool)
    near[tile] = True
    rows: csr_array | None = None
    error = np.inf
    while error > TRUNCATION:
        grown = near.copy()
        grown[matrix[np.flatnonzero(near)].indices] = True
        if grown.sum() > MAX_MEMBERS and (len(tile) > SMALLEST_TILE or rows is not None):
            break
        near = grown
        rows, error = _rows_within(matrix, tile, np.flatnonzero(near))
    return rows, error


def _rows_within(matrix: csr_array, tile: np.ndarray, members: np.ndarray) -> tuple[csr_array, float]:
    """Return the rows `tile` of the inverse of the part `members` of a matrix, and their error."""
    from scipy.sparse import csr_array

    around = matrix[members]
    _, inverse = scaled_solve(around[:, members].toarray(), np.zeros(len(members)), ridge=0.0)
    sigma = np.sqrt(np.diagonal(inverse))
    own = np.searchsorted(members, tile)
    rows = inverse[own]
    outside = np.ones(matrix.shape[0], dtype=bool)
    outside[members] = False
    left_out = around[:, np.unique(around.indices[outside[around.indices]])].T @ rows.T
    error = float((np.linalg.norm(left_out, axis=0) / sigma[own]).max(initial=0.0))
    rows[np.abs(rows) < SMALLEST_ELEMENT * np.outer(sigma[own], sigma)] = 0.0
    sparse = csr_array(rows)
    placed = csr_array((sparse.data, members[sparse.indices], sparse.indptr), shape=(len(tile), matrix.shape[0]))
    return placed, error


def _refine(matrix: csr_array, core: csr_array, right: np.ndarray) -> np.ndarray:
    """Solve matrix x = right (n, k) by iterative refinement with the nearly exact inverse, directly if that stalls."""
    from scipy.sparse.linalg import spsolve

    x, rest = np.zeros_like(right), right
    size = np.linalg.norm(right, axis=0)
    for _ in range(50):
        x = x + core @ rest
        rest = right - matrix @ x
        # 1e-12 is below the rounding errors of the matrix elements
        if (np.linalg.norm(rest, axis=0) <= 1e-12 * size).all():
            return x
    return np.asarray(spsolve(matrix.tocsc(), right)).reshape(right.shape)
