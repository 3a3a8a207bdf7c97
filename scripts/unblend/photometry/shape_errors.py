"""Flux errors from the uncertain shapes of the templates.

To first order, template errors δT_j change the fluxes f by −C Tᵀ W Σ_j f_j δT_j, where C is the inverse of the fit: the
error of a flux depends on the source's own shape and on those of all neighbours blended with it. With the covariance
K_j of position and shape from the fit of source j and the derivatives D_j of its template, the error of a flux is the
square root of the sum over j of f_j² (C Tᵀ W D_j) K_j (C Tᵀ W D_j)ᵀ. K_j is marginalised over the flux and sky of its
fit, so that noise does not count twice.

The derivatives are computed from the Fourier transforms of the profile (`sersic_transform`) and the PSF, without
rendering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.field_psf import Weights
from ..core.types import Box, Model, ModelOutline
from ..images.psf import fwhm
from ..images.psf_transforms import PsfTransforms
from ..models.sersic_transform import sersic_derivatives
from ..models.templates import TemplateEngine
from .detail_amplitude import DetailAmplitudes, less_share
from .linear_system import LinearSolution
from .stamps import single_thread
from .template_products import TemplateProducts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Outlined = Model | ModelOutline
PARAMETERS = ("y", "x", "pa", "ell", "n", "r_e")
"""Order of the covariance: y, x and r_e in detection pixels, pa in degrees, ell and n without units."""
MOST_AXES = 10
"""Number of uncertain parameters of a source of two profiles: of each all but the centre, which they share."""
REACH_R_E, REACH_FWHM = 8.0, 6.0
"""Half side of the square for derivatives, in r_e of the source and FWHM of the PSF, which are added. Errors differ by
less than 0.3 % from those with 20 r_e and the whole PSF."""
SIDES = np.array([15, 21, 27, 35, 45, 63, 81, 105, 135, 175, 225, 315, 405, 525, 675, 945])
"""Sides of these squares in pixels: only a few, so that transforms of the PSF can be cached. Larger sources wrap."""


class ShapeDerivatives:
    """Derivatives of the templates of a band with respect to position and shape."""

    def __init__(self, engine: TemplateEngine) -> None:
        self.engine = engine
        psf = engine.psf
        largest = max(psf.psfs[0].data.shape) / 2.0 / psf.oversampling
        self.psf_reach = min(REACH_FWHM * fwhm(psf.broadest) / psf.oversampling, largest)
        self._transforms = PsfTransforms(psf)

    def __call__(
        self, model: Outlined, *, pa: float, ell: float, n: float, r_e: float, oversampling: float,
        largest_r_e: float | None = None,
    ) -> tuple[Box, np.ndarray] | None:  # fmt: skip
        """Return a box of the image and the derivatives of the template on it; None for a source off the image.

        Parameters
        ----------
        model : Model
            The rendered model, which gives the position of the source.
        pa, ell, n, r_e : float
            Position angle in degrees, ellipticity, Sersic index, half-light radius in detection pixels.
        oversampling : float
            Model pixels per detection pixel.
        largest_r_e : float, optional
            Half-light radius for which the box is made; by default `r_e`.

        Returns
        -------
        box : Box
        derivatives : array (6, ny, nx)
            With respect to each of `PARAMETERS`, for unit flux.
        """
        y, x = self.engine.position(model)
        if not (np.isfinite(y) and np.isfinite(x)):
            return None
        jacobian = np.linalg.solve(self.engine.jacobian(model), model.pixel_to_sky) * oversampling
        side = self._side((largest_r_e or r_e) * float(np.linalg.norm(jacobian, 2)))
        row, column, half = round(y), round(x), side // 2
        box = Box(row - half, column - half, row + half + 1, column + half + 1)
        inside = box & Box.of_shape(self.engine.shape)
        if inside.is_empty:
            return None
        ky, kx, psf = self._psf_transform(side, self.engine.psf_weights(model))
        shifted = psf * np.exp(-2j * np.pi * ky * (y - row))[:, None] * np.exp(-2j * np.pi * kx * (x - column))
        _, derivatives = sersic_derivatives(ky, kx, jacobian, pa=pa, ell=ell, n=n, r_e=r_e)
        images = np.fft.fftshift(np.fft.irfft2(derivatives * shifted, s=(side, side), axes=(1, 2)), axes=(1, 2))
        return inside, images[(slice(None), *inside.within(box))]

    def _side(self, r_e: float) -> int:
        """Return the side of the square for a source with a half-light radius of `r_e` band pixels."""
        smallest = 2.0 * (self.psf_reach + REACH_R_E * r_e) + 1.0
        return int(SIDES[min(int(np.searchsorted(SIDES, smallest)), len(SIDES) - 1)])

    def _psf_transform(self, side: int, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the frequencies along y and x on the half plane, and the transform of the PSF of a place."""
        ky, kx = np.fft.fftfreq(side), np.fft.rfftfreq(side)
        return ky, kx, self._transforms.mean(weights, side, ky, kx)


