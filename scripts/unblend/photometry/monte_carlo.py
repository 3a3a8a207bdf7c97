"""Monte Carlo errors: the residual's pixels of empty circles, moved onto a source and added, fitted again.

The fit is linear and its matrix does not change, so a flux changes by the product of the patch and the source's
*influence* g = W Σ_j C_ij T_j (C the inverse, the constant included): one product of small arrays replaces a fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..core.nouns import Box, Template
from ..images.masks import grow_mask
from . import linear_system
from .linear_system import LinearSolution, box_array

Circle = tuple[float, float, float]
"""(y, x, radius) in pixels."""

MAX_UNUSABLE = 0.05
"""Fraction of unusable pixels a circle may hold (they count as zero): costs less than 3 % of the scatter."""

MIN_REALIZATIONS = 5
"""Below it the scatter is not known to better than 40 %: none is given."""

WANTED, ENOUGH = 100, 15
"""Circles placed where the field allows: 100 give the scatter to 7 %; below 15 circles shrink."""


PLACEMENT_SEED = 4
"""Of the order in which equally good places are tried: fixed, so that a field gives one answer."""


@dataclass(frozen=True)
class Placement:
    """Circles placed automatically, cleanest first, and what was given up to fit them in.

    `radius` in pixels; `wanted_radius` is the one asked for; `on_segments` counts the circles that touch a segment.
    """

    circles: list[Circle]
    radius: float
    wanted_radius: float
    on_segments: int


def monte_carlo(
    residual: np.ndarray,
    mask: np.ndarray,
    templates: Sequence[Template],
    solution: LinearSolution,
    weight: np.ndarray,
    circles: Sequence[Circle],
    *,
    positions: np.ndarray | None = None,
) -> np.ndarray:
    """Return the change of every flux when each circle's residual is moved onto the source and added.

    Parameters
    ----------
    residual : array (ny, nx)
        Image minus models and constant.
    mask : array (ny, nx) of bool
        True: unusable as noise, besides pixels of zero weight or non-finite residual.
    templates, solution, weight
        As fitted.
    circles : sequence of (y, x, radius)
        Pixels. Moves are by whole pixels.
    positions : array (n, 2), optional
        Where patches land, (y, x); by default the centroid of each template's light.

    Returns
    -------
    array (n, len(circles))
        In image units. NaN for sources without a flux, and for circles with more than 5 % of their pixels unusable or
        off the image.
    """
    weight = np.where(np.isfinite(weight) & (weight > 0) & np.isfinite(residual), weight, 0.0)
    changes = np.full((len(templates), len(circles)), np.nan)
    if not circles or not len(solution.active):
        return changes
    half = max(int(np.ceil(radius)) for _, _, radius in circles) + 1
    usable = (weight > 0) & ~np.asarray(mask, dtype=bool)
    patches = np.array([_patch(residual, usable, circle, half) for circle in circles])
    active = [templates[k] for k in solution.active]
    if positions is None:
        centres = np.array([_centroid(template) for template in active])
    else:
        centres = np.asarray(positions, dtype=float)[solution.active]
    boxes = box_array(active)
    for index, rows in solution.row_blocks():
        for k, row in zip(index, rows, strict=True):
            if k < len(active):
                influence = _influence(row, active, boxes, weight, centres[k], half)
                changes[solution.active[k]] = np.einsum("mij,ij->m", patches, influence)
    return changes


def realization_scatter(realizations: np.ndarray) -> np.ndarray:
    """Return the standard deviation (ddof = 1) of the finite realizations of each source; NaN below 5 of them."""
    errors = np.full(len(realizations), np.nan)
    for k, row in enumerate(realizations):
        finite = row[np.isfinite(row)]
        if len(finite) >= MIN_REALIZATIONS:
            errors[k] = np.std(finite, ddof=1)
    return errors


def pooled_ratio(realizations: np.ndarray, err: np.ndarray) -> tuple[float, float]:
    """Return the ratio of Monte Carlo to formal errors, pooled over sources, and its error.

    The median over sources of variance ratios: a few misfits do not decide for a band. All sources share the same M
    patches, so that the error does not fall with the number of sources: ratio / √(2 (M − 1)). NaN without any.
    """
    ratio = realization_scatter(realizations) / err
    good = np.isfinite(ratio)
    if not good.any():
        return np.nan, np.nan
    count = np.median(np.isfinite(realizations[good]).sum(axis=1))
    pooled = float(np.sqrt(np.median(ratio[good] ** 2)))
    return pooled, float(pooled / np.sqrt(2.0 * (count - 1.0)))


def adopted_scale(ratio: float, ratio_err: float) -> float:
    """Return the factor on a band's formal errors: `ratio` where it exceeds 1 by more than 2 sigma, else 1."""
    return ratio if np.isfinite(ratio) and ratio - 1.0 > 2.0 * ratio_err else 1.0


