"""Fluxes of a band: weighted linear least squares of all templates and a background level, with errors and flags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from ..core.flags import Flag
from ..core.statistics import noise_rms
from ..core.types import Box, Template
from .normal_matrix import (
    ROWS,
    Inverse,
    NormalEquations,
    inverse_rows,
    pair_products,
    permuted_inverse,
    single_thread,
    solve_dense,
    solve_local,
)

DENSE_LIMIT = 5000
"""Number of sources above which the inverse is local: a dense one of 5000 takes 200 MB and some seconds on one core."""

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
        Background level and its error, image units.
    inverse : array (m + 1, m + 1) or LocalInverse
        Covariance for white noise of the `m` active fluxes and, last, the background level.
    active : array (m,)
        Index in `ids` of each row of `inverse` except the last.
    residual : array (ny, nx)
        Image minus all models and the background level; NaN where the image is not finite.
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
    inverse: Inverse
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

    def inverse_rows(self, index: np.ndarray) -> np.ndarray:
        """Return rows of the inverse (positions in `active`; m for the background), shape (len(index), m + 1)."""
        return inverse_rows(self.inverse, np.asarray(index, dtype=int))

    def row_blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (index, rows of the inverse) for all rows, the background level's included, in blocks."""
        for start in range(0, len(self.active) + 1, ROWS):
            index = np.arange(start, min(start + ROWS, len(self.active) + 1))
            yield index, self.inverse_rows(index)

    def apply_inverse(self, right: np.ndarray) -> np.ndarray:
        """Return the inverse times `right`, shape (m + 1,) or (m + 1, k): the best-fitting amplitudes."""
        with single_thread():
            return np.concatenate([rows @ right for _, rows in self.row_blocks()])


