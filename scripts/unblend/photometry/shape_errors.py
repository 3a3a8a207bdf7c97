"""The errors of fluxes that come from the uncertain shapes of the templates.

To first order templates that are wrong by δT_j change the fluxes f by −C Tᵀ W Σ_j f_j δT_j, C the inverse of the fit:
a source's own shape counts, and that of every neighbour whose light it shares. With the covariance K_j of position
and shape from the fit of source j and the derivatives D_j of its template, the error of a flux is the root of
Σ_j f_j² (C Tᵀ W D_j) K_j (C Tᵀ W D_j)ᵀ. K_j is marginal over the fit's own flux and sky, so that no noise counts twice.

The derivatives come from the profile's transform (`sersic_transform`) and the PSF's: nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.nouns import Box, Model, Template
from ..images.psf import fwhm, transform
from ..models.sersic_transform import sersic_derivatives
from ..models.templates import TemplateEngine
from .linear_system import LinearSolution, box_array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PARAMETERS = ("y", "x", "pa", "ell", "n", "r_e")
"""Order of the covariance: detection pixels, degrees, and the rest bare."""
REACH_R_E, REACH_FWHM = 8.0, 6.0
"""Half side of the square on which derivatives are taken: the sum of both. An error differs by less than 0.3 % from
that with 20 r_e and the whole PSF."""
SIDES = np.array([15, 21, 27, 35, 45, 63, 81, 105, 135, 175, 225, 315, 405, 525, 675, 945])
"""Sides of such squares, few, so that transforms of the PSF are kept; larger sources wrap around."""


class ShapeDerivatives:
    """The derivatives of the templates of a band by position and shape."""

    def __init__(self, engine: TemplateEngine) -> None:
        self.engine = engine
        psf = engine.psf
        largest = max(psf.data.shape) / 2.0 / psf.oversampling
        self.psf_reach = min(REACH_FWHM * fwhm(psf) / psf.oversampling, largest)
        self._seen: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def __call__(
        self, model: Model, *, pa: float, ell: float, n: float, r_e: float, oversampling: float
    ) -> tuple[Box, np.ndarray] | None:
        """Return a box of the image and dT/dp on it for each of `PARAMETERS`, shape (6, ny, nx); None off the image.

        Parameters
        ----------
        model : Model
            As it was rendered: says where the source is.
        pa, ell, n, r_e : float
            Degrees; bare; bare; detection pixels.
        oversampling : float
            Model pixels per detection pixel.
        """
        y, x = self.engine.position(model)
        if not (np.isfinite(y) and np.isfinite(x)):
            return None
        jacobian = np.linalg.solve(self.engine.jacobian(model), model.pixel_to_sky) * oversampling
        side = self._side(r_e * float(np.linalg.norm(jacobian, 2)))
        row, column, half = round(y), round(x), side // 2
        box = Box(row - half, column - half, row + half + 1, column + half + 1)
        inside = box & Box.of_shape(self.engine.shape)
        if inside.is_empty:
            return None
        ky, kx, seen = self._frequencies(side)
        moved = seen * np.exp(-2j * np.pi * ky * (y - row))[:, None] * np.exp(-2j * np.pi * kx * (x - column))
        _, derivatives = sersic_derivatives(ky, kx, jacobian, pa=pa, ell=ell, n=n, r_e=r_e)
        images = np.fft.fftshift(np.fft.irfft2(derivatives * moved, s=(side, side), axes=(1, 2)), axes=(1, 2))
        return inside, images[(slice(None), *inside.within(box))]

    def _side(self, r_e: float) -> int:
        """Return the side of the square for a source of r_e band pixels."""
        least = 2.0 * (self.psf_reach + REACH_R_E * r_e) + 1.0
        return int(SIDES[min(int(np.searchsorted(SIDES, least)), len(SIDES) - 1)])

    def _frequencies(self, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the half plane of frequencies and the PSF's transform on it."""
        if side not in self._seen:
            ky, kx = np.fft.fftfreq(side), np.fft.rfftfreq(side)
            self._seen[side] = ky, kx, transform(self.engine.psf, ky, kx)
        return self._seen[side]


