"""Flux errors from what all templates of a band have in common: the uncertain shift, the uncertain width of the PSF.

To first order, changes δT_j of the templates change the fluxes f by −C Tᵀ W Σ_j f_j δT_j, where C is the inverse of the
fit, as in `shape_errors`. The shapes of different sources are independent. One coefficient of the shift moves all
sources at once, and one width of the PSF widens all of them: here the changes of all templates are added before they
are squared. Sources that stand alone hardly change with a shift, since the flux of a template is at its maximum where
it lies on its source; in a blend a shift moves light from one source to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..core.shift_field import ShiftField
from ..core.types import Model
from ..models.templates import TemplateEngine
from .detail_amplitude import DetailAmplitudes, with_amplitude
from .linear_system import LinearSolution
from .stamps import single_thread
from .template_products import TemplateProducts


def shift_changes(
    engine: TemplateEngine,
    models: Mapping[int, Model],
    shift: ShiftField | None,
    solution: LinearSolution,
    detail: DetailAmplitudes,
    weight: np.ndarray,
) -> np.ndarray:
    """Return the changes of the fluxes for one sigma of the uncertain shift of the band, image units.

    With the covariance K of the coefficients of the shift and the change J of the fluxes for each of them, the fluxes
    have the covariance J K Jᵀ.

    Parameters
    ----------
    engine : TemplateEngine
        Template engine of the band, with its shift.
    models : mapping
        Models by ID, which are read only where the shift is uncertain. A source without one does not move with the
        others: its template is where the band shows it.
    shift : ShiftField or None
        The covariance of the adopted shift, in pixels; NaN where it is not known. None: the shift is exact.
    solution : LinearSolution
    detail : DetailAmplitudes
        The templates as fitted, and the amplitudes of their details.
    weight : array (ny, nx)
        As fitted.

    Returns
    -------
    array (n, k)
        In the order of the solution, one column for each principal axis of the covariance; the error of a flux is the
        root of the sum of their squares (`total_error`). NaN where there is no flux, or where the error of the shift is
        not known.
    """
    if shift is None or not shift.covariance.any():
        return _spread(np.zeros((len(solution.active), 1)), solution)
    if not np.isfinite(shift.covariance).all():
        return np.full((len(solution.ids), 1), np.nan)
    products = TemplateProducts(solution, detail.templates, weight)
    moved = np.zeros((solution.inverse.size, *shift.coefficients.shape))
    with single_thread():
        for position, model in _in_order(engine, models, products):
            gradients = [
                with_amplitude(gradient, float(detail.value[solution.active[position]]))
                for gradient in engine.gradients(products.templates[position].id, model)
            ]
            if gradients[0].box.is_empty:
                continue
            flux = solution.flux[solution.active[position]]
            met, found = products(flux * np.stack([gradient.data for gradient in gradients]), gradients[0].box)
            y, x = engine.position_without_shift(model)
            moved[met] += found.T[:, :, None] * shift.terms(np.array([y]), np.array([x]))
        axes = [moved[:, k] @ _square_root(covariance) for k, covariance in enumerate(shift.covariance)]
        changes = solution.inverse.apply(np.hstack(axes))
    return _spread(changes, solution)


def psf_changes(
    engine: TemplateEngine,
    models: Mapping[int, Model],
    fraction: float,
    solution: LinearSolution,
    detail: DetailAmplitudes,
    weight: np.ndarray,
) -> np.ndarray:
    """Return the changes of the fluxes for a PSF that is broader by one sigma, image units.

    Parameters
    ----------
    engine : TemplateEngine
        Template engine of the band.
    models : mapping
        Models by ID, which are read only where the width is uncertain. The template of a source without one is exact.
    fraction : float
        Error of the FWHM of the PSF over the FWHM.
    solution : LinearSolution
    detail : DetailAmplitudes
        The templates as fitted, and the amplitudes of their details.
    weight : array (ny, nx)
        As fitted.

    Returns
    -------
    array (n, 1)
        In the order of the solution; NaN where there is no flux.
    """
    if not fraction:
        return _spread(np.zeros((len(solution.active), 1)), solution)
    products = TemplateProducts(solution, detail.templates, weight)
    broader = engine.with_psf(engine.psf.broadened(fraction))
    changed = np.zeros(solution.inverse.size)
    with single_thread():
        for position, model in _in_order(broader, models, products):
            own, k = products.templates[position], solution.active[position]
            template = with_amplitude(broader.template(own.id, model), float(detail.value[k]))
            for sign, seen in ((1.0, template), (-1.0, own)):
                met, found = products(sign * solution.flux[k] * np.asarray(seen.data, dtype=float)[None], seen.box)
                changed[met] += found[0]
        changes = solution.inverse.apply(changed)
    return _spread(changes[:, None], solution)


def _in_order(
    engine: TemplateEngine, models: Mapping[int, Model], products: TemplateProducts
) -> Iterator[tuple[int, Model]]:
    """Yield the amplitude and the model of every fitted source that has a model.

    Sources that share PSFs of a map follow each other.
    """
    boxes = [template.box for template in products.templates]
    places = [box.centre for box in boxes]
    first = [min(index for index, _ in engine.psf.places.weights(*place)) for place in places]
    for position in np.argsort(first, kind="stable").tolist():
        if products.templates[position].id in models:
            yield position, models[products.templates[position].id]


def _square_root(covariance: np.ndarray) -> np.ndarray:
    """Return the principal axes of a covariance as columns, each one sigma long."""
    lengths, directions = np.linalg.eigh(covariance)
    return np.asarray(directions * np.sqrt(np.maximum(lengths, 0.0)))


def total_error(changes: np.ndarray) -> np.ndarray:
    """Return the errors (n,) of fluxes that change by each column of `changes` (n, k) for one sigma."""
    return np.sqrt(np.square(changes).sum(axis=1))


def _spread(changes: np.ndarray, solution: LinearSolution) -> np.ndarray:
    """Return the changes of the active fluxes in the order of the solution, NaN for all others."""
    found = np.full((len(solution.ids), changes.shape[1]), np.nan)
    found[solution.active] = changes[: len(solution.active)]
    return found
