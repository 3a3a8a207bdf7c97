"""Fluxes of a band: weighted linear least squares of all templates and the background, with errors and flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from ..core.flags import Flag
from ..core.statistics import noise_rms
from ..core.types import Box, Template
from .background_polynomial import BackgroundPolynomial
from .bordered_inverse import BorderedInverse
from .normal_matrix import TILE_SIZE, NormalEquations, solve
from .stamps import pair_products, single_thread

MIN_LIGHT = 1e-3
"""Fraction of a source's light that must fall on usable pixels for it to be fitted at all."""

MEASURED_LIGHT = 0.15
"""Fraction of a source's light that must fall on usable pixels for its flux to be measured. With less, only the wings
of the model are seen, and the flux is what they make of the noise."""

LARGEST_ERROR, MOSTLY_SEEN = 20.0, 0.5
"""Largest error of a flux, over that of the same source isolated and seen whole, where less than half of its light is
on usable pixels. A source that is seen and blended has an error as large as its blend makes it."""

KEPT_SIGNIFICANCE = 5.0
"""Significance from which the light of a source without a measured flux is fitted, for the sake of its neighbours: that
of a bright star beyond the border. Light that is not significant only adds to the errors of the neighbours."""

NEIGHBOUR_CORRELATION = 0.01
"""Smallest correlation for which the most correlated neighbour is listed: below it adds less than 1e-4 to an error."""

WEIGHT_TOLERANCE = 0.05
"""Weights are kept if measured over claimed noise deviates from 1 by less than this, the accuracy needed for errors."""


@dataclass(frozen=True)
class LinearSolution:
    """Fluxes and their errors, in the order of the given templates; NaN where nothing was measured.

    Parameters
    ----------
    ids, flux, err : arrays (n,)
        Image units. `err` is the formal error for white noise, with all neighbours and the background level free. A
        source with the flag NO_PIXELS has a finite flux where it is fitted for the sake of its neighbours.
    err_isolated : array (n,)
        The error if all other sources and the background level were known.
    worst_neighbour, correlation : arrays (n,)
        ID of the source whose flux is most correlated with this one (0: none above 0.01), and the correlation.
    flags : array (n,) int64
        Bits of `Flag`.
    background, background_err : float
        Mean level of the background over the fitted pixels, image units.
    polynomial : BackgroundPolynomial
        The terms of the background.
    coefficients : array (t,)
        Their coefficients, image units.
    mean_terms : array (t,)
        Mean of each term over the fitted pixels.
    inverse : BorderedInverse
        Covariance for white noise of the `m` active fluxes and, last, the `t` coefficients of the background.
    active : array (m,)
        Index in `ids` of each of the first `m` rows of `inverse`.
    residual : array (ny, nx)
        Image minus all models and the background; NaN where the image is not finite.
    """

    ids: np.ndarray
    flux: np.ndarray
    err: np.ndarray
    err_isolated: np.ndarray
    worst_neighbour: np.ndarray
    correlation: np.ndarray
    flags: np.ndarray
    background: float
    background_err: float
    polynomial: BackgroundPolynomial
    coefficients: np.ndarray
    mean_terms: np.ndarray
    inverse: BorderedInverse
    active: np.ndarray
    residual: np.ndarray

    def scaled(self, factor: float) -> LinearSolution:
        """Return the solution for noise larger by `factor`, that is for weights divided by `factor` squared."""
        return replace(
            self,
            err=self.err * factor,
            err_isolated=self.err_isolated * factor,
            background_err=self.background_err * factor,
            inverse=self.inverse * factor**2,
        )

    @property
    def background_image(self) -> np.ndarray:
        """The background in every pixel, shape (ny, nx)."""
        return self.polynomial.image(self.coefficients)

    def background_response(self) -> np.ndarray:
        """Return the change of each flux if the background level were higher by one image unit and known, shape (n,).

        NaN without a flux, and for a background that varies.
        """
        response = np.full(len(self.ids), np.nan)
        if len(self.coefficients) == 1:
            covariance = self.inverse.border @ (self.inverse.schur_inverse @ self.inverse.border[-1])
            response[self.active] = covariance[:-1] / covariance[-1]
        return response

    def level_error(self, covariance: np.ndarray) -> float:
        """Return the error of the mean level of the background for a covariance (t, t) of its coefficients."""
        return float(np.sqrt(self.mean_terms @ covariance @ self.mean_terms))

    def terms_of(self, border: np.ndarray) -> np.ndarray:
        """Return the part of a covariance of the border (see `BorderedInverse`) that belongs to the background."""
        terms = len(self.coefficients)
        return border[-terms:, -terms:]


