"""The shift of a band: a grid search on reference sources, and a linear fit of every bright source's offset.

A shift is what must be added to a model's position to land on the light in the image. Here it is (dy, dx) in pixels of
the band; the configuration's is in arcsec along image X, Y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import ShiftError
from ..core.nouns import Box, Template
from ..core.statistics import robust_sigma
from ..photometry.correlated_noise import correlated_errors
from ..photometry.linear_system import solve_fluxes
from ..photometry.normal_matrix import scaled_solve, single_thread

TemplateMaker = Callable[[Sequence[int], tuple[float, float]], list[Template]]
"""(ids, (dy, dx) in pixels) -> the templates of these sources, moved by the shift."""

MIN_SHIFT_PIXELS, MIN_SIGNIFICANCE = 0.05, 3.0
"""What makes a shift worth recommending: 0.05 pixel biases a flux by about 0.1 % at a FWHM of 3 pixels."""

OUTLIER = 3.5
"""Sigma, beyond the sources' own scatter, of an offset that does not count for the common shift."""


@dataclass(frozen=True)
class ShiftSearch:
    """The result of a grid search.

    Parameters
    ----------
    shift, error : (dy, dx)
        Pixels: the parabola's minimum, and where chi2 has grown by one (white noise).
    grid_shift : (dy, dx)
        The grid point of least chi2.
    chi2 : array (2 k + 1, 2 k + 1)
        At every grid point, rows dy, columns dx.
    offsets : array (2 k + 1,)
        The grid's values along each axis, pixels.
    pixels : int
        Pixels that were fitted.
    """

    shift: tuple[float, float]
    error: tuple[float, float]
    grid_shift: tuple[float, float]
    chi2: np.ndarray
    offsets: np.ndarray
    pixels: int


@dataclass(frozen=True)
class Offsets:
    """Offsets of single sources from their models, pixels, with errors; all arrays (n,)."""

    ids: np.ndarray
    dy: np.ndarray
    dx: np.ndarray
    err_dy: np.ndarray
    err_dx: np.ndarray
    snr: np.ndarray


@dataclass(frozen=True)
class CommonShift:
    """The shift that most sources share: (dy, dx) and its error in pixels.

    `scatter` is the sources' own, beyond their errors; `used` counts those within 3.5 sigma, `outliers` are the IDs of
    the others.
    """

    shift: tuple[float, float]
    error: tuple[float, float]
    scatter: tuple[float, float]
    used: int
    outliers: frozenset[int] = frozenset()


def grid_search(
    image: np.ndarray,
    weight: np.ndarray,
    make_templates: TemplateMaker,
    references: Sequence[int],
    centres: Sequence[tuple[float, float]],
    *,
    radius_pixels: float,
    step_pixels: float,
    max_pixels: float,
    neighbours: Sequence[int] = (),
) -> ShiftSearch:
    """Find the shift of least chi2 on the grid |dy|, |dx| <= max_pixels, then to a fraction of a step by a parabola.

    At each grid point the templates of references and neighbours, and a constant, are fitted to the pixels within
    `radius_pixels` of any of `centres`.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    make_templates : callable
        (ids, (dy, dx)) -> templates.
    references, neighbours : sequences of ID
        All are fitted; only the references need light inside the radius.
    centres : sequence of (y, x)
        Of the first reference alone (what the user describes), or of all (`shift: auto`).

    Raises
    ------
    ShiftError
        When no pixel is usable, a reference has no light there, or the minimum lies on the grid's edge.
    """
    if not (step_pixels > 0 and max_pixels >= step_pixels):
        raise ShiftError(
            f"The shift search needs 0 < step <= max_shift, found a step of {step_pixels:g} and a maximum of "
            f"{max_pixels:g} pixels: change astrometry step or max_shift."
        )
    image, weight = np.asarray(image, dtype=float), np.asarray(weight, dtype=float)
    near = _near(image.shape, centres, radius_pixels) & np.isfinite(image) & np.isfinite(weight) & (weight > 0)
    ids = list(dict.fromkeys([*references, *neighbours]))
    if near.sum() < len(references) + 2:
        raise ShiftError(
            f"The shift search found {int(near.sum())} usable pixels within {radius_pixels:.2f} pixels of reference "
            f"{references[0]}: choose another reference or a larger radius, or check the band's mask."
        )
    count = int(np.floor(max_pixels / step_pixels + 1e-9))
    offsets = step_pixels * np.arange(-count, count + 1)
    root = np.sqrt(weight[near])
    data = image[near] * root
    places = np.full(image.shape, -1)
    places[near] = np.arange(len(data))
    with single_thread():
        chi2 = np.array(
            [[_chi2(data, root, places, make_templates(ids, (dy, dx)), references) for dx in offsets] for dy in offsets]
        )
    return _minimum(chi2, offsets, int(near.sum()), references)


