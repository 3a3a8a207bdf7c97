"""Grid search for the shift of a band on reference sources, and the choice of these references.

A shift is added to the positions of the models so that they agree with the image. In this module it is (dy, dx) in
pixels of the band; in the configuration it is in arcsec along image X, Y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import ShiftError
from ..core.types import Template
from ..photometry.normal_matrix import scaled_solve
from ..photometry.stamps import single_thread

TemplateMaker = Callable[[Sequence[int], tuple[float, float]], list[Template]]
"""Function of (ids, (dy, dx) in pixels) that returns the templates of these sources at this shift."""

CROWDING_LIMITS = (0.1, 0.3, 1.0)
"""Largest light of the neighbours of a reference in units of its own light, tried in turn until three sources pass."""
ENOUGH_REFERENCES = 3
"""Number of references for which a stricter selection is preferred to more references."""


@dataclass(frozen=True)
class GridSearchResult:
    """The result of a grid search.

    Parameters
    ----------
    shift, error : (dy, dx)
        Pixels: the minimum of the parabola, and the change at which chi2 has grown by one (white noise).
    chi2 : array (2 k + 1, 2 k + 1)
        At every grid point, rows dy, columns dx.
    offsets : array (2 k + 1,)
        Values of the grid along each axis in pixels.
    pixels : int
        Number of fitted pixels.
    """

    shift: tuple[float, float]
    error: tuple[float, float]
    chi2: np.ndarray
    offsets: np.ndarray
    pixels: int


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
    narrow: Callable[[np.ndarray], TemplateMaker] | None = None,
) -> GridSearchResult:
    """Find the shift of least chi2 on the grid |dy|, |dx| <= max_pixels, refined to a fraction of a step by a parabola.

    At each grid point the templates of references and neighbours and a background level are fitted to the pixels within
    `radius_pixels` of any of the `centres`.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    make_templates : callable
        (ids, (dy, dx)) -> templates.
    references, neighbours : sequences of int
        IDs. All are fitted; only the references must have light within the radius.
    centres : sequence of (y, x)
        Pixels: the position of the first reference (references named by the user), or of all of them.
    radius_pixels, step_pixels, max_pixels : float
        Radius of the fitted areas, step of the grid, largest shift along each axis.
    neighbours : sequence of int
        IDs of other sources to be fitted.
    narrow : callable, optional
        Returns a faster maker of the same templates on the fitted pixels only, from these as a bool array (ny, nx).

    Raises
    ------
    ShiftError
        If no pixel is usable, a reference has no light within the radius, or the minimum lies on the edge of the grid.
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
    make = make_templates if narrow is None else narrow(near)
    with single_thread():
        chi2 = np.array(
            [[_chi2(data, root, places, make(ids, (dy, dx)), references) for dx in offsets] for dy in offsets]
        )
    return _minimum(chi2, offsets, int(near.sum()), references)


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
    """Choose reference sources: bright, compact, isolated galaxies in order of decreasing S/N.

    Candidates have r_e_min < r_e < r_e_max and flux / flux_err > min_snr. A source is isolated if its neighbours within
    1.5 `radius` have less than 10 % of its flux; if fewer than three sources are, the limit is 30 %, then 100 %.

    Parameters
    ----------
    ids, y, x, flux, flux_err, r_e : arrays (n,)
        All sources. Positions, `r_e`, `radius` and its limits have the same unit.
    radius : float
        Radius of the fitted areas of the grid search.
    r_e_min, r_e_max : float
        Limits of the half-light radius; the lower one excludes stars.
    min_snr : float
        Lower limit of the signal-to-noise ratio.
    wanted : int
        Largest number of references.
    eligible : array (n,) of bool, optional
        False where a source must not be used (flagged, point source, near the edge, masked).

    Returns
    -------
    list of int
        IDs; empty if no source qualifies.
    """
    snr = np.where(flux_err > 0, flux / np.where(flux_err > 0, flux_err, 1.0), 0.0)
    good = (snr > min_snr) & (r_e > r_e_min) & (r_e < r_e_max) & np.isfinite(y + x)
    good &= True if eligible is None else np.asarray(eligible, dtype=bool)
    candidates = np.flatnonzero(good)
    ranked = candidates[np.lexsort((ids[candidates], -snr[candidates]))]
    light = np.where(np.isfinite(flux), np.maximum(flux, 0.0), 0.0)
    crowding = np.array([_crowding(k, y, x, light, 1.5 * radius) for k in ranked])
    for limit in CROWDING_LIMITS:
        isolated = ranked[crowding < limit]
        if len(isolated) >= ENOUGH_REFERENCES:
            break
    return [int(k) for k in ids[isolated[:wanted]]]