def solve_fluxes(
    image: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    *,
    order: int = 0,
    tile_size: int = TILE_SIZE,
) -> LinearSolution:
    """Fit all templates and the background to the usable pixels, without bounds on the fluxes.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance; 0 or not finite where a pixel is ignored. Non-finite pixels are ignored.
    templates : sequence of Template
        One per source, of unit flux, clipped to the image. A source with hardly any light on usable pixels gets the
        flag NO_PIXELS; it is fitted only where that light is significant, otherwise its flux is NaN. One with
        non-finite template data gets NaN and NO_MODEL.
    order : int
        Order of the polynomial for the background; 0 for a constant.
    tile_size : int
        Number of sources above which the inverse is made in parts, see `normal_matrix.solve`.

    Returns
    -------
    LinearSolution
        Identical to the last bit for any order of the templates and any number of cores.

    Raises
    ------
    InputError
        If shapes disagree, IDs repeat, a template reaches off the image, or no pixel is usable.
    """
    image, weight = np.asarray(image, dtype=float), np.asarray(weight, dtype=float)
    ids = np.array([template.id for template in templates], dtype=np.int64)
    _check(image, weight, templates, ids)
    order_of = np.argsort(ids)
    usable = np.isfinite(image) & np.isfinite(weight) & (weight > 0)
    if not usable.any():
        raise InputError(
            "No pixel of the band has a finite value and a positive weight. Check the band's masks and weights."
        )
    weight = np.where(usable, weight, 0.0)
    polynomial = BackgroundPolynomial(image.shape, order)
    # a large pedestal would cost precision: it is subtracted here and added again below
    data = np.where(usable, image, 0.0)
    pedestal = float(np.einsum("yx,yx->", weight, data) / weight.sum())
    np.subtract(data, pedestal, out=data, where=usable)

    ordered = [templates[k] for k in order_of]
    flags, light = coverage_flags(ordered, usable), visible_light(ordered, usable)
    active = np.flatnonzero(((flags & Flag.NO_MODEL) == 0) & (light >= MIN_LIGHT))
    system, amplitudes, inverse = _solved(data, weight, [ordered[k] for k in active], polynomial, tile_size)
    if (light[active] < MOSTLY_SEEN).any():
        error = np.sqrt(inverse.variances()[: len(active)])
        free = np.array([_free_error(ordered[k], weight) for k in active])
        seen = light[active]
        unmeasured = (seen < MEASURED_LIGHT) | (seen < MOSTLY_SEEN) & (error > LARGEST_ERROR * free)
        flags[active[unmeasured]] |= int(Flag.NO_PIXELS)
        kept = ~unmeasured | (amplitudes[: len(active)] > KEPT_SIGNIFICANCE * error)
        if not kept.all():
            active = active[kept]
            system, amplitudes, inverse = _solved(data, weight, [ordered[k] for k in active], polynomial, tile_size)
    amplitudes[len(active)] += pedestal
    del weight, data  # of a large image each takes as much memory as what follows
    return _assemble(image, usable, ordered, order_of, flags, active, system, amplitudes, inverse, polynomial)


def _solved(
    data: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    polynomial: BackgroundPolynomial,
    tile_size: int,
) -> tuple[NormalEquations, np.ndarray, BorderedInverse]:
    """Return the normal equations, the amplitudes (m + t,) and the inverse."""
    system = _build_system(data, weight, templates, polynomial)
    with single_thread():
        amplitudes, inverse = solve(system, tile_size=tile_size)
    return system, amplitudes, inverse


def _free_error(template: Template, weight: np.ndarray) -> float:
    """Return the error of a flux if the source were isolated and all of its template in the image were usable."""
    used = weight[template.box.slices]
    return float((np.mean(used[used > 0]) * np.sum(np.asarray(template.data, dtype=float) ** 2)) ** -0.5)