@dataclass(frozen=True)
class ShapeResponses:
    """How the right-hand side of a fit responds to the shapes of its sources.

    Parameters
    ----------
    known : array (m,) of bool
        Active sources whose covariance is known.
    sources : int array (s,)
        ID of the source of each axis: the principal axes of its covariance, in their order.
    matrix : sparse array (s, m + t) or None
        Change of Tᵀ W · residual for one sigma along each axis; None without any known shape.
    """

    known: np.ndarray
    sources: np.ndarray
    matrix: csr_array | None

    def errors(self, solution: LinearSolution) -> np.ndarray:
        """Return the flux errors from the uncertain shapes of each source and of its neighbours, in image units.

        Returns
        -------
        array (n,)
            In the order of the solution. NaN where the source's own covariance is not known or it has no flux; the
            shape of a neighbour with unknown covariance is taken as exact.
        """
        errors = np.full(len(solution.ids), np.nan)
        if self.matrix is not None:
            with single_thread():
                variance = solution.inverse.summed_squares(self.matrix)
            errors[solution.active[self.known]] = np.sqrt(variance[: len(self.known)][self.known])
        return errors


@dataclass(frozen=True)
class SourceShape:
    """The profiles of a source with one centre, and how uncertain their parameters are.

    Parameters
    ----------
    profiles : tuple of dict
        pa, ell, n and r_e of each, in the units of `PARAMETERS`.
    fractions : array (k,)
        Share of each profile in the flux of the detection image.
    covariance : array (2 + 4k, 2 + 4k)
        Of y, x, and of pa, ell, n, r_e of each profile; zero for fixed parameters.
    oversampling : float
        Model pixels per detection pixel.
    """

    profiles: tuple[dict[str, float], ...]
    fractions: np.ndarray
    covariance: np.ndarray
    oversampling: float

    def derivatives(
        self, derivatives_of: ShapeDerivatives, model: Outlined, fractions: np.ndarray
    ) -> tuple[Box, np.ndarray] | None:
        """Return a box of the image and the derivatives of the template on it, shape (2 + 4k, ny, nx).

        Parameters
        ----------
        derivatives_of : ShapeDerivatives
        model : Model
        fractions : array (k,)
            Share of each profile in the flux of the band.

        Returns
        -------
        tuple or None
            None for a source off the image.
        """
        largest, position, others = max(profile["r_e"] for profile in self.profiles), 0.0, []
        for fraction, profile in zip(fractions, self.profiles, strict=True):
            found = derivatives_of(model, oversampling=self.oversampling, largest_r_e=largest, **profile)
            if found is None:
                return None
            box, images = found
            position = position + fraction * images[:2]
            others.append(fraction * images[2:])
        return box, np.concatenate([position, *others])


def known_shapes(table: np.ndarray, components: np.ndarray | None = None) -> dict[int, SourceShape]:
    """Return the shapes of all sources whose covariance is known.

    Parameters
    ----------
    table : structured array
        Rows of imfit/sersic.fits: id, pa, ell, n, r_e, oversampling, and `covariance` (6 × 6, in the order of
        `PARAMETERS`; zero for fixed parameters), NaN where it is not known.
    components : structured array, optional
        Rows of its extension COMPONENTS: id, fraction, pa, ell, n and r_e of two profiles, and `covariance` (10 × 10).
    """
    names, found = PARAMETERS[2:], {}
    for row in table:
        if np.isfinite(row["covariance"]).all():
            profile = {name: float(row[name]) for name in names}
            found[int(row["id"])] = SourceShape((profile,), np.ones(1), row["covariance"], float(row["oversampling"]))
    if components is not None and len(components):
        oversampling = dict(zip(table["id"].tolist(), table["oversampling"].tolist(), strict=True))
        for row in components:
            if np.isfinite(row["covariance"]).all():
                both = tuple({name: float(row[name][k]) for name in names} for k in range(len(row["fraction"])))
                source = int(row["id"])
                found[source] = SourceShape(both, row["fraction"], row["covariance"], float(oversampling[source]))
    return found


