"""The background of a band as a polynomial that is fitted together with the fluxes.

A term is the product of Chebyshev polynomials T_i(y) T_j(x), i + j <= order, of coordinates that run from −1 to 1 from
the centre of the first to that of the last pixel of the image. The first term is the constant 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.polynomials import degrees
from ..core.types import Box


@dataclass(frozen=True)
class BackgroundPolynomial:
    """The terms of the background of one image.

    Parameters
    ----------
    shape : (ny, nx)
        Shape of the image.
    order : int
        Largest i + j of a term; 0 for a constant.
    """

    shape: tuple[int, int]
    order: int = 0

    @cached_property
    def terms(self) -> tuple[tuple[int, int], ...]:
        """The degrees (i, j) along y and x of every term, the constant first."""
        return degrees(self.order)

    @cached_property
    def _degrees(self) -> tuple[np.ndarray, np.ndarray]:
        i, j = np.array(self.terms).T
        return i, j

    @cached_property
    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        """The polynomials T_0 … T_2·order at every row and every column, shape (side, 2 order + 1) each."""
        ny, nx = (np.polynomial.chebyshev.chebvander(_coordinate(side), 2 * self.order) for side in self.shape)
        return ny, nx

    def products(self, images: np.ndarray, box: Box | None = None) -> np.ndarray:
        """Return Σ image × term for each term, shape (..., terms).

        Parameters
        ----------
        images : array (..., ny, nx)
            On the pixels of the image, or of a box in it.
        box : Box, optional
        """
        moments = self._moments(images, self.order, box)
        return moments[(..., *self._degrees)]

    def corner(self, weight: np.ndarray) -> np.ndarray:
        """Return Σ weight × term × term for each pair of terms, shape (terms, terms); the weight has (ny, nx)."""
        # T_i T_k = (T_i+k + T_|i−k|) / 2
        moments = self._moments(weight, 2 * self.order, None)
        (along_y, y_sums), (along_x, x_sums) = ((d[:, None] - d, d[:, None] + d) for d in self._degrees)
        ys, xs = (np.abs(along_y), y_sums), (np.abs(along_x), x_sums)
        return np.asarray(sum(moments[y, x] for y in ys for x in xs) / 4.0)

    def image(self, coefficients: np.ndarray, box: Box | None = None) -> np.ndarray:
        """Return the background, shape (ny, nx), or that of a box in the image."""
        rows, columns = self._part(box)
        matrix = np.zeros((self.order + 1, self.order + 1))
        matrix[self._degrees] = coefficients
        return np.asarray(rows[:, : self.order + 1] @ matrix @ columns[:, : self.order + 1].T)

    def mean(self, usable: np.ndarray) -> np.ndarray:
        """Return the mean of each term over the usable pixels, shape (terms,): with it the mean level is a sum."""
        usable = np.asarray(usable, dtype=float)
        return self.products(usable) / usable.sum()

    def _part(self, box: Box | None) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = self._values
        return (rows, columns) if box is None else (rows[box.slices[0]], columns[box.slices[1]])

    def _moments(self, images: np.ndarray, degree: int, box: Box | None) -> np.ndarray:
        """Return Σ image × T_i(y) T_j(x), shape (..., degree + 1, degree + 1)."""
        rows, columns = (values[:, : degree + 1] for values in self._part(box))
        # not matrix products, whose sums depend on the number of cores
        return np.einsum("...yj,yi->...ij", np.einsum("...yx,xj->...yj", images, columns), rows)


def _coordinate(side: int) -> np.ndarray:
    """Return the coordinate of each pixel along an axis, from −1 to 1; 0 where there is only one."""
    return np.linspace(-1.0, 1.0, side) if side > 1 else np.zeros(side)