def box_array(templates: Sequence[Template]) -> np.ndarray:
    """Return the boxes of the templates as an array (n, 4) with columns y0, x0, y1, x1."""
    return np.array([(t.box.y0, t.box.x0, t.box.y1, t.box.x1) for t in templates], dtype=int).reshape(-1, 4)


def model_image(
    templates: Sequence[Template], flux: np.ndarray, shape: tuple[int, ...], background: float | np.ndarray = 0.0
) -> np.ndarray:
    """Return the sum of flux × template, plus the background.

    Parameters
    ----------
    templates : sequence of Template
    flux : array (n,)
        In the order of the templates, image units; NaN adds nothing.
    shape : (ny, nx)
    background : float or array (ny, nx)
        Level of the background, image units.
    """
    model = np.empty(shape)
    model[...] = background
    for k in np.argsort([template.id for template in templates]):
        if np.isfinite(flux[k]) and not templates[k].box.is_empty:
            model[templates[k].box.slices] += flux[k] * np.asarray(templates[k].data, dtype=float)
    return model


def neighbours_removed(image: np.ndarray, templates: Sequence[Template], flux: np.ndarray, keep_id: int) -> np.ndarray:
    """Return the image minus the models of all sources except `keep_id`. The background level is not subtracted.

    Parameters
    ----------
    image : array (ny, nx)
    templates : sequence of Template
    flux : array (n,)
        In the order of the templates, image units; NaN subtracts nothing.
    keep_id : int
        ID of the source that remains in the image.

    Raises
    ------
    InputError
        If no template has this ID.
    """
    if keep_id not in {template.id for template in templates}:
        raise InputError(
            f"Source {keep_id} does not exist: its neighbours cannot be subtracted. Give the ID of a detected source."
        )
    others = np.array([0.0 if template.id == keep_id else flux[k] for k, template in enumerate(templates)])
    return np.asarray(image, dtype=float) - model_image(templates, others, np.shape(image))


def weight_rms(weight: np.ndarray) -> float:
    """Return the median noise of a usable pixel; `weight` is the inverse variance, 0 where ignored."""
    return float(np.median(weight[weight > 0]) ** -0.5)


def scatter_ratio(weight: np.ndarray, residual: np.ndarray, mask: np.ndarray) -> float:
    """Return the ratio of measured to claimed noise: the robust sigma of residual × √weight.

    It is 1 for correct weights; weight / ratio² agrees with the data.

    Parameters
    ----------
    weight, residual : arrays (ny, nx)
        Pixels with zero or non-finite weight are ignored.
    mask : array (ny, nx) of bool
        True on sources, which are ignored.

    Returns
    -------
    float
        NaN without usable pixels.
    """
    weight = np.asarray(weight)
    used = np.isfinite(weight) & (weight > 0) & ~np.asarray(mask, dtype=bool)
    values = np.asarray(residual, dtype=float)[used]
    values *= np.sqrt(weight[used])
    return noise_rms(values, np.zeros(values.shape, dtype=bool))


def _check(image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], ids: np.ndarray) -> None:
    if image.ndim != 2 or image.shape != weight.shape:
        raise InputError(
            f"The image and the weights of a band must have the same shape (ny, nx), found {image.shape} and "
            f"{weight.shape}."
        )
    unique, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"The fit needs one template per source, found {counts.max()} with ID {unique[counts.argmax()]}."
        )
    whole = Box.of_shape(image.shape)
    for template in templates:
        if template.box.is_empty:
            continue
        if template.box not in whole or np.shape(template.data) != template.box.shape:
            raise InputError(
                f"The template of source {template.id} must lie inside the image of shape {image.shape} and its data "
                f"must have the shape of its box, found {template.box} and data of shape {np.shape(template.data)}."
            )


def coverage_flags(templates: Sequence[Template], usable: np.ndarray) -> np.ndarray:
    """Return the flags for the fraction of each template's light on usable pixels, shape (n,), int64."""
    return np.array([_coverage_flag(template, usable) for template in templates], dtype=np.int64)


