"""The stars of a band compared with its PSF: how wide they are, and how much of their light lies near the centre.

Galaxies show only large errors of a PSF, because their own sizes are uncertain. A star is the PSF itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma
from ..core.types import Box, Template, cut
from .linear_system import LinearSolution, model_image
from .source_widths import WidthComparison

MIN_STARS = 5
"""Fewest isolated stars that are compared: the scatter of fewer ones says little about their error."""
INNER_FWHM, OUTER_FWHM = 0.5, 2.0
"""Radii of the two circles around a star, in FWHM of the PSF: the light in the smaller one over that in the larger."""
LARGEST_OFFSET_FWHM = 0.05
"""Largest offset of a star from its template whose light is compared: the shift, not the PSF, moves light out of the
smaller circle, 0.5 % at this offset."""
FLOOR = 0.003
"""Error of a comparison besides the scatter of the stars: in drawn bands the widths agree to 0.002."""
SIGNIFICANT = 4.0
"""Errors by which the stars have to differ from the PSF for a warning."""


@dataclass(frozen=True)
class StarComparison:
    """Stars over the PSF: median and error.

    Parameters
    ----------
    width : (ratio, error)
        FWHM of isolated stars over that of their templates; NaN for too few stars.
    light : (ratio, error)
        Their light within half a FWHM over that within two, over the same of their templates.
    number : int
        How many stars there are.
    """

    width: tuple[float, float]
    light: tuple[float, float]
    number: int

    def excess(self, psf_error: float = 0.0) -> bool:
        """Return whether a width or light differs by more than the errors and the error of the PSF that is known."""
        allowed = (psf_error, 2.0 * psf_error)  # light in the core changes by up to twice the fraction of the width
        pairs = zip((self.width, self.light), allowed, strict=True)
        return any(abs(ratio - 1.0) > SIGNIFICANT * np.hypot(error, known) for (ratio, error), known in pairs)


def compare_stars(
    image: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    solution: LinearSolution,
    widths: WidthComparison,
    stars: Collection[int],
) -> StarComparison:
    """Return how the stars of a band differ from its PSF.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        As for `compare_widths`.
    templates : sequence of Template
        In the order of the solution.
    solution : LinearSolution
    widths : WidthComparison
        Of the bright sources.
    stars : collection of int
        IDs of the point sources among them.
    """
    chosen = widths.isolated & np.isin(widths.ids, list(stars))
    number = int(np.count_nonzero(chosen))
    if number < MIN_STARS:
        return StarComparison((np.nan, np.nan), (np.nan, np.nan), number)
    residual = image - solution.background_image - model_image(templates, np.nan_to_num(solution.flux), image.shape)
    residual = np.where(weight > 0, residual, np.nan)
    place = {template.id: k for k, template in enumerate(templates)}
    own = [place[i] for i in widths.ids[chosen].tolist()]
    light = [_light_ratio(residual, templates[k], float(solution.flux[k]), widths.fwhm) for k in own]
    ratios = np.array([ratio for ratio in light if np.isfinite(ratio)])
    found = _median(ratios) if ratios.size >= MIN_STARS else (np.nan, np.nan)
    return StarComparison(_median((widths.measured / widths.expected)[chosen]), found, number)


def star_warning(
    found: StarComparison, band: str, fwhm_arcsec: float, *, is_map: bool = False, psf_error: float = 0.0
) -> str | None:
    """Return a sentence for the user if the stars differ from the PSF by more than their errors, otherwise None.

    Parameters
    ----------
    found : StarComparison
    band : str
    fwhm_arcsec : float
        Of the PSF.
    is_map : bool
        Whether the PSF changes over the image.
    psf_error : float
        The error of the PSF that is part of the errors of the fluxes.
    """
    if not found.excess(psf_error):
        return None
    (width, error), (light, light_error) = found.width, found.light
    stars = f"{fwhm_arcsec * width:.3f} ± {fwhm_arcsec * error:.3f} arcsec"
    if np.isfinite(light):
        stars += f", with {100 * (light - 1):+.1f} ± {100 * light_error:.1f} % of the PSF's light near their centres"
    advice = "check the files of the map" if is_map else f"build it from the stars (bands.{band}.psf: {{stars: auto}})"
    return (
        f"{band}: the FWHM of the PSF is {fwhm_arcsec:.3f} arcsec and that of {found.number} stars of the image "
        f"{stars}: the fluxes of stars are wrong by about as much; {advice}, or set psf_error."
    )


def _median(values: np.ndarray) -> tuple[float, float]:
    """Return the median of values and its error, that of a mean times √(π/2)."""
    scatter = float(np.sqrt(0.5 * np.pi / values.size)) * robust_sigma(values)
    return float(np.median(values)), float(np.hypot(scatter, FLOOR))


def _light_ratio(residual: np.ndarray, template: Template, flux: float, fwhm: float) -> float:
    """Return the share of a star's light near its centre over that of its template.

    It is NaN where pixels are masked, where the stamp of the PSF is smaller than the larger circle, and where the star
    does not lie on its template.
    """
    row, column = np.unravel_index(int(np.argmax(template.data)), template.data.shape)
    half = int(np.ceil(OUTER_FWHM * fwhm))
    y, x = int(row) + template.box.y0, int(column) + template.box.x0
    box = Box.around(y, x, half)
    if box not in template.box:
        return float("nan")
    expected = template.data[box.within(template.box)]
    seen = flux * expected + cut(residual, box, np.nan)
    rows, columns = np.indices(box.shape)
    distance = np.hypot(rows - (y - box.y0), columns - (x - box.x0)) / fwhm
    near, within = distance <= INNER_FWHM, distance <= OUTER_FWHM
    core = distance <= 1.0
    offset = [np.average(axis[core], weights=seen[core]) - np.average(axis[core], weights=expected[core])
              for axis in (rows, columns)]  # fmt: skip
    if not np.hypot(*offset) <= LARGEST_OFFSET_FWHM * fwhm:
        return float("nan")
    return float((seen[near].sum() / seen[within].sum()) / (expected[near].sum() / expected[within].sum()))
