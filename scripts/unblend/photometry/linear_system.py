"""The fluxes of a band: weighted linear least squares of all templates and a constant, errors and flags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from ..core.flags import Flag
from ..core.nouns import Box, Template
from ..core.statistics import noise_rms
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
"""Sources above which the inverse is local: a dense one of 5000 takes 200 MB and some seconds on one core."""

MIN_LIGHT = 1e-3
"""Fraction of a source's light that must fall on usable pixels for its flux to be measured at all."""

NEIGHBOUR_CORRELATION = 0.01
"""Correlation below which a neighbour is not worth naming: it adds less than 1e-4 to an error."""

WEIGHT_TOLERANCE = 0.05
"""Deviation of measured over claimed scatter from 1 that is left alone: the precision asked of errors themselves."""


@dataclass(frozen=True)
class LinearSolution:
    """Fluxes and their errors, in the order of the templates given; NaN where nothing was measured.

    Parameters
    ----------
    ids, flux, err : arrays (n,)
        `err` is formal (white noise), from the full inverse: neighbours and the constant are free.
    err_isolated : array (n,)
        The error if every other source and the constant were known.
    worst_neighbour, correlation : arrays (n,)
        ID of the source whose flux is most correlated with this one's (0: none above 0.01), and that correlation.
    flags : array (n,) int64
        Bits of `Flag`.
    background, background_err : float
        The constant, in image units.
    inverse : array (m + 1, m + 1) or LocalInverse
        Covariance for white noise of the `m` active fluxes and, last, the constant.
    active : array (m,)
        Index in `ids` of each row of `inverse` but the last.
    residual : array (ny, nx)
        Image minus all models and the constant; NaN where the image is not finite.
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
        """Return the solution with noise `factor` times as large everywhere: weights divided by its square."""
        return replace(
            self,
            err=self.err * factor,
            err_isolated=self.err_isolated * factor,
            background_err=self.background_err * factor,
            inverse=self.inverse * factor**2,
        )

    def inverse_rows(self, index: np.ndarray) -> np.ndarray:
        """Return rows of the inverse (positions in `active`; m for the constant), shape (len(index), m + 1)."""
        return inverse_rows(self.inverse, np.asarray(index, dtype=int))

    def row_blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (index, rows of the inverse) over all rows, the constant's included, a few at a time."""
        for start in range(0, len(self.active) + 1, ROWS):
            index = np.arange(start, min(start + ROWS, len(self.active) + 1))
            yield index, self.inverse_rows(index)

    def apply_inverse(self, right: np.ndarray) -> np.ndarray:
        """Return the inverse times `right`, shape (m + 1,) or (m + 1, k): the amplitudes that fit it."""
        with single_thread():
            return np.concatenate([rows @ right for _, rows in self.row_blocks()])


def solve_fluxes(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], *, dense_limit: int = DENSE_LIMIT
) -> LinearSolution:
    """Fit all templates and a constant to the usable pixels, without bounds on the fluxes.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance; 0, or not finite, where a pixel is ignored. Non-finite pixels are ignored.
    templates : sequence of Template
        One per source, of unit flux, clipped to the image. A template without light on usable pixels gets NaN and
        NO_PIXELS, one with non-finite data NaN and NO_MODEL.
    dense_limit : int
        Sources above which the inverse is local: fluxes stay exact, errors are good to about 1e-6.

    Returns
    -------
    LinearSolution
        The same to the last bit for any order of the templates and any number of cores.

    Raises
    ------
    InputError
        When shapes disagree, IDs repeat, a box leaves the image, or no pixel is usable.
    """
    image, weight = np.asarray(image, dtype=float), np.asarray(weight, dtype=float)
    ids = np.array([template.id for template in templates], dtype=np.int64)
    _check(image, weight, templates, ids)
    order = np.argsort(ids)
    usable = np.isfinite(image) & np.isfinite(weight) & (weight > 0)
    if not usable.any():
        raise InputError(
            "The fit found no pixel of finite value and positive weight: check the band's masks and weights."
        )
    weight = np.where(usable, weight, 0.0)
    # a large pedestal would cost digits: it is put back at the end
    pedestal = float(np.average(image[usable], weights=weight[usable]))
    data = np.where(usable, image, pedestal) - pedestal

    ordered = [templates[k] for k in order]
    flags = screen(ordered, usable)
    active = np.flatnonzero((flags & (Flag.NO_PIXELS | Flag.NO_MODEL)) == 0)
    system = _build_system(data, weight, [ordered[k] for k in active])
    with single_thread():
        solver = solve_dense if system.n <= dense_limit else solve_local
        amplitudes, inverse = solver(system)
    amplitudes[-1] += pedestal
    return _assemble(image, ordered, order, flags, active, system, amplitudes, inverse)


def box_array(templates: Sequence[Template]) -> np.ndarray:
    """Return the boxes of the templates as an array (n, 4) of y0, x0, y1, x1."""
    return np.array([(t.box.y0, t.box.x0, t.box.y1, t.box.x1) for t in templates], dtype=int).reshape(-1, 4)


