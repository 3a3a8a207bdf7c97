"""The error of a flux that comes from the uncertain shape of its template.

To first order a template that is wrong by δT changes the flux f of its source by −f g·δT, with g the source's influence
(the change of its flux per unit of light in each pixel). With the fit's covariance of position and shape C and the
templates' derivatives D this is an error f √(g·D C Dᵀ·g). C is marginal over the fit's own flux and sky, so that no
noise counts twice.

Nothing is drawn: g·D is a sum over frequencies (Parseval) of the transforms of g, of the PSF and of the profile's
derivatives, the last from `sersic_transform`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from .domain import Box, Model, Template
from .linear import Solution, box_array, influence
from .psf import fwhm, transform
from .sersic_transform import sersic_derivatives
from .templates import TemplateEngine

PARAMETERS = ("y", "x", "pa", "ell", "n", "r_e")
"""Order of the covariance: detection pixels, degrees, and the rest bare."""
REACH_R_E, REACH_FWHM = 8.0, 6.0
"""Half side of the square on which g is taken: the sum of both. An error differs by less than 0.3 % from that with
20 r_e and the whole PSF."""
SIDES = np.array([15, 21, 27, 35, 45, 63, 81, 105, 135, 175, 225, 315, 405, 525, 675, 945])
"""Sides of such squares, few, so that transforms of the PSF are kept; larger sources wrap around."""


class ShapeResponse:
    """How the fluxes of a band answer to a change of the shapes of their templates."""

    def __init__(self, engine: TemplateEngine) -> None:
        self.engine = engine
        psf = engine.psf
        largest = max(psf.data.shape) / 2.0 / psf.oversampling
        self.psf_reach = min(REACH_FWHM * fwhm(psf) / psf.oversampling, largest)
        self._planes: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def __call__(
        self,
        model: Model,
        influence_in: Callable[[Box], np.ndarray],
        *,
        pa: float,
        ell: float,
        n: float,
        r_e: float,
        oversampling: float,
    ) -> np.ndarray:
        """Return g·dT/dp for each of `PARAMETERS`, shape (6,); NaN where the source is off the image.

        Parameters
        ----------
        model : Model
            As it was rendered: says where the source is.
        influence_in : callable
            Gives g on a box of the band's image.
        pa, ell, n, r_e : float
            Degrees; bare; bare; detection pixels.
        oversampling : float
            Model pixels per detection pixel.
        """
        y, x = self.engine.position(model)
        if not (np.isfinite(y) and np.isfinite(x)):
            return np.full(len(PARAMETERS), np.nan)
        jacobian = np.linalg.solve(self.engine.jacobian(model), model.pixel_to_sky) * oversampling
        side = self._side(r_e * float(np.linalg.norm(jacobian, 2)))
        row, column, half = round(y), round(x), side // 2
        box = Box(row - half, column - half, row + half + 1, column + half + 1)
        inside = box & Box.of_shape(self.engine.shape)
        if inside.is_empty:
            return np.full(len(PARAMETERS), np.nan)
        g = np.zeros((side, side))
        g[inside.within(box)] = influence_in(inside)
        ky, kx, seen = self._frequencies(side)
        seen = np.fft.rfft2(np.fft.ifftshift(g)).conj() * seen
        seen *= np.exp(-2j * np.pi * ky * (y - row))[:, None]
        seen *= np.exp(-2j * np.pi * kx * (x - column))
        _, derivatives = sersic_derivatives(ky, kx, jacobian, pa=pa, ell=ell, n=n, r_e=r_e)
        # not a matrix product: its sums depend on the number of cores
        return np.array(np.einsum("pyx,yx->p", derivatives, seen).real)

    def _side(self, r_e: float) -> int:
        """Return the side of the square for a source of r_e band pixels."""
        least = 2.0 * (self.psf_reach + REACH_R_E * r_e) + 1.0
        return int(SIDES[min(int(np.searchsorted(SIDES, least)), len(SIDES) - 1)])

    def _frequencies(self, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the half plane of frequencies, and on it the PSF's transform times the weight of each in a sum."""
        if side not in self._planes:
            ky, kx = np.fft.fftfreq(side), np.fft.rfftfreq(side)
            count = np.where(kx > 0, 2.0, 1.0)  # odd sides: every frequency but zero has its mirror image
            self._planes[side] = ky, kx, transform(self.engine.psf, ky, kx) * count / side**2
        return self._planes[side]


def shape_error(response: np.ndarray, covariance: np.ndarray) -> float:
    """Return the relative error of a flux from its response to `PARAMETERS` and their covariance (6, 6).

    Rows of zeros for what is known. NaN where the response or the covariance is not finite.
    """
    if not (np.isfinite(covariance).all() and np.isfinite(response).all()):
        return float("nan")
    return float(np.sqrt(max(response @ covariance @ response, 0.0)))


def all_shape_errors(
    engine: TemplateEngine,
    models: Mapping[int, Model],
    shapes: np.ndarray,
    solution: Solution,
    templates: Sequence[Template],
    weight: np.ndarray,
) -> np.ndarray:
    """Return the relative flux errors from the fitted shapes, in the order of the solution.

    Parameters
    ----------
    engine, models
        Of the band; by ID.
    shapes : structured array
        Rows of imfit/sersic.fits: id, pa, ell, n, r_e, oversampling, and `covariance` (6 × 6, in the order of
        `PARAMETERS`), NaN where it is not known.
    solution, templates, weight
        As fitted.

    Returns
    -------
    array (n,)
        NaN where the covariance is not known or the source has no flux.
    """
    rows = {int(row["id"]): row for row in shapes if np.isfinite(row["covariance"]).all()}
    errors = np.full(len(solution.ids), np.nan)
    response = ShapeResponse(engine)
    for index, influence_in in _influences(solution, templates, weight, set(rows)):
        source = int(solution.ids[index])
        row = rows[source]
        shape = {name: float(row[name]) for name in ("pa", "ell", "n", "r_e", "oversampling")}
        errors[index] = shape_error(response(models[source], influence_in, **shape), row["covariance"])
    return errors


def _influences(
    solution: Solution, templates: Sequence[Template], weight: np.ndarray, wanted: set[int]
) -> Iterator[tuple[int, Callable[[Box], np.ndarray]]]:
    """Yield the index in the solution and the influence of every source in `wanted` that has a flux."""
    active = [templates[k] for k in solution.active]
    boxes = box_array(active)
    weight = np.where(np.isfinite(weight) & (weight > 0) & np.isfinite(solution.residual), weight, 0.0)
    for block, inverse_rows in solution.row_blocks():
        for position, inverse_row in zip(block, inverse_rows, strict=True):
            if position < len(active) and int(active[position].id) in wanted:
                index = int(solution.active[position])
                yield index, partial(influence, inverse_row, active, boxes, weight)