def template_gradients(
    make_templates: TemplateMaker, ids: Sequence[int], shift: tuple[float, float] = (0.0, 0.0), step_pixels: float = 0.1
) -> tuple[list[Template], list[Template]]:
    """Return d(template)/dy and d(template)/dx with respect to the source's position, per pixel, at `shift`.

    Central differences: with a step of 0.1 pixel they are good to 1e-3 for PSFs of 2.5 pixels and more.
    """

    def gradient(axis: int) -> list[Template]:
        step = np.zeros(2)
        step[axis] = step_pixels
        plus = make_templates(ids, (shift[0] + step[0], shift[1] + step[1]))
        minus = make_templates(ids, (shift[0] - step[0], shift[1] - step[1]))
        return [_difference(a, b, 2.0 * step_pixels) for a, b in zip(plus, minus, strict=True)]

    return gradient(0), gradient(1)


def linear_offsets(
    image: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    gradients_y: Sequence[Template],
    gradients_x: Sequence[Template],
    correlation: np.ndarray | None = None,
) -> Offsets:
    """Measure the offset of each source that has gradients, all fluxes and all these offsets free at once.

    To first order a source off by (dy, dx) is flux × (T + dy T_y + dx T_x); the offsets are ratios of amplitudes,
    good to about a fifth of the PSF's FWHM, beyond which one more iteration is needed.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    templates : sequence of Template
        Of all sources.
    gradients_y, gradients_x : sequences of Template
        Of the bright sources, in one order; d/d(position of the source).
    correlation : array, optional
        Autocorrelation of the noise (`noise.debiased_autocorrelation`): the errors honour it. White noise without.

    Returns
    -------
    Offsets
        In the order of the gradients; NaN where a source could not be measured.
    """
    ids = np.array([gradient.id for gradient in gradients_y], dtype=np.int64)
    first = 1 + max((template.id for template in templates), default=0)
    n = len(ids)
    extra = [replace(g, id=first + k) for k, g in enumerate([*gradients_y, *gradients_x])]
    everything = [*templates, *extra]
    solution = solve_fluxes(image, weight, everything)
    err = solution.err if correlation is None else correlated_errors(solution, everything, weight, correlation)[0]
    place = {template.id: k for k, template in enumerate(templates)}
    own = np.array([place[k] for k in ids.tolist()], dtype=int)
    start = len(templates)
    flux = solution.flux[own]
    flux = np.where(flux != 0, flux, np.nan)
    by_y, by_x = slice(start, start + n), slice(start + n, start + 2 * n)
    return Offsets(
        ids,
        solution.flux[by_y] / flux,
        solution.flux[by_x] / flux,
        err[by_y] / np.abs(flux),
        err[by_x] / np.abs(flux),
        solution.flux[own] / err[own],
    )


def common_shift(offsets: Offsets, min_snr: float = 10.0) -> CommonShift:
    """Return the shift the sources share: a weighted mean with the sources' own scatter in the weights, outliers out.

    Bright sources have formal errors far below what colour gradients and imperfect models do to a centroid: without a
    scatter term a few of them decide. Sources fainter than `min_snr` are not used: their offset is not linear.

    Raises
    ------
    ShiftError
        When no source is bright enough.
    """
    good = np.isfinite(offsets.dy + offsets.dx + offsets.err_dy + offsets.err_dx) & (offsets.snr >= min_snr)
    if not good.any():
        raise ShiftError(
            f"No source has an offset measured at a signal-to-noise of {min_snr:g}: set the band's shift by hand."
        )
    values = np.stack([offsets.dy[good], offsets.dx[good]])
    errors = np.stack([offsets.err_dy[good], offsets.err_dx[good]])
    scatter = np.array([_own_scatter(v, e) for v, e in zip(values, errors, strict=True)])
    sigma = np.hypot(errors, scatter[:, None])
    z = (values - np.array([_weighted_median(v, s) for v, s in zip(values, sigma, strict=True)])[:, None]) / sigma
    kept = (np.abs(z) <= OUTLIER).all(axis=0)
    inverse = 1.0 / sigma[:, kept] ** 2
    mean = (values[:, kept] * inverse).sum(axis=1) / inverse.sum(axis=1)
    error = 1.0 / np.sqrt(inverse.sum(axis=1))
    outliers = frozenset(offsets.ids[good][~kept].tolist())
    return CommonShift(_pair(mean), _pair(error), _pair(scatter), int(kept.sum()), outliers)