def model_image(
    templates: Sequence[Template], flux: np.ndarray, shape: tuple[int, ...], background: float = 0.0
) -> np.ndarray:
    """Return the sum of flux × template and the constant; a NaN flux adds nothing."""
    model = np.full(shape, float(background))
    for k in np.argsort([template.id for template in templates]):
        if np.isfinite(flux[k]) and not templates[k].box.is_empty:
            model[templates[k].box.slices] += flux[k] * np.asarray(templates[k].data, dtype=float)
    return model


def neighbours_removed(image: np.ndarray, templates: Sequence[Template], flux: np.ndarray, keep_id: int) -> np.ndarray:
    """Return the image minus the models of all sources but `keep_id`; the background stays."""
    if keep_id not in {template.id for template in templates}:
        raise InputError(
            f"Source {keep_id}, to be kept while its neighbours are removed, is not in the list of sources."
        )
    others = np.array([0.0 if template.id == keep_id else flux[k] for k, template in enumerate(templates)])
    return np.asarray(image, dtype=float) - model_image(templates, others, np.shape(image))


def influence(
    row: np.ndarray, active: Sequence[Template], boxes: np.ndarray, weight: np.ndarray, box: Box
) -> np.ndarray:
    """Return the change of one flux per unit of light in each pixel of `box`, which lies inside the image.

    g = W Σ_j C_ij T_j, the constant included: `row` is the source's row of the inverse, `active` the templates in its
    order, `boxes` those of `box_array(active)`, `weight` as fitted (0 where ignored).
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
    """Return measured over claimed scatter: the robust sigma of residual × √weight where `mask` (sources) is False.

    1 where the weight map is right; weight / factor² is the weight that agrees with the data. Outside
    `WEIGHT_TOLERANCE` the caller rescales and warns. NaN without usable pixels.
    """
    weight = np.where(np.isfinite(weight) & (np.asarray(weight) > 0), weight, 0.0)
    return noise_rms(np.asarray(residual) * np.sqrt(weight), np.asarray(mask, dtype=bool) | (weight == 0))


def _check(image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], ids: np.ndarray) -> None:
    if image.ndim != 2 or image.shape != weight.shape:
        raise InputError(
            f"The fit needs an image and weights of one shape (ny, nx), found {image.shape} and {weight.shape}."
        )
    unique, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"The fit needs one template per source, found {counts.max()} of ID {unique[counts.argmax()]}."
        )
    whole = Box.of_shape(image.shape)
    for template in templates:
        if template.box.is_empty:
            continue
        if template.box not in whole or np.shape(template.data) != template.box.shape:
            raise InputError(
                f"The template of source {template.id} must lie inside the image of shape {image.shape}, with data "
                f"of its box's shape, found {template.box} and data of shape {np.shape(template.data)}."
            )


def screen(templates: Sequence[Template], usable: np.ndarray) -> np.ndarray:
    """Return the flags that each template's light on the usable pixels calls for, shape (n,), int64."""
    return np.array([_screen_one(template, usable) for template in templates], dtype=np.int64)


def _screen_one(template: Template, usable: np.ndarray) -> int:
    if template.box.is_empty:
        return int(Flag.NO_PIXELS)
    light = np.abs(np.asarray(template.data, dtype=float))
    if not np.isfinite(light).all():
        return int(Flag.NO_MODEL)
    seen, inside = float(light[usable[template.box.slices]].sum()), float(light.sum())
    if seen < MIN_LIGHT:
        return int(Flag.NO_PIXELS)
    flag = Flag.PARTLY_MASKED if seen < 0.9 * inside else Flag(0)
    return int(flag | Flag.ON_EDGE if template.coverage < 0.9 else flag)


def _build_system(data: np.ndarray, weight: np.ndarray, templates: Sequence[Template]) -> NormalEquations:
    boxes = box_array(templates)
    stamps = [np.asarray(template.data, dtype=float) for template in templates]
    i, j, value = pair_products(boxes, lambda k: weight[templates[k].box.slices] * stamps[k], boxes, stamps)
    pulled = weight * data
    right = [np.sum(stamp * pulled[template.box.slices]) for template, stamp in zip(templates, stamps, strict=True)]
    column = [np.sum(stamp * weight[template.box.slices]) for template, stamp in zip(templates, stamps, strict=True)]
    right.append(np.sum(pulled))
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
    """Fill the columns, in ID order, and bring them back to the caller's `order`."""
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


def _neighbours(inverse: Inverse, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the variances (m + 1,), and for each of `m` sources the most correlated other one and that correlation."""
    blocks = [np.arange(start, min(start + ROWS, m + 1)) for start in range(0, m + 1, ROWS)]
    variance = np.concatenate([inverse_rows(inverse, index)[np.arange(len(index)), index] for index in blocks])
    worst, rho = np.zeros(m, dtype=int), np.zeros(m)
    for index in blocks:
        index = index[index < m]
        if m < 2 or not len(index):
            continue
        correlation = inverse_rows(inverse, index)[:, :m] / np.sqrt(np.outer(variance[index], variance[:m]))
        correlation[np.arange(len(index)), index] = 0.0
        worst[index] = np.argmax(np.abs(correlation), axis=1)
        rho[index] = correlation[np.arange(len(index)), worst[index]]
    rho[np.abs(rho) < NEIGHBOUR_CORRELATION] = 0.0
    return variance, worst, rho