def visible_light(templates: Sequence[Template], usable: np.ndarray) -> np.ndarray:
    """Return the fraction of each template's light that falls on usable pixels, shape (n,); 0 without any light."""
    fractions = np.zeros(len(templates))
    for k, template in enumerate(templates):
        light = np.abs(np.asarray(template.data, dtype=float))
        inside = float(light.sum())
        if inside > 0 and np.isfinite(inside):
            fractions[k] = template.coverage * float(light[usable[template.box.slices]].sum()) / inside
    return fractions


def _coverage_flag(template: Template, usable: np.ndarray) -> int:
    if template.box.is_empty:
        return int(Flag.NO_PIXELS)
    light = np.abs(np.asarray(template.data, dtype=float))
    if not np.isfinite(light).all():
        return int(Flag.NO_MODEL)
    seen, inside = float(light[usable[template.box.slices]].sum()), float(light.sum())
    if not template.coverage * seen >= MEASURED_LIGHT * inside or inside == 0:
        return int(Flag.NO_PIXELS)
    flag = Flag.PARTLY_MASKED if seen < 0.9 * inside else Flag(0)
    return int(flag | Flag.ON_EDGE if template.coverage < 0.9 else flag)


def _build_system(
    data: np.ndarray, weight: np.ndarray, templates: Sequence[Template], polynomial: BackgroundPolynomial
) -> NormalEquations:
    """Return the normal equations of the templates and the background."""
    boxes, n = box_array(templates), len(templates)
    columns, products = np.empty((n, len(polynomial.terms))), np.empty(n)

    def weighted(k: int) -> np.ndarray:
        """Return weight × template; its products with the data and the background are kept."""
        box = templates[k].box
        stamp = weight[box.slices] * templates[k].data
        products[k] = np.einsum("yx,yx->", stamp, data[box.slices])
        columns[k] = polynomial.products(stamp, box)
        return stamp

    i, j, value = pair_products(boxes, weighted, boxes, [template.data for template in templates])
    right = np.append(products, polynomial.products(weight * data))
    return NormalEquations(boxes, i, j, value, columns, polynomial.corner(weight), right)


def _assemble(
    image: np.ndarray,
    usable: np.ndarray,
    ordered: Sequence[Template],
    order_of: np.ndarray,
    flags: np.ndarray,
    active: np.ndarray,
    system: NormalEquations,
    amplitudes: np.ndarray,
    inverse: BorderedInverse,
    polynomial: BackgroundPolynomial,
) -> LinearSolution:
    """Return the solution: its columns are computed in ID order and sorted back into the caller's order."""
    n, m = len(ordered), len(active)
    ids = np.array([template.id for template in ordered], dtype=np.int64)
    flux, err, isolated, correlation = np.full((4, n), np.nan)
    neighbour = np.zeros(n, dtype=np.int64)
    flux[active], isolated[active] = amplitudes[:m], 1.0 / np.sqrt(system.diagonal)
    worst, rho = inverse.strongest_correlations(m, NEIGHBOUR_CORRELATION)
    err[active], correlation[active] = np.sqrt(inverse.variances()[:m]), rho
    neighbour[active] = np.where(rho != 0, ids[active][worst], 0)
    degenerate = (np.abs(rho) > 0.99) | (err[active] > 10.0 * isolated[active])
    flags[active] |= np.where(degenerate, int(Flag.DEGENERATE), 0)

    back, places = np.argsort(order_of), order_of[active]
    ranked = np.argsort(places)
    coefficients, mean_terms = amplitudes[m:], polynomial.mean(usable)
    residual = model_image(ordered, flux, image.shape, polynomial.image(coefficients))
    np.subtract(image, residual, out=residual)
    solution = LinearSolution(
        ids=ids[back],
        flux=flux[back],
        err=err[back],
        err_isolated=isolated[back],
        worst_neighbour=neighbour[back],
        correlation=correlation[back],
        flags=flags[back],
        background=float(mean_terms @ coefficients),
        background_err=np.nan,
        polynomial=polynomial,
        coefficients=coefficients,
        mean_terms=mean_terms,
        inverse=inverse.permuted(np.append(ranked, np.arange(m, m + len(coefficients)))),
        active=places[ranked],
        residual=residual,
    )
    return replace(solution, background_err=solution.level_error(solution.terms_of(inverse.schur_inverse)))
