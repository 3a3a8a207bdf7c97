"""Monte Carlo errors: the residual in empty circles is added at the position of a source, and the flux is fitted again.

Where the depth of the image changes, the residual is added in units of the noise of each pixel: that of a shallow part
would be several sigma in a deep one.

The fit is linear and its matrix does not change. The flux therefore changes by the product of the patch of residual and
the *influence* of the source, g = W Σ_j C_ij T_j (C is the inverse, including the background): one product of
small arrays replaces a fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..core.types import Box, Template
from ..images.masks import grow_mask
from .box_index import BoxIndex, edges
from .linear_system import LinearSolution, box_array
from .stamps import single_thread, stacked

Circle = tuple[float, float, float]
"""(y, x, radius) in pixels."""

MAX_UNUSABLE = 0.05
"""Largest fraction of unusable pixels in a circle. They count as zero, which lowers the scatter by less than 3 %."""

MIN_REALIZATIONS = 5
"""Smallest number of realizations for a scatter: with fewer it is not known to better than 40 %."""

MAX_PATCH_PIXELS = 100_000_000
"""Pixels of the patches of all circles, which are squares of the size of the largest one: 0.8 GB."""

GROUP_SIDE = 32
"""Side in pixels of the parts of the image whose sources are computed together."""

WANTED, ENOUGH = 100, 15
"""Number of circles to place, and the number below which circles shrink: 100 circles give the scatter to 7 %."""


PLACEMENT_SEED = 4
"""Seed of the order in which equally good positions are tried: fixed, so that results are reproducible."""


@dataclass(frozen=True)
class Placement:
    """Circles that were placed automatically.

    Parameters
    ----------
    circles : list of Circle
        Those with the least model light first.
    radius : float
        Radius of all circles in pixels; smaller than requested where the field is crowded.
    on_segments : int
        Number of circles that touch a segment.
    """

    circles: list[Circle]
    radius: float
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
    """Return the change of each flux when the residual in each circle is added at the position of the source.

    Parameters
    ----------
    residual : array (ny, nx)
        Image minus models and background level.
    mask : array (ny, nx) of bool
        True where the residual cannot be used as noise, besides pixels of zero weight or non-finite residual.
    templates : sequence of Template
        As fitted, in the order of the solution.
    solution : LinearSolution
    weight : array (ny, nx)
        As fitted: its changes over the image are those of the noise.
    circles : sequence of (y, x, radius)
        Pixels. Patches are moved by whole pixels.
    positions : array (n, 2), optional
        Positions (y, x) at which patches are added; by default the centroid of each template.

    Returns
    -------
    array (n, len(circles))
        Image units. NaN for sources without a flux, and for circles with more than 5 % of their pixels unusable or off
        the image.
    """
    weight = np.where(np.isfinite(weight) & (weight > 0) & np.isfinite(residual), weight, 0.0)
    changes = np.full((len(templates), len(circles)), np.nan)
    if not circles or not len(solution.active):
        return changes
    half = max(int(np.ceil(radius)) for _, _, radius in circles) + 1
    usable = (weight > 0) & ~np.asarray(mask, dtype=bool)
    noise = np.where(weight > 0, 1.0 / np.sqrt(np.where(weight > 0, weight, 1.0)), 0.0)
    patches = np.array([_patch(residual * np.sqrt(weight), usable, circle, half) for circle in circles])
    active = [templates[k] for k in solution.active]
    if positions is None:
        centres = np.array([template.centroid for template in active])
    else:
        centres = np.asarray(positions, dtype=float)[solution.active]
    index = BoxIndex(box_array(active))
    with single_thread():
        for close in _close_sources(centres, GROUP_SIDE):
            squares = [_square(centres[k, 0], centres[k, 1], half) for k in close]
            responses = influences(solution, close, active, index, weight, squares)
            for k, response, square in zip(close, responses, squares, strict=True):
                inside = square & Box.of_shape(weight.shape)
                if not inside.is_empty:
                    response[inside.within(square)] *= noise[inside.slices]
                changes[solution.active[k]] = np.einsum("mij,ij->m", patches, response)
    return changes


def influences(
    solution: LinearSolution,
    close: np.ndarray,
    active: Sequence[Template],
    index: BoxIndex,
    weight: np.ndarray,
    squares: Sequence[Box],
) -> list[np.ndarray]:
    """Return for each source of a group the change of its flux per unit of light in each pixel of its square.

    The influence is g = W Σ_j C_kj T_j, where the sum includes the terms of the background.

    Parameters
    ----------
    solution : LinearSolution
    close : int array
        Positions of the sources in `solution.active`; close to each other, since templates are looked up for all.
    active : sequence of Template
        In the order of `solution.active`.
    index : BoxIndex
        Of their boxes.
    weight : array (ny, nx)
        As fitted, 0 where ignored.
    squares : sequence of Box
        One for each of the sources.

    Returns
    -------
    list of arrays of the shapes of the squares
        0 off the image; all NaN for a square that is wholly off the image, where no light can be added.
    """
    whole = Box.of_shape(weight.shape)
    inside = [square & whole for square in squares]
    found = [np.full(square.shape, np.nan) for square in squares]
    seen = [place for place, box in enumerate(inside) if not box.is_empty]
    if not seen:
        return found
    part = inside[seen[0]]
    for place in seen:
        part |= inside[place]
    met = index.meeting(edges(part))
    terms = len(active) + np.arange(len(solution.coefficients))
    rows = np.array([solution.inverse.elements(close[place], np.append(met, terms)) for place in seen])
    stack = stacked(edges(part), met, index.boxes, [template.data for template in active])
    responses = np.tensordot(rows[:, : len(met)], stack, 1)
    for place, row, response in zip(seen, rows[:, len(met) :], responses, strict=True):
        box = inside[place]
        found[place][...] = 0.0
        summed = response[box.within(part)] + solution.polynomial.image(row, box)
        found[place][box.within(squares[place])] = summed * weight[box.slices]
    return found


def _close_sources(centres: np.ndarray, side: int) -> list[np.ndarray]:
    """Return the sources in each square of the image with this side, as indices of `centres` (n, 2)."""
    cells = np.floor(centres / side).astype(int)
    _, group = np.unique(cells, axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group.ravel()[order])) + 1)


def usable_circles(circles: Sequence[Circle], shape: tuple[int, int]) -> list[Circle]:
    """Return the circles that can be used, in their order.

    Parameters
    ----------
    circles : sequence of (y, x, radius)
        Pixels; positions off the sky are NaN.
    shape : (ny, nx)
        Shape of the image. Circles around a centre off the image, without pixels, or too large to have 95 % of their
        pixels on it are not returned; nor are the largest ones where the patches of all would have more than
        `MAX_PATCH_PIXELS` pixels.
    """
    ny, nx = shape
    fitting = [
        (y, x, radius)
        for y, x, radius in circles
        if -0.5 <= y < ny - 0.5 and -0.5 <= x < nx - 0.5
        and radius > 0.0 and math.pi * radius**2 * (1.0 - MAX_UNUSABLE) <= ny * nx
    ]  # fmt: skip
    radii = sorted(radius for _, _, radius in fitting)
    most = [
        radius for n, radius in enumerate(radii, start=1) if n * (2 * math.ceil(radius) + 3) ** 2 <= MAX_PATCH_PIXELS
    ]
    return [circle for circle in fitting if most and circle[2] <= most[-1]]


def realization_scatter(realizations: np.ndarray) -> np.ndarray:
    """Return the standard deviation (ddof = 1) of the finite realizations of each source; NaN if fewer than 5."""
    errors = np.full(len(realizations), np.nan)
    for k, row in enumerate(realizations):
        finite = row[np.isfinite(row)]
        if len(finite) >= MIN_REALIZATIONS:
            errors[k] = np.std(finite, ddof=1)
    return errors


def pooled_ratio(realizations: np.ndarray, err: np.ndarray) -> tuple[float, float]:
    """Return the ratio of Monte Carlo to formal errors of a band, and its error; NaN without any finite ratio.

    It is the root of the median variance ratio of all sources, which a few misfits do not affect. All sources share the
    same M patches. The error therefore does not fall with the number of sources: it is ratio / √(2 (M − 1)).
    """
    ratio = realization_scatter(realizations) / err
    good = np.isfinite(ratio)
    if not good.any():
        return np.nan, np.nan
    count = np.median(np.isfinite(realizations[good]).sum(axis=1))
    pooled = float(np.sqrt(np.median(ratio[good] ** 2)))
    return pooled, float(pooled / np.sqrt(2.0 * (count - 1.0)))


def adopted_scale(ratio: float, ratio_err: float) -> float:
    """Return the factor on the formal errors of a band: `ratio` if it exceeds 1 by more than 2 sigma, else 1."""
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
    faint_level: float = 0.0,
    bright_level: float = np.inf,
) -> Placement:
    """Place circles without overlap inside the image where the models are faintest, off masked pixels and segments.

    If fewer than `enough` circles fit, they shrink in steps of a tenth to no less than 2 FWHM. If this is not
    sufficient, positions above `bright_level` are used, then positions on segments, both in order of the model light.
    A crowded field may have fewer circles than `enough`, or none.

    Parameters
    ----------
    model_light : array (ny, nx)
        Sum of all models, in units of the noise of each pixel; negative values count as zero.
    mask, segments : arrays (ny, nx)
        Non-zero on masked pixels, and on the pixels of sources.
    radius, fwhm : float
        Pixels. `radius` should be max(3 FWHM, r_e + 1.5 FWHM): 1.5 FWHM alone loses 1–4 % of the scatter.
    wanted, enough : int
        Number of circles to place, and the number below which circles shrink.
    faint_level : float
        Model light below which all positions are equally good, for example a tenth of the noise: circles are
        placed there at random, so that they sample the noise of the whole field.
    bright_level : float
        Model light above which positions are used only to reach `enough`, for example the noise: the misfit
        of the models, a few per cent of the light of real galaxies, would count as noise there.

    Raises
    ------
    InputError
        If the radius or the FWHM is not positive.
    """
    if not (radius > 0 and fwhm > 0):
        raise InputError(
            f"Monte Carlo circles need a positive radius and a positive FWHM in pixels, found {radius:g} and {fwhm:g}."
        )
    from scipy.ndimage import gaussian_filter

    # approximately the mean light over a circle
    light = gaussian_filter(np.maximum(np.nan_to_num(model_light), 0.0), 0.5 * radius)
    if faint_level > 0:
        np.maximum(light, faint_level, out=light)
        light *= 1.0 + 1e-3 * np.random.default_rng(PLACEMENT_SEED).random(light.shape)
    masked, source = np.asarray(mask) != 0, np.asarray(segments) != 0
    smallest = min(radius, 2.0 * fwhm)
    size = radius
    while True:
        near_mask, near_source = _within(masked, size), _within(source, size)
        circles = _fill(light, near_mask | near_source | (light > bright_level), size, wanted)
        if len(circles) >= enough or size <= smallest:
            break
        size = max(0.9 * size, smallest)
    for excluded in (near_mask | near_source, near_mask):
        if len(circles) < enough:
            circles = _fill(light, excluded, size, enough, circles)
    touching = sum(bool(near_source[int(y), int(x)]) for y, x, _ in circles)
    return Placement(circles, size, touching)


def _fill(
    light: np.ndarray, excluded: np.ndarray, radius: float, wanted: int, start: Sequence[Circle] = ()
) -> list[Circle]:
    """Add circles to `start` in order of increasing light, with centres off `excluded`, until there are `wanted`."""
    cost = np.where(excluded, np.inf, light)
    circles = list(start)
    for y, x, _ in circles:
        _exclude_around(cost, int(y), int(x), 2.0 * radius)
    # a circle excludes fewer positions than the pixels of the square around it
    for y, x in _lowest(cost, max(wanted - len(circles), 0) * math.ceil(4.0 * radius + 1.0) ** 2):
        if len(circles) >= wanted:
            break
        if np.isfinite(cost[y, x]):
            circles.append((float(y), float(x), radius))
            _exclude_around(cost, y, x, 2.0 * radius)
    return circles


def _lowest(cost: np.ndarray, count: int) -> Iterator[tuple[int, int]]:
    """Yield the positions (y, x) of at least the `count` lowest finite values, or of all, in increasing order."""
    values = cost.ravel()
    finite = np.isfinite(values)
    if count < np.count_nonzero(finite):
        kept = values[finite]
        kept.partition(count)
        finite = values <= kept[count]
        del kept
    usable = np.flatnonzero(finite)
    for index in usable[np.argsort(values[usable], kind="stable")].tolist():
        yield divmod(index, cost.shape[1])


def _exclude_around(cost: np.ndarray, y: int, x: int, radius: float) -> None:
    """Set the cost of all positions within `radius` of (y, x) to infinity, in place."""
    window = (Box.around(y, x, radius) & Box.of_shape(cost.shape)).slices
    rows, columns = np.ogrid[window]
    cost[window][np.hypot(rows - y, columns - x) <= radius] = np.inf


def _within(bad: np.ndarray, radius: float) -> np.ndarray:
    """Return True within `radius` pixels of a bad pixel; all pixels outside the image are bad."""
    return grow_mask(np.pad(bad, 1, constant_values=True), radius)[1:-1, 1:-1]


def _square(y: float, x: float, half: int) -> Box:
    """Return the square of side 2 half + 1 around the pixel nearest to (y, x)."""
    row, column = int(np.rint(y)), int(np.rint(x))
    return Box(row - half, column - half, row + half + 1, column + half + 1)


def _patch(residual: np.ndarray, usable: np.ndarray, circle: Circle, half: int) -> np.ndarray:
    """Return the circle's pixels in a square of side 2 half + 1, zero elsewhere; all NaN if too few are usable."""
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