def shape_responses(
    engine: TemplateEngine,
    models: Mapping[int, Outlined],
    shapes: Mapping[int, SourceShape],
    solution: LinearSolution,
    detail: DetailAmplitudes,
    weight: np.ndarray,
) -> ShapeResponses:
    """Return how the fit responds to the uncertain shapes of its sources.

    Parameters
    ----------
    engine : TemplateEngine
        Template engine of the band.
    models : mapping
        Models of all sources by ID; their pixels are not needed.
    shapes : mapping
        `known_shapes`.
    solution : LinearSolution
    detail : DetailAmplitudes
        The templates as fitted, in the order of the solution, and the shares of their components.
    weight : array (ny, nx)
        As fitted.
    """
    with single_thread():
        return _responses(engine, models, shapes, solution, detail, weight)


def _responses(
    engine: TemplateEngine,
    models: Mapping[int, Outlined],
    shapes: Mapping[int, SourceShape],
    solution: LinearSolution,
    detail: DetailAmplitudes,
    weight: np.ndarray,
) -> ShapeResponses:
    products, derivatives_of = TemplateProducts(solution, detail.templates, weight), ShapeDerivatives(engine)
    known, found, sources = np.zeros(len(products.templates), dtype=bool), [], []
    shares, _ = detail.first_component()
    for position, template in enumerate(products.templates):
        source, place = int(template.id), solution.active[position]
        shape, model, share = shapes.get(source), models.get(source), shares[place]
        if shape is None or model is None:
            continue
        fractions = shape.fractions if np.isnan(share) else np.array([share, 1.0 - share])
        derivatives = shape.derivatives(derivatives_of, model, fractions)
        if derivatives is None:
            continue
        known[position] = True
        box, images = derivatives
        light = solution.flux[place] * (model.total / model.flux if np.isnan(share) else 1.0)
        changes = np.einsum("pyx,pd->dyx", images, _independent(shape.covariance)) * light
        changes = less_share(changes, box, template, float(solution.flux[place]), weight)
        found.append(products(changes, box))
        sources += [source] * len(changes)
    matrix = _matrix(found, solution.inverse.size) if found else None
    return ShapeResponses(known, np.array(sources, dtype=np.int64), matrix)


def detail_errors(models: Mapping[int, Outlined], solution: LinearSolution) -> np.ndarray:
    """Return the flux errors from the noise of the stack in the details, shape (n,), in the order of the solution.

    They have the sign of the flux: the same detail changes the fluxes of all bands by the same fraction. The flux of
    a template with a detail is, in effect, measured in an aperture of the stack: its relative error there is that of
    the sum of the detail. It is 0 for models without detail.
    """
    found = [models.get(int(i)) for i in solution.ids]
    return np.asarray(solution.flux * [0.0 if model is None else model.detail_noise / model.flux for model in found])


def _independent(covariance: np.ndarray) -> np.ndarray:
    """Return the principal axes of the covariance as columns, each one sigma long, in a matrix of its shape."""
    # computed from the correlation matrix, since the units of the parameters differ by orders of magnitude
    sigma = np.sqrt(np.diag(covariance))
    unit = np.where(sigma > 0, sigma, 1.0)
    lengths, directions = np.linalg.eigh(covariance / np.outer(unit, unit))
    return sigma[:, None] * directions * np.sqrt(np.maximum(lengths, 0.0))


def _matrix(responses: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> csr_array:
    """Return responses as a sparse matrix (axes, size).

    Each source has the amplitudes that respond, and their responses along its axes, shape (axes, amplitudes).
    """
    from scipy.sparse import csr_array

    counts = np.repeat([len(met) for met, _ in responses], [len(values) for _, values in responses])
    columns = np.concatenate([np.tile(met, len(values)) for met, values in responses])
    values = np.concatenate([values.ravel() for _, values in responses])
    return csr_array((values, columns, np.append(0, np.cumsum(counts))), shape=(len(counts), size))
