"""The error of a flux that comes from the uncertain shape of its template.

To first order a template that is wrong by δT changes the flux f of its source by −f g·δT, with g the source's influence
(the change of its flux per unit of light in each pixel). With the fit's covariance of position and shape C and the
templates' derivatives D this is an error f √(g·D C Dᵀ·g). C is marginal over the fit's own flux and sky, so that no
noise counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from .domain import Box, Model, Template
from .linear import Solution, box_array, influence
from .rendering import MIN_HALF_SIZE, draw_sersic, stamp_half_size
from .templates import TemplateEngine

PARAMETERS = ("y", "x", "pa", "ell", "n", "r_e")
"""Order of the covariance: detection pixels, degrees, and the rest bare."""
_STEP_N = 0.05
COARSE = 2
"""Model pixels per detection pixel here, and REACH the stamp's half side in r_e: an error needs no more (measured:
within 1 % of the full model's), and costs a tenth of it."""
REACH = 8.0


def shape_error(
    engine: TemplateEngine,
    model: Model,
    influence_in: Callable[[Box], np.ndarray],
    *,
    pa: float,
    ell: float,
    n: float,
    r_e: float,
    oversampling: float,
    covariance: np.ndarray,
) -> float:
    """Return the relative error of a flux (per unit of flux) from the covariance of a Sersic model's shape.

    Parameters
    ----------
    engine : TemplateEngine
        Of the band.
    model : Model
        The model as it was rendered.
    influence_in : callable
        Gives g on a box of the band's image.
    pa, ell, n, r_e : float
        Degrees; bare; bare; detection pixels.
    oversampling : float
        Model pixels per detection pixel.
    covariance : array (6, 6)
        Of `PARAMETERS`; rows of zeros for those that were fixed or ended on a bound.

    Returns
    -------
    float
        NaN where the source is off the image or the covariance is not finite.
    """
    if not np.isfinite(covariance).all():
        return float("nan")
    profile = {"pa": pa, "ell": ell, "n": n, "r_e": r_e}
    small = _small_model(model, oversampling, **profile)
    derivatives = template_derivatives(engine, small, oversampling=COARSE, **profile)
    if derivatives is None:
        return float("nan")
    stamps, box = derivatives
    inside = box & Box.of_shape(engine.shape)
    window = inside.within(box)
    weight = influence_in(inside)
    response = np.array([np.sum(weight * stamp[window]) for stamp in stamps])
    return float(np.sqrt(max(response @ covariance @ response, 0.0)))


def _small_model(model: Model, oversampling: float, *, pa: float, ell: float, n: float, r_e: float) -> Model:
    """Return the profile drawn anew, on COARSE pixels and out to REACH."""
    reach = int(np.ceil(REACH * r_e * COARSE))
    half_y, half_x = (min(half, max(reach, MIN_HALF_SIZE)) for half in stamp_half_size(n, r_e * COARSE, ell, pa))
    shape, centre = (2 * half_y + 1, 2 * half_x + 1), (float(half_y), float(half_x))
    data = draw_sersic(shape, centre, n=n, r_e=r_e * COARSE, ell=ell, pa=pa)
    return Model(data, centre, model.sky, model.pixel_to_sky * (oversampling / COARSE), 1.0)


def template_derivatives(
    engine: TemplateEngine, model: Model, *, pa: float, ell: float, n: float, r_e: float, oversampling: float
) -> tuple[list[np.ndarray], Box] | None:
    """Return the derivatives of a unit template with respect to `PARAMETERS`, and where they lie in the band.

    A stretch, shear or rotation m → (1 + εB) m of the model multiplies the transforms of m·model by −2πi κB, κ the
    frequency per model pixel: all but the Sersic index follows from two more transforms. The index takes one more
    drawing. None where the source is far off the image.
    """
    rows, columns = (np.arange(side) - c for side, c in zip(model.data.shape, model.centre, strict=True))
    weights = [np.broadcast_to(rows[:, None], model.data.shape), np.broadcast_to(columns, model.data.shape)]
    weights.append(_index_derivative(model, pa=pa, ell=ell, n=n, r_e=r_e * oversampling))
    made = engine.spectrum(model, weights)
    if made is None:
        return None
    spectrum, (along_y, along_x, index) = made
    jacobian = np.linalg.solve(engine.jacobian(model), model.pixel_to_sky)
    ky, kx = spectrum.frequencies
    kappa = [ky[:, None] * jacobian[0, axis] + kx[None, :] * jacobian[1, axis] for axis in (0, 1)]
    angle = np.deg2rad(pa)
    major, minor = np.array([np.cos(angle), -np.sin(angle)]), np.array([np.sin(angle), np.cos(angle)])
    moves = {
        "pa": np.deg2rad(1.0) * (np.outer(major, minor) - np.outer(minor, major)),
        "ell": -np.outer(minor, minor) / (1.0 - ell),
        "r_e": np.eye(2) / r_e,
    }
    values = {
        "y": -2j * np.pi * kappa[0] * oversampling * spectrum.values,
        "x": -2j * np.pi * kappa[1] * oversampling * spectrum.values,
        "n": index,
    }
    for name, b in moves.items():
        values[name] = (
            -2j
            * np.pi
            * sum(
                (kappa[0] * b[0, axis] + kappa[1] * b[1, axis]) * plane for axis, plane in ((0, along_y), (1, along_x))
            )
        )
    return [spectrum.with_values(values[name]).stamp() for name in PARAMETERS], spectrum.box


def _index_derivative(model: Model, *, pa: float, ell: float, n: float, r_e: float) -> np.ndarray:
    """Logarithmic derivative of the model's pixels with respect to the Sersic index, r_e and total held."""
    low, high = max(n - _STEP_N, 0.1), n + _STEP_N
    drawn = [draw_sersic(model.data.shape, model.centre, n=value, r_e=r_e, ell=ell, pa=pa) for value in (low, high)]
    light = np.where(model.data > 0, model.data, np.inf)
    return (drawn[1] - drawn[0]) / (high - low) * model.total / light


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
    rows = {int(row["id"]): row for row in shapes}
    errors = np.full(len(solution.ids), np.nan)
    engine = engine.unfolded()
    active = [templates[k] for k in solution.active]
    boxes = box_array(active)
    weight = np.where(np.isfinite(weight) & (weight > 0) & np.isfinite(solution.residual), weight, 0.0)
    for block, inverse_rows in solution.row_blocks():
        for position, inverse_row in zip(block, inverse_rows, strict=True):
            source = int(active[position].id) if position < len(active) else -1
            row = rows.get(source)
            if row is None or not np.isfinite(row["covariance"]).all():
                continue
            errors[solution.active[position]] = shape_error(
                engine,
                models[source],
                partial(influence, inverse_row, active, boxes, weight),
                pa=float(row["pa"]),
                ell=float(row["ell"]),
                n=float(row["n"]),
                r_e=float(row["r_e"]),
                oversampling=float(row["oversampling"]),
                covariance=row["covariance"],
            )
    return errors