def solve_fluxes(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], *, dense_limit: int = DENSE_LIMIT
) -> LinearSolution:
    """Fit all templates and a background level to the usable pixels, without bounds on the fluxes.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance; 0 or not finite where a pixel is ignored. Non-finite pixels are ignored.
    templates : sequence of Template
        One per source, of unit flux, clipped to the image. A source with hardly any light on usable pixels gets the
        flag NO_PIXELS; it is fitted only where that light is significant, otherwise its flux is NaN. One with
        non-finite template data gets NaN and NO_MODEL.
    dense_limit : int
        Number of sources above which the inverse is local: fluxes remain exact, errors are good to about 1e-6.

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
    order = np.argsort(ids)
    usable = np.isfinite(image) & np.isfinite(weight) & (weight > 0)
    if not usable.any():
        raise InputError(
            "No pixel of the band has a finite value and a positive weight. Check the band's masks and weights."
        )
    weight = np.where(usable, weight, 0.0)
    # a large pedestal would cost precision: it is subtracted here and added again below
    pedestal = float(np.average(image[usable], weights=weight[usable]))
    data = np.where(usable, image, pedestal) - pedestal

    ordered = [templates[k] for k in order]
    flags, light = coverage_flags(ordered, usable), visible_light(ordered, usable)
    active = np.flatnonzero(((flags & Flag.NO_MODEL) == 0) & (light >= MIN_LIGHT))
    system, amplitudes, inverse = _solved(data, weight, [ordered[k] for k in active], dense_limit)
    if (light[active] < MOSTLY_SEEN).any():
        error = np.sqrt(_variances(inverse, len(active))[:-1])
        free = np.array([_free_error(ordered[k], weight) for k in active])
        seen = light[active]
        unmeasured = (seen < MEASURED_LIGHT) | (seen < MOSTLY_SEEN) & (error > LARGEST_ERROR * free)
        flags[active[unmeasured]] |= int(Flag.NO_PIXELS)
        kept = ~unmeasured | (amplitudes[:-1] > KEPT_SIGNIFICANCE * error)
        if not kept.all():
            active = active[kept]
            system, amplitudes, inverse = _solved(data, weight, [ordered[k] for k in active], dense_limit)
    amplitudes[-1] += pedestal
    return _assemble(image, ordered, order, flags, active, system, amplitudes, inverse)


def _solved(
    data: np.ndarray, weight: np.ndarray, templates: Sequence[Template], dense_limit: int
) -> tuple[NormalEquations, np.ndarray, Inverse]:
    """Return the normal equations, the amplitudes (m + 1,) and the inverse."""
    system = _build_system(data, weight, templates)
    with single_thread():
        solver = solve_dense if system.n <= dense_limit else solve_local
        amplitudes, inverse = solver(system)
    return system, amplitudes, inverse


def _free_error(template: Template, weight: np.ndarray) -> float:
    """Return the error of a flux if the source were isolated and all of its template in the image were usable."""
    used = weight[template.box.slices]
    return float((np.mean(used[used > 0]) * np.sum(np.asarray(template.data, dtype=float) ** 2)) ** -0.5)


def box_array(templates: Sequence[Template]) -> np.ndarray:
    """Return the boxes of the templates as an array (n, 4) with columns y0, x0, y1, x1."""
    return np.array([(t.box.y0, t.box.x0, t.box.y1, t.box.x1) for t in templates], dtype=int).reshape(-1, 4)


def model_image(
    templates: Sequence[Template], flux: np.ndarray, shape: tuple[int, ...], background: float = 0.0
) -> np.ndarray:
    """Return the sum of flux × template, plus the background level.

    Parameters
    ----------
    templates : sequence of Template
    flux : array (n,)
        In the order of the templates, image units; NaN adds nothing.
    shape : (ny, nx)
    background : float
        Background level, image units.
    """
    model = np.full(shape, float(background))
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


def influence(
    row: np.ndarray, active: Sequence[Template], boxes: np.ndarray, weight: np.ndarray, box: Box
) -> np.ndarray:
    """Return the change of one flux per unit of light in each pixel of a box.

    The influence is g = W Σ_j C_ij T_j, where the sum includes the background level.

    Parameters
    ----------
    row : array (m + 1,)
        The source's row of the inverse.
    active : sequence of Template
        In the order of the inverse.
    boxes : array (m, 4)
        Their boxes, `box_array(active)`.
    weight : array (ny, nx)
        As fitted, 0 where ignored.
    box : Box
        Must lie inside the image.

    Returns
    -------
    array of the box's shape
    """
    meets = (boxes[:, 0] < box.y1) & (boxes[:, 2] > box.y0) & (boxes[:, 1] < box.x1) & (boxes[:, 3] > box.x0)
    response = np.full(box.shape, row[-1])
    for j in np.flatnonzero(meets).tolist():
        common = active[j].box & box
        response[common.within(box)] += row[j] * active[j].data[common.within(active[j].box)]
    return response * weight[box.slices]


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
    weight = np.where(np.isfinite(weight) & (np.asarray(weight) > 0), weight, 0.0)
    return noise_rms(np.asarray(residual) * np.sqrt(weight), np.asarray(mask, dtype=bool) | (weight == 0))


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


def _build_system(data: np.ndarray, weight: np.ndarray, templates: Sequence[Template]) -> NormalEquations:
    """Return the normal equations of the templates and the background level."""
    boxes = box_array(templates)
    stamps = [np.asarray(template.data, dtype=float) for template in templates]
    i, j, value = pair_products(boxes, lambda k: weight[templates[k].box.slices] * stamps[k], boxes, stamps)
    weighted = weight * data
    right = [np.sum(stamp * weighted[template.box.slices]) for template, stamp in zip(templates, stamps, strict=True)]
    column = [np.sum(stamp * weight[template.box.slices]) for template, stamp in zip(templates, stamps, strict=True)]
    right.append(np.sum(weighted))
    return NormalEquations(boxes, i, j, value, np.array(column), float(weight.sum()), np.array(right))


def _assemble(
    image: np.ndarray,
    ordered: Sequence[Template],
    order: np.ndarray,
    flags: np.ndarray,
    active: np.ndarray,
    system: NormalEquations,
    amplitudes: np.ndarray,
    inverse: Inverse,
) -> LinearSolution:
    """Return the solution: its columns are computed in ID order and sorted back into the caller's `order`."""
    n, m = len(ordered), len(active)
    ids = np.array([template.id for template in ordered], dtype=np.int64)
    flux, err, isolated, correlation = np.full((4, n), np.nan)
    neighbour = np.zeros(n, dtype=np.int64)
    flux[active], isolated[active] = amplitudes[:m], 1.0 / np.sqrt(system.diagonal)
    variance, worst, rho = _neighbours(inverse, m)
    err[active], correlation[active] = np.sqrt(variance[:m]), rho
    neighbour[active] = np.where(rho != 0, ids[active][worst], 0)
    degenerate = (np.abs(rho) > 0.99) | (err[active] > 10.0 * isolated[active])
    flags[active] |= np.where(degenerate, int(Flag.DEGENERATE), 0)

    back, places = np.argsort(order), order[active]
    ranked = np.argsort(places)
    return LinearSolution(
        ids=ids[back],
        flux=flux[back],
        err=err[back],
        err_isolated=isolated[back],
        worst_neighbour=neighbour[back],
        correlation=correlation[back],
        flags=flags[back],
        background=float(amplitudes[-1]),
        background_err=float(np.sqrt(variance[-1])),
        inverse=permuted_inverse(inverse, ranked),
        active=places[ranked],
        residual=image - model_image(ordered, flux, image.shape, amplitudes[-1]),
    )


def _blocks(m: int) -> list[np.ndarray]:
    """Return the rows of an inverse of m sources in blocks."""
    return [np.arange(start, min(start + ROWS, m + 1)) for start in range(0, m + 1, ROWS)]


def _variances(inverse: Inverse, m: int) -> np.ndarray:
    """Return the variances of the `m` fluxes and of the background level, shape (m + 1,)."""
    return np.concatenate([inverse_rows(inverse, index)[np.arange(len(index)), index] for index in _blocks(m)])


def _neighbours(inverse: Inverse, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the variances (m + 1,), and for each of `m` sources its most correlated neighbour and the correlation."""
    variance = _variances(inverse, m)
    worst, rho = np.zeros(m, dtype=int), np.zeros(m)
    for index in _blocks(m):
        index = index[index < m]
        if m < 2 or not len(index):
            continue
        correlation = inverse_rows(inverse, index)[:, :m] / np.sqrt(np.outer(variance[index], variance[:m]))
        correlation[np.arange(len(index)), index] = 0.0
        worst[index] = np.argmax(np.abs(correlation), axis=1)
        rho[index] = correlation[np.arange(len(index)), worst[index]]
    rho[np.abs(rho) < NEIGHBOUR_CORRELATION] = 0.0
    return variance, worst, rho