def recommend(
    common: CommonShift,
    pixel_arcsec: tuple[float, float],
    present_arcsec: tuple[float, float] = (0.0, 0.0),
) -> str | None:
    """Return a sentence that recommends a shift, or None where none is needed.

    Needed: more than 0.05 pixel, and 3 sigma on either axis. `pixel_arcsec` is (along Y, along X); `present_arcsec` is
    the shift that the models already have, along X, Y as in the configuration.
    """
    significant = max(abs(d) / e if e > 0 else 0.0 for d, e in zip(common.shift, common.error, strict=True))
    if significant <= MIN_SIGNIFICANCE or np.hypot(*common.shift) <= MIN_SHIFT_PIXELS:
        return None
    (dy, dx), (ey, ex), (py, px) = common.shift, common.error, pixel_arcsec
    total = (present_arcsec[0] + dx * px, present_arcsec[1] + dy * py)
    return (
        f"The light of {common.used} bright sources lies {dx * px:+.4f} ± {ex * px:.4f} arcsec along image X and "
        f"{dy * py:+.4f} ± {ey * py:.4f} along Y from the models: "
        f"set shift: [{total[0]:.4f}, {total[1]:.4f}], or shift: auto."
    )


def choose_references(
    ids: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    flux: np.ndarray,
    flux_err: np.ndarray,
    r_e: np.ndarray,
    *,
    radius: float,
    r_e_min: float,
    r_e_max: float,
    min_snr: float = 50.0,
    wanted: int = 10,
    eligible: np.ndarray | None = None,
) -> list[int]:
    """Choose reference sources: bright, compact, isolated, no star; the best, which anchors the grid, first.

    Candidates have r_e_min < r_e < r_e_max and flux / flux_err > min_snr. Isolated: the neighbours within 1.5 `radius`
    hold less than 10 % of the source's flux; if fewer than three are, 30 %, then 100 %. Ordered by decreasing
    S/N.

    Parameters
    ----------
    ids, y, x, flux, flux_err, r_e : arrays (n,)
        Of all sources. Positions, `r_e`, `radius` and the bounds in one unit.
    r_e_min : float
        What no star reaches: a tenth of the detection PSF's FWHM, say.
    eligible : array (n,) of bool, optional
        False where a source must not serve (flagged, point source, near the edge or masked).

    Raises
    ------
    ShiftError
        When no source qualifies.
    """
    snr = np.where(flux_err > 0, flux / np.where(flux_err > 0, flux_err, 1.0), 0.0)
    good = (snr > min_snr) & (r_e > r_e_min) & (r_e < r_e_max) & np.isfinite(y + x)
    good &= True if eligible is None else np.asarray(eligible, dtype=bool)
    candidates = np.flatnonzero(good)
    ranked = candidates[np.lexsort((ids[candidates], -snr[candidates]))]
    light = np.where(np.isfinite(flux), np.maximum(flux, 0.0), 0.0)
    crowding = np.array([_crowding(k, y, x, light, 1.5 * radius) for k in ranked])
    for limit in (0.1, 0.3, 1.0):
        chosen = ranked[crowding < limit]
        if len(chosen) >= 3 or (limit == 1.0 and len(chosen)):
            return [int(k) for k in ids[chosen[:wanted]]]
    raise ShiftError(
        f"No source can serve as an astrometric reference: {len(ranked)} have S/N > {min_snr:g} and "
        f"{r_e_min:.3g} < r_e < {r_e_max:.3g}, none of them isolated; name some in astrometry references."
    )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _crowding(k: int, y: np.ndarray, x: np.ndarray, light: np.ndarray, reach: float) -> float:
    """Return the light of the neighbours within `reach` in units of the source's own."""
    near = np.hypot(y - y[k], x - x[k]) <= reach
    return float((light[near].sum() - light[k]) / light[k])


