"""Offsets of single bright sources from their models in a linear fit, and the shift that they have in common.

Offsets are (dy, dx) in pixels of the band, to be added to the position of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import ShiftError
from ..core.statistics import robust_sigma
from ..core.types import Box, Template
from ..photometry.correlated_noise import correlated_errors
from ..photometry.linear_system import solve_fluxes
from .shift_search import TemplateMaker

MIN_SHIFT_PIXELS, MIN_SIGNIFICANCE = 0.05, 3.0
"""Smallest shift that is recommended, in pixels and in sigma. At a FWHM of 3 pixels a shift of 0.05 pixels changes a
flux by about 0.1 %."""

OUTLIER_SIGMA = 3.5
"""Offsets deviating by more than this many sigma, including the scatter of the sources, are not used for the shift."""


@dataclass(frozen=True)
class Offsets:
    """Offsets of single sources from their models with errors, in pixels; all arrays (n,)."""

    ids: np.ndarray
    dy: np.ndarray
    dx: np.ndarray
    err_dy: np.ndarray
    err_dx: np.ndarray
    snr: np.ndarray


@dataclass(frozen=True)
class CommonShift:
    """The shift that most sources have in common.

    Parameters
    ----------
    shift, error : (dy, dx)
        Pixels.
    scatter : (dy, dx)
        Scatter of the sources in addition to their errors, pixels.
    used : int
        Number of sources within 3.5 sigma.
    outliers : frozenset of int
        IDs of the other sources.
    """

    shift: tuple[float, float]
    error: tuple[float, float]
    scatter: tuple[float, float]
    used: int
    outliers: frozenset[int] = frozenset()

    @property
    def significance(self) -> float:
        """The shift over its error along the axis where this is larger; 0 along an axis without an error."""
        return max(abs(d) / e if e > 0 else 0.0 for d, e in zip(self.shift, self.error, strict=True))


def template_gradients(
    make_templates: TemplateMaker, ids: Sequence[int], shift: tuple[float, float] = (0.0, 0.0), step_pixels: float = 0.1
) -> tuple[list[Template], list[Template]]:
    """Return the derivatives of templates with respect to y and x of the source, per pixel.

    They are central differences, which with a step of 0.1 pixels are good to 1e-3 for a PSF FWHM of 2.5 pixels or more.

    Parameters
    ----------
    make_templates : callable
        (ids, (dy, dx)) -> templates.
    ids : sequence of int
        IDs of the sources.
    shift : (dy, dx)
        Pixels: the shift at which the derivatives are taken.
    step_pixels : float
        Half the interval of the differences.
    """

    def gradient(axis: int) -> list[Template]:
        """Return the derivatives along one axis."""
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
    *,
    order: int = 0,
) -> Offsets:
    """Measure the offset of each source that has gradients, with all fluxes and all these offsets free.

    To first order a source with an offset (dy, dx) is flux × (T + dy T_y + dx T_x). The offsets are ratios of
    amplitudes. They are accurate up to about a fifth of the PSF FWHM; larger offsets need another iteration.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    templates : sequence of Template
        One for every source.
    gradients_y, gradients_x : sequences of Template
        Derivatives with respect to the position of the bright sources, in the same order.
    correlation : array, optional
        Autocorrelation of the noise (`correlated_noise.debiased_autocorrelation`), for the errors; by default the
        noise is white.
    order : int
        Order of the polynomial for the background.

    Returns
    -------
    Offsets
        In the order of the gradients; NaN where a source could not be measured.
    """
    ids = np.array([gradient.id for gradient in gradients_y], dtype=np.int64)
    first = 1 + max((template.id for template in templates), default=0)
    n = len(ids)
    gradients = [replace(g, id=first + k) for k, g in enumerate([*gradients_y, *gradients_x])]
    everything = [*templates, *gradients]
    solution = solve_fluxes(image, weight, everything, order=order)
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
    """Return the shift that the sources have in common: a weighted mean without outliers.

    The weights include the scatter of the sources. The formal errors of bright sources are much smaller than the effect
    of colour gradients and imperfect models on their centroids, so that otherwise a few of them would dominate. Sources
    fainter than `min_snr` are not used, since their offset is not linear.

    Raises
    ------
    ShiftError
        If no source is bright enough.
    """
    good = np.isfinite(offsets.dy + offsets.dx + offsets.err_dy + offsets.err_dx) & (offsets.snr >= min_snr)
    if not good.any():
        raise ShiftError(
            f"No source has an offset measured at a signal-to-noise of {min_snr:g}: set the band's shift by hand."
        )
    values = np.stack([offsets.dy[good], offsets.dx[good]])
    errors = np.stack([offsets.err_dy[good], offsets.err_dx[good]])
    scatter = np.array([_intrinsic_scatter(v, e) for v, e in zip(values, errors, strict=True)])
    sigma = np.hypot(errors, scatter[:, None])
    z = (values - np.array([_weighted_median(v, s) for v, s in zip(values, sigma, strict=True)])[:, None]) / sigma
    used = (np.abs(z) <= OUTLIER_SIGMA).all(axis=0)
    inverse = 1.0 / sigma[:, used] ** 2
    mean = (values[:, used] * inverse).sum(axis=1) / inverse.sum(axis=1)
    error = 1.0 / np.sqrt(inverse.sum(axis=1))
    outliers = frozenset(offsets.ids[good][~used].tolist())
    return CommonShift(_pair(mean), _pair(error), _pair(scatter), int(used.sum()), outliers)


def recommend(
    common: CommonShift,
    pixel_arcsec: tuple[float, float],
    present_arcsec: tuple[float, float] = (0.0, 0.0),
) -> str | None:
    """Return a sentence that recommends a shift, or None where none is needed.

    A shift is recommended if it is larger than 0.05 pixels, and significant at 3 sigma along either axis.

    Parameters
    ----------
    common : CommonShift
        Measured at the present shift.
    pixel_arcsec : (y, x)
        Pixel scales along image Y and X.
    present_arcsec : (x, y)
        Shift that the models already have, along image X, Y as in the configuration.
    """
    if common.significance <= MIN_SIGNIFICANCE or np.hypot(*common.shift) <= MIN_SHIFT_PIXELS:
        return None
    (dy, dx), (ey, ex), (py, px) = common.shift, common.error, pixel_arcsec
    total = (present_arcsec[0] + dx * px, present_arcsec[1] + dy * py)
    return (
        f"{common.used} bright sources are offset from their models by {dx * px:+.4f} ± {ex * px:.4f} arcsec along "
        f"image X and {dy * py:+.4f} ± {ey * py:.4f} arcsec along image Y: "
        f"set shift: [{total[0]:.4f}, {total[1]:.4f}], or shift: auto."
    )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _difference(plus: Template, minus: Template, step: float) -> Template:
    """Return (plus - minus) / step on the box that contains both."""
    if plus.box.is_empty or minus.box.is_empty:
        return Template(plus.id, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
    box = plus.box | minus.box
    data = np.zeros(box.shape)
    data[plus.box.within(box)] += plus.data
    data[minus.box.within(box)] -= minus.data
    return Template(plus.id, box, data / step, min(plus.coverage, minus.coverage))


def _weighted_median(values: np.ndarray, sigma: np.ndarray) -> float:
    """Return the median with weights 1 / sigma²."""
    order = np.argsort(values)
    cumulative = np.cumsum(1.0 / sigma[order] ** 2)
    # the middle of each step, so that the median is not biased to one side
    middle = cumulative - 0.5 / sigma[order] ** 2
    return float(np.interp(0.5 * cumulative[-1], middle, values[order]))


def _intrinsic_scatter(values: np.ndarray, errors: np.ndarray) -> float:
    """Return the scatter which, added in quadrature to the errors, gives pulls with a robust sigma of one."""

    def excess(scatter: float) -> float:
        """Return the robust sigma of the pulls minus one."""
        sigma = np.hypot(errors, scatter)
        return robust_sigma((values - _weighted_median(values, sigma)) / sigma) - 1.0

    if len(values) < 4 or excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.ptp(values)) + float(errors.max())
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return 0.5 * (low + high)