def place_circles(
    model_light: np.ndarray,
    mask: np.ndarray,
    segments: np.ndarray,
    *,
    radius: float,
    fwhm: float,
    wanted: int = WANTED,
    enough: int = ENOUGH,
    quiet: float = 0.0,
    loud: float = np.inf,
) -> Placement:
    """Place circles that do not overlap, in the image, off masked pixels and segments, where models have least light.

    Where fewer than `enough` fit, circles shrink by steps of a tenth to no less than 2 FWHM; then louder places are
    allowed, then segments, still in order of light; then it is what there is, perhaps nothing.

    Parameters
    ----------
    model_light : array (ny, nx)
        Sum of all models; its positive part counts.
    mask, segments : arrays (ny, nx)
        Non-zero: masked pixel; pixel of a source.
    radius, fwhm : float
        Pixels. `radius` should be max(3 FWHM, r_e + 1.5 FWHM): 1.5 FWHM alone loses 1–4 % of the realization_scatter.

    quiet : float
        Light per pixel below which one place is as good as another: among such places circles are strewn over the whole
        field, so that they sample all of its noise. A tenth of the noise, say.
    loud : float
        Light per pixel above which a place only helps to reach `enough`: there the misfit of the models, some per cent
        of their light on real galaxies, would count as noise. The noise itself, say.

    Raises
    ------
    InputError
        When a radius or the FWHM is not positive.
    """
    if not (radius > 0 and fwhm > 0):
        raise InputError(
            f"Monte Carlo circles need a positive radius and FWHM in pixels, found {radius:g} and {fwhm:g}."
        )
    from scipy.ndimage import gaussian_filter

    # the mean light over a circle, near enough
    light = gaussian_filter(np.maximum(np.nan_to_num(model_light), 0.0), 0.5 * radius)
    if quiet > 0:
        strewn = np.random.default_rng(PLACEMENT_SEED).random(light.shape)
        light = np.maximum(light, quiet) * (1.0 + 1e-3 * strewn)
    masked, source = np.asarray(mask) != 0, np.asarray(segments) != 0
    least = min(radius, 2.0 * fwhm)
    size = radius
    while True:
        by_mask, by_source = _within(masked, size), _within(source, size)
        circles = _greedy(np.where(light <= loud, light, np.inf), by_mask | by_source, size, wanted)
        if len(circles) >= enough or size <= least:
            break
        size = max(0.9 * size, least)
    for closed in (by_mask | by_source, by_mask):
        if len(circles) < enough:
            circles = _greedy(light, closed, size, enough, circles)
    touching = sum(bool(by_source[int(y), int(x)]) for y, x, _ in circles)
    return Placement(circles, size, radius, touching)


def _greedy(
    light: np.ndarray, closed: np.ndarray, radius: float, wanted: int, start: Sequence[Circle] = ()
) -> list[Circle]:
    """Add circles where `light` is least, among centres that are not `closed`, until `wanted` are placed."""
    cost = np.where(closed, np.inf, light)
    circles = list(start)
    for y, x, _ in circles:
        _close(cost, int(y), int(x), 2.0 * radius)
    # a circle closes fewer places than its square has
    for y, x in _cheapest(cost, max(wanted - len(circles), 0) * math.ceil(4.0 * radius + 1.0) ** 2):
        if len(circles) >= wanted:
            break
        if np.isfinite(cost[y, x]):
            circles.append((float(y), float(x), radius))
            _close(cost, y, x, 2.0 * radius)
    return circles


def _cheapest(cost: np.ndarray, count: int) -> Iterator[tuple[int, int]]:
    """Yield the places (y, x) of at least `count` lowest values, if there are as many finite ones, lowest first."""
    values = cost.ravel()
    usable = np.flatnonzero(np.isfinite(values))
    if count < usable.size:
        usable = usable[values[usable] <= np.partition(values[usable], count)[count]]
    for index in usable[np.argsort(values[usable], kind="stable")].tolist():
        yield divmod(index, cost.shape[1])


def _close(cost: np.ndarray, y: int, x: int, reach: float) -> None:
    """Forbid, in place, all centres within `reach` of (y, x)."""
    window = (Box.around(y, x, reach) & Box.of_shape(cost.shape)).slices
    rows, columns = np.ogrid[window]
    cost[window][np.hypot(rows - y, columns - x) <= reach] = np.inf


def _within(bad: np.ndarray, reach: float) -> np.ndarray:
    """Return True within `reach` pixels of a bad one; outside the image all are bad."""
    return grow_mask(np.pad(bad, 1, constant_values=True), reach)[1:-1, 1:-1]


def _centroid(template: Template) -> tuple[float, float]:
    light = np.abs(np.asarray(template.data, dtype=float))
    total = light.sum()
    rows, columns = np.arange(template.box.y0, template.box.y1), np.arange(template.box.x0, template.box.x1)
    return float(light.sum(axis=1) @ rows / total), float(light.sum(axis=0) @ columns / total)


def _square(y: float, x: float, half: int) -> Box:
    row, column = int(np.rint(y)), int(np.rint(x))
    return Box(row - half, column - half, row + half + 1, column + half + 1)


def _patch(residual: np.ndarray, usable: np.ndarray, circle: Circle, half: int) -> np.ndarray:
    """Return the circle's pixels in a square of side 2 half + 1, zero elsewhere; NaN where too few are usable."""
    y, x, radius = circle
    square = _square(y, x, half)
    inside = square & Box.of_shape(residual.shape)
    rows, columns = np.ogrid[square.y0 : square.y1, square.x0 : square.x1]
    disc = np.hypot(rows - y, columns - x) <= radius
    values, good = np.zeros(disc.shape), np.zeros(disc.shape, dtype=bool)
    if not inside.is_empty:
        window = inside.within(square)
        good[window] = usable[inside.slices] & disc[window]
        values[window] = np.where(good[window], residual[inside.slices], 0.0)
    if good.sum() < (1.0 - MAX_UNUSABLE) * disc.sum() or not disc.any():
        values[...] = np.nan
    return values


def _influence(
    row: np.ndarray, active: Sequence[Template], boxes: np.ndarray, weight: np.ndarray, centre: np.ndarray, half: int
) -> np.ndarray:
    """Return the change of one flux per unit of light of each pixel around `centre`; 0 off the image."""
    square = _square(centre[0], centre[1], half)
    inside = square & Box.of_shape(weight.shape)
    influence = np.zeros(square.shape)
    if inside.is_empty:
        return np.full(square.shape, np.nan)  # nothing lands on the image: no realization, not an error of zero
    influence[inside.within(square)] = linear_system.influence(row, active, boxes, weight, inside)
    return influence