def _near(shape: tuple[int, ...], centres: Sequence[tuple[float, float]], radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near = np.zeros(shape, dtype=bool)
    for y, x in centres:
        near |= np.hypot(rows - y, columns - x) <= radius
    return near


def _chi2(
    data: np.ndarray, root: np.ndarray, places: np.ndarray, templates: Sequence[Template], references: Sequence[int]
) -> float:
    """Return the least chi2 of the templates and a constant; `data` = image × `root` on the fitted pixels.

    `places` (ny, nx) is the position of each pixel in `data`, -1 where it is not fitted: no image is made per template.
    """
    columns, seen = [root], set()
    for template in templates:
        there = places[template.box.slices]
        fitted = there >= 0
        light = np.asarray(template.data, dtype=float)[fitted]
        # 1e-6 of the unit flux inside the radius: nothing to measure
        if np.abs(light).sum() > 1e-6:
            column = np.zeros(len(data))
            column[there[fitted]] = light
            columns.append(column * root)
            seen.add(template.id)
    missing = [k for k in references if k not in seen]
    if missing:
        raise ShiftError(
            f"Reference {missing[0]} has no light on usable pixels within the radius: choose another reference."
        )
    design = np.stack(columns)
    amplitudes, _ = scaled_solve(design @ design.T, design @ data)
    return float(np.sum((data - amplitudes @ design) ** 2))


def _minimum(chi2: np.ndarray, offsets: np.ndarray, pixels: int, references: Sequence[int]) -> ShiftSearch:
    """Refine the least chi2 by the parabola through its 3 × 3 neighbours."""
    row, column = (int(k) for k in np.unravel_index(int(np.argmin(chi2)), chi2.shape))
    last, step = len(offsets) - 1, float(offsets[1] - offsets[0])
    grid = (float(offsets[row]), float(offsets[column]))
    if row in (0, last) or column in (0, last):
        raise ShiftError(
            f"The best shift of reference {references[0]}, dx = {grid[1]:g}, dy = {grid[0]:g} pixels, lies on the "
            f"edge of the grid of ±{offsets[-1]:g} pixels: raise astrometry max_shift, or choose another reference."
        )
    shift, error = _parabola(chi2[row - 1 : row + 2, column - 1 : column + 2])
    return ShiftSearch(
        (grid[0] + step * shift[0], grid[1] + step * shift[1]),
        (step * error[0], step * error[1]),
        grid,
        chi2,
        offsets,
        pixels,
    )


def _parabola(values: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the minimum and its errors (chi2 + 1, the other axis free) in steps; (0, 0) and 1 where there is none."""
    y, x = (grid.ravel().astype(float) for grid in np.mgrid[-1:2, -1:2])
    design = np.stack([np.ones(9), y, x, y * y / 2.0, x * x / 2.0, y * x], axis=1)
    _, gy, gx, hyy, hxx, hyx = np.linalg.lstsq(design, (values - values[1, 1]).ravel(), rcond=None)[0]
    hessian = np.array([[hyy, hyx], [hyx, hxx]])
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return (0.0, 0.0), (1.0, 1.0)
    minimum = -np.linalg.solve(hessian, [gy, gx])
    error = np.sqrt(np.diag(2.0 * np.linalg.inv(hessian)))
    return _pair(np.clip(minimum, -1.0, 1.0)), _pair(error)


def _difference(plus: Template, minus: Template, step: float) -> Template:
    """Return (plus - minus) / step on the box that holds both."""
    if plus.box.is_empty or minus.box.is_empty:
        return Template(plus.id, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
    box = plus.box | minus.box
    data = np.zeros(box.shape)
    data[plus.box.within(box)] += plus.data
    data[minus.box.within(box)] -= minus.data
    return Template(plus.id, box, data / step, min(plus.coverage, minus.coverage))


def _weighted_median(values: np.ndarray, sigma: np.ndarray) -> float:
    order = np.argsort(values)
    share = np.cumsum(1.0 / sigma[order] ** 2)
    # halfway inside each step, so that the answer does not lean to one side
    middle = share - 0.5 / sigma[order] ** 2
    return float(np.interp(0.5 * share[-1], middle, values[order]))


def _own_scatter(values: np.ndarray, errors: np.ndarray) -> float:
    """Return the scatter that, added in quadrature to the errors, makes the robust sigma of the pulls one."""

    def excess(scatter: float) -> float:
        sigma = np.hypot(errors, scatter)
        return robust_sigma((values - _weighted_median(values, sigma)) / sigma) - 1.0

    if len(values) < 4 or excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.ptp(values)) + float(errors.max())
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return 0.5 * (low + high)
