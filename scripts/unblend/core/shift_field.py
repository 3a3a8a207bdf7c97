"""The astrometric shift at every place of a band: a polynomial in the position on the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .polynomials import degrees


@dataclass(frozen=True)
class ShiftField:
    """A shift that varies smoothly over the image of a band, (dy, dx) in pixels, to be added to positions of models.

    A term is the product of Chebyshev polynomials T_i(y) T_j(x), i + j <= order, of coordinates that run from −1 to 1
    over the area in which offsets were measured. Beyond that area the shift is that of its nearest border: a polynomial
    says nothing there.

    Parameters
    ----------
    order : int
        Largest i + j of a term; 0 for a constant.
    area : (y0, x0, y1, x1)
        The area of the measured offsets, pixels.
    coefficients : array (2, t)
        Of dy and of dx for every term, the constant first; pixels.
    covariance : array (2, t, t)
        Of the coefficients of dy and of dx, pixels².
    """

    order: int
    area: tuple[float, float, float, float]
    coefficients: np.ndarray
    covariance: np.ndarray

    @classmethod
    def constant(cls, shift: tuple[float, float], error: tuple[float, float] = (0.0, 0.0)) -> ShiftField:
        """Return the same shift (dy, dx) everywhere, with its error."""
        covariance = np.square(np.array(error, dtype=float))[:, None, None]
        return cls(0, (0.0, 0.0, 0.0, 0.0), np.array(shift, dtype=float)[:, None], covariance)

    def moved(self, dy: float, dx: float) -> ShiftField:
        """Return the field in an image in which all pixel positions are larger by (dy, dx)."""
        y0, x0, y1, x1 = self.area
        return replace(self, area=(y0 + dy, x0 + dx, y1 + dy, x1 + dx))

    @cached_property
    def degrees(self) -> tuple[tuple[int, int], ...]:
        """The degrees (i, j) along y and x of every term, the constant first."""
        return degrees(self.order)

    def terms(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return every term at n positions, shape (n, t)."""
        return polynomial_terms(self.order, self.area, y, x)

    def at(self, y: float, x: float) -> tuple[float, float]:
        """Return the shift (dy, dx) at the un-shifted position (y, x) of a model, pixels."""
        if self.order == 0:
            return float(self.coefficients[0, 0]), float(self.coefficients[1, 0])
        dy, dx = self.coefficients @ self.terms(np.array([y]), np.array([x]))[0]
        return float(dy), float(dx)

    def values(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the shifts dy and dx at n un-shifted positions, shape (2, n), pixels."""
        return np.asarray(self.coefficients @ self.terms(y, x).T)

    def as_json(self) -> dict[str, Any]:
        """Return the field as lists of numbers for a JSON file."""
        return {
            "order": self.order,
            "area": list(self.area),
            "coefficients": self.coefficients.tolist(),
            "covariance": self.covariance.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShiftField:
        """Return the field that `as_json` has described."""
        y0, x0, y1, x1 = content["area"]
        return cls(
            int(content["order"]), (y0, x0, y1, x1), np.array(content["coefficients"]), np.array(content["covariance"])
        )


def polynomial_terms(order: int, area: tuple[float, float, float, float], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return T_i(y) T_j(x), i + j <= order, at n positions, shape (n, t); beyond the area those at its border.

    Parameters
    ----------
    order : int
    area : (y0, x0, y1, x1)
        Where the coordinates of the polynomials are −1 and 1.
    y, x : arrays (n,)
        Pixels.
    """
    y0, x0, y1, x1 = area
    along_y, along_x = (
        np.polynomial.chebyshev.chebvander(_coordinate(np.asarray(values, dtype=float), low, high), order)
        for values, low, high in ((y, y0, y1), (x, x0, x1))
    )
    i, j = np.array(degrees(order)).T
    return np.asarray(along_y[:, i] * along_x[:, j])


def _coordinate(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values within low … high as −1 … 1; 0 where the interval has no length."""
    if high <= low:
        return np.zeros_like(values)
    return np.clip(2.0 * (values - low) / (high - low) - 1.0, -1.0, 1.0)