def _crowding(k: int, y: np.ndarray, x: np.ndarray, light: np.ndarray, radius: float) -> float:
    """Return the light of the neighbours within `radius` of source `k` in units of its own light."""
    near = np.hypot(y - y[k], x - x[k]) <= radius
    return float((light[near].sum() - light[k]) / light[k])


def _near(shape: tuple[int, ...], centres: Sequence[tuple[float, float]], radius: float) -> np.ndarray:
    """Return True within `radius` pixels of any of the `centres`, shape (ny, nx)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near = np.zeros(shape, dtype=bool)
    for y, x in centres:
        near |= np.hypot(rows - y, columns - x) <= radius
    return near


def _chi2(
    data: np.ndarray, root: np.ndarray, places: np.ndarray, templates: Sequence[Template], references: Sequence[int]
) -> float:
    """Return the least chi2 of the templates and a background level; `data` = image × `root` on the fitted pixels.

    `places` (ny, nx) is the index in `data` of each pixel, -1 where it is not fitted: with it no whole image has to be
    made for a template.
    """
    columns, with_light = [root], set()
    for template in templates:
        place = places[template.box.slices]
        fitted = place >= 0
        light = np.asarray(template.data, dtype=float)[fitted]
        # less than 1e-6 of the flux inside the radius cannot be measured
        if np.abs(light).sum() > 1e-6:
            column = np.zeros(len(data))
            column[place[fitted]] = light
            columns.append(column * root)
            with_light.add(template.id)
    missing = [k for k in references if k not in with_light]
    if missing:
        raise ShiftError(
            f"Reference {missing[0]} has no light on usable pixels within the radius: choose another reference."
        )
    design = np.stack(columns)
    amplitudes, _ = scaled_solve(design @ design.T, design @ data)
    return float(np.sum((data - amplitudes @ design) ** 2))


def _minimum(chi2: np.ndarray, offsets: np.ndarray, pixels: int, references: Sequence[int]) -> GridSearchResult:
    """Return the search with its minimum refined by a parabola through the 3 × 3 grid points around the least chi2."""
    row, column = (int(k) for k in np.unravel_index(int(np.argmin(chi2)), chi2.shape))
    last, step = len(offsets) - 1, float(offsets[1] - offsets[0])
    dy, dx = float(offsets[row]), float(offsets[column])
    if row in (0, last) or column in (0, last):
        raise ShiftError(
            f"The best shift of reference {references[0]}, dx = {dx:g}, dy = {dy:g} pixels, lies on the edge of the "
            f"grid of ±{offsets[-1]:g} pixels: increase astrometry max_shift, or choose another reference."
        )
    shift, error = _parabola(chi2[row - 1 : row + 2, column - 1 : column + 2])
    return GridSearchResult(
        (dy + step * shift[0], dx + step * shift[1]), (step * error[0], step * error[1]), chi2, offsets, pixels
    )


def _parabola(values: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the minimum of 3 × 3 values and its errors (chi2 + 1, the other axis free), in steps along (y, x).

    Where the parabola has no minimum the shift is (0, 0) and the error one step.
    """
    y, x = (grid.ravel().astype(float) for grid in np.mgrid[-1:2, -1:2])
    design = np.stack([np.ones(9), y, x, y * y / 2.0, x * x / 2.0, y * x], axis=1)
    _, gy, gx, hyy, hxx, hyx = np.linalg.lstsq(design, (values - values[1, 1]).ravel(), rcond=None)[0]
    hessian = np.array([[hyy, hyx], [hyx, hxx]])
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return (0.0, 0.0), (1.0, 1.0)
    dy, dx = np.clip(-np.linalg.solve(hessian, [gy, gx]), -1.0, 1.0)
    error_y, error_x = np.sqrt(np.diag(2.0 * np.linalg.inv(hessian)))
    return (float(dy), float(dx)), (float(error_y), float(error_x))