def all_shape_errors(
    engine: TemplateEngine,
    models: Mapping[int, Model],
    shapes: np.ndarray,
    solution: LinearSolution,
    templates: Sequence[Template],
    weight: np.ndarray,
) -> np.ndarray:
    """Return the errors of the fluxes from the fitted shapes, a source's own and its neighbours', in image units.

    Parameters
    ----------
    engine, models
        Of the band; by ID.
    shapes : structured array
        Rows of imfit/sersic.fits: id, pa, ell, n, r_e, oversampling, and `covariance` (6 × 6, in the order of
        `PARAMETERS`; zeros for what is known), NaN where it is not known.
    solution, templates, weight
        As fitted.

    Returns
    -------
    array (n,)
        In the order of the solution. NaN where the source's own covariance is not known or it has no flux; neighbours
        of unknown covariance count as known.
    """
    rows = {int(row["id"]): row for row in shapes if np.isfinite(row["covariance"]).all()}
    active = [templates[k] for k in solution.active]
    known = np.zeros(len(active), dtype=bool)
    wrong: list[tuple[np.ndarray, np.ndarray]] = []
    weight = np.where(np.isfinite(weight) & (weight > 0) & np.isfinite(solution.residual), weight, 0.0)
    boxes, derivatives_of = box_array(active), ShapeDerivatives(engine)
    for position, template in enumerate(active):
        row = rows.get(int(template.id))
        found = None if row is None else derivatives_of(models[int(template.id)], **_shape_of(row))
        if row is None or found is None:
            continue
        known[position] = True
        box, images = found
        light = solution.flux[solution.active[position]] * weight[box.slices]
        images = np.einsum("pyx,pd->dyx", images, _independent(row["covariance"])) * light
        wrong.append(_products(box, images, active, boxes))
    errors = np.full(len(solution.ids), np.nan)
    if wrong:
        pull = _matrix(wrong, len(active) + 1)
        for index, inverse_rows in solution.row_blocks():
            variance, own = np.sum((pull @ inverse_rows.T) ** 2, axis=0), index < len(active)
            errors[solution.active[index[own]]] = np.sqrt(variance[own])
    errors[solution.active[~known]] = np.nan
    return errors


def _shape_of(row: np.void) -> dict[str, float]:
    return {name: float(row[name]) for name in ("pa", "ell", "n", "r_e", "oversampling")}


def _independent(covariance: np.ndarray) -> np.ndarray:
    """Return the covariance's independent directions as columns, each one sigma long, shape (6, 6)."""
    # of the correlations: the units of the parameters differ by orders of magnitude
    sigma = np.sqrt(np.diag(covariance))
    unit = np.where(sigma > 0, sigma, 1.0)
    lengths, directions = np.linalg.eigh(covariance / np.outer(unit, unit))
    return sigma[:, None] * directions * np.sqrt(np.maximum(lengths, 0.0))


def _products(
    box: Box, images: np.ndarray, active: Sequence[Template], boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which templates meet the box, and Σ T · image of each, shape (templates, images); last the constant."""
    meets = (boxes[:, 0] < box.y1) & (boxes[:, 2] > box.y0) & (boxes[:, 1] < box.x1) & (boxes[:, 3] > box.x0)
    met = np.flatnonzero(meets)
    products = np.empty((len(met) + 1, len(images)))
    products[-1] = images.sum(axis=(1, 2))
    for row, k in enumerate(met.tolist()):
        common = active[k].box & box
        part = active[k].data[common.within(active[k].box)]
        # not a matrix product: its sums depend on the number of cores
        products[row] = np.einsum("dyx,yx->d", images[(slice(None), *common.within(box))], part)
    return np.append(met, len(active)), products


def _matrix(wrong: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> csr_array:
    """Return what one sigma of each direction of every shape adds to Tᵀ W · residual, shape (directions, size)."""
    from scipy.sparse import coo_array

    number = len(PARAMETERS)
    columns = np.concatenate([np.repeat(met, number) for met, _ in wrong])
    rows = np.concatenate([np.tile(np.arange(number) + k * number, len(met)) for k, (met, _) in enumerate(wrong)])
    values = np.concatenate([products.ravel() for _, products in wrong])
    return coo_array((values, (rows, columns)), shape=(len(wrong) * number, size)).tocsr()
