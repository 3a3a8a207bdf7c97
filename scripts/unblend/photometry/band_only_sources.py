"""Sources that only one band shows: the detection image does not, so that they have no template.

Where such a source lies in a neighbour's template, its light is taken for that of the neighbour. Peaks of the residual
that are sources (`residual_peaks`, `point_fit`) are therefore fitted as points together with all others, and the search
is repeated in the residual of that solution, where the flux of the neighbours no longer contains that light.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.flags import Flag
from ..core.types import Box, Template
from ..models.point_templates import point_and_gradients, point_at, point_template
from ..models.templates import TemplateEngine
from .linear_system import LinearSolution, model_image, scatter_ratio, solve_fluxes
from .point_fit import PointFit, PointFitter
from .residual_peaks import FILTER_RADIUS_FWHM, MisfitLight, PointFilter, highest_pixels
from .unmodelled_flux import mask_margins
from .weight_rescaling import near_sources_rescaled

log = logging.getLogger(__name__)

MIN_SNR, KEPT_SNR = 5.5, 4.0
"""Smallest signal-to-noise ratio, for the noise as measured and with the neighbours free, of a new source, and of one
whose neighbours have changed since it was found."""
PEAK_SNR = 4.0
"""Signal-to-noise ratio of the peaks that are looked at: with the neighbours free it may be larger."""
FAINT_PEAK = 0.25
"""Peaks below this fraction of what is required are not looked at: the neighbours may have taken the rest."""
MIN_EXPLAINED = 0.75
"""Least fraction of the squared light in the core that a point source explains: widths of 0.6 to 1.7 FWHM pass."""
MIN_DISTANCE_FWHM = 0.5
"""Smallest distance from the centre of any template: closer ones cannot be told from a wrong template."""
SEPARATION_FWHM = 1.0
"""Smallest distance between two sources found in the same round."""
MARGIN_FWHM = 2.0
"""Margin around the templates' centres in which sources are looked for; farther away they blend with nothing."""
MAX_ROUNDS = 5
MISPLACED_FWHM, MISPLACED_SHARE, MISPLACED_NUMBER = 1.5, 0.3, 3
"""Sources beside so many of the bright templates (as a share, and at least this number) are these sources themselves,
at another place than their templates."""
BRIGHT_SNR, COMPARABLE = 10.0, 0.3
"""Signal-to-noise ratio of a bright template; flux of a source beside it, over its own, that could be its light."""


@dataclass(frozen=True)
class BandOnlySources:
    """Sources that only one band shows, brightest first.

    Parameters
    ----------
    templates : list of Template
        Points of unit flux with the IDs −1, −2, …
    y, x : arrays (k,)
        Pixels of the band, 0-based.
    snr : array (k,)
        Signal-to-noise ratio with which they were found.
    """

    templates: list[Template]
    y: np.ndarray
    x: np.ndarray
    snr: np.ndarray

    @classmethod
    def of(cls, engine: TemplateEngine, fits: Sequence[PointFit]) -> BandOnlySources:
        """Return the sources of fits, numbered by flux."""
        ordered = sorted(fits, key=lambda fit: (-fit.flux, fit.y, fit.x))
        templates = [point_template(engine, -k, fit.y, fit.x) for k, fit in enumerate(ordered, start=1)]
        y, x, snr = (np.array([getattr(fit, name) for fit in ordered], dtype=float) for name in ("y", "x", "snr"))
        return cls(templates, y, x, snr)

    def __len__(self) -> int:
        return len(self.templates)


def find_band_only(
    image: np.ndarray,
    weight: np.ndarray,
    templates: Sequence[Template],
    engine: TemplateEngine,
    *,
    fwhm: float,
    name: str,
    order: int = 0,
) -> BandOnlySources:
    """Return the point-like sources of a band that have no template.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance up to a factor, 0 where masked.
    templates : sequence of Template
        Of the detected sources.
    engine : TemplateEngine
        Of the band.
    fwhm : float
        Of the band's PSF, pixels.
    name : str
        Name of the band, for log messages.
    order : int
        Order of the polynomial for the background; 0 for a constant.
    """
    weight = np.where(np.isfinite(image) & (weight > 0), weight, 0.0)
    weight = np.where(mask_margins(weight, templates, fwhm), 0.0, weight)
    search = _Search(image, weight, templates, engine, fwhm, order)
    fits: list[PointFit] = []
    for number in range(MAX_ROUNDS):
        again, moved = search.fitted_again(fits)
        new = search.new(again) if number < MAX_ROUNDS - 1 else []
        converged = not new and not moved and len(again) == len(fits)
        fits = [*again, *new]
        if converged:
            break
    beside = _misplaced(search, fits)
    if beside:
        log.warning(
            "%s: %d of the bright sources have a peak of light beside their place: their templates or positions are "
            "wrong. No sources that only this band shows are fitted; check its shift, world coordinates and PSF.",
            name, beside,
        )  # fmt: skip
        fits = []
    return BandOnlySources.of(engine, fits)


class _Search:
    """The search in one band: what does not change between the rounds, and the solution of the last one."""

    def __init__(
        self,
        image: np.ndarray,
        weight: np.ndarray,
        templates: Sequence[Template],
        engine: TemplateEngine,
        fwhm: float,
        order: int,
    ) -> None:
        self.image, self.weight, self.engine, self.fwhm, self.order = image, weight, engine, fwhm, order
        self.detected, self.templates = list(templates), list(templates)
        self.point = _central_point(engine, fwhm)
        self.filter = PointFilter(weight, self.point)
        self._solve([])

    def _solve(self, fits: Sequence[PointFit]) -> None:
        """Solve for all fluxes with the sources found so far, and measure the noise of the residual."""
        points = [point_template(self.engine, -k, fit.y, fit.x) for k, fit in enumerate(fits, start=1)]
        self.templates = [*self.detected, *points]
        self.solution: LinearSolution = solve_fluxes(self.image, self.weight, self.templates, order=self.order)
        self.misfit = MisfitLight(self.templates, self.solution.flux, self.point, self.fwhm)
        self.structure = self.misfit.image(self.image.shape)
        near, _ = near_sources_rescaled(self.solution, self.templates, self.weight)
        self.flux, self.ratio = self.filter(self.solution.residual)
        self.scatter = self.filter.scatter(self.ratio, near)
        pixel = scatter_ratio(self.weight, self.solution.residual, near)
        pixel = pixel if pixel > 0 else scatter_ratio(self.weight, self.solution.residual, np.zeros_like(near))
        scales = (pixel if pixel > 0 else 1.0, self.scatter)
        centres = self.misfit.centres
        self.fitter = PointFitter(self.engine, self.templates, centres, self.solution, self.weight, self.fwhm, scales)

    def fitted_again(self, fits: Sequence[PointFit]) -> tuple[list[PointFit], bool]:
        """Return the sources that remain, fitted again in a solution with all of them; and whether any has moved."""
        if not fits:
            return [], False
        self._solve(fits)
        kept, moved = [], False
        for k, fit in enumerate(fits, start=len(self.detected)):
            found = self.fitter(fit.y, fit.x, own=k)
            if found is not None and self._is_source(found, KEPT_SNR, own=k):
                kept.append(found)
                moved |= bool(np.hypot(found.y - fit.y, found.x - fit.x) > 0.02 * self.fwhm)
        return kept, moved

    def new(self, known: Sequence[PointFit]) -> list[PointFit]:
        """Return the sources at peaks of the residual that are not among the known ones."""
        required = FAINT_PEAK * np.maximum(self.structure, 0.0)
        allowed = self.filter.usable & self._occupied() & (self.flux * self.point.max() > required)
        found: list[PointFit] = []
        for y, x in highest_pixels(self.ratio, PEAK_SNR * self.scatter, 0.5 * self.fwhm, allowed):
            if _is_near((y, x), [*known, *found], SEPARATION_FWHM * self.fwhm):
                continue
            fit = self.fitter(y, x)
            if fit is None or _is_near((fit.y, fit.x), [*known, *found], SEPARATION_FWHM * self.fwhm):
                continue
            if self._is_source(fit, MIN_SNR):
                found.append(fit)
        return found

    def _is_source(self, fit: PointFit, least_snr: float, own: int | None = None) -> bool:
        """Return whether a fit is a source and not noise, the misfit of another source, an artefact or a galaxy."""
        if fit.snr < least_snr or fit.explained < MIN_EXPLAINED:
            return False
        if not (0 <= round(fit.y) < self.image.shape[0] and 0 <= round(fit.x) < self.image.shape[1]):
            return False
        centres = np.delete(self.misfit.centres, [] if own is None else own, axis=0)
        distance = np.hypot(centres[:, 0] - fit.y, centres[:, 1] - fit.x)
        if np.min(distance, initial=np.inf, where=np.isfinite(distance)) < MIN_DISTANCE_FWHM * self.fwhm:
            return False
        changes = fit.neighbours if own is None else {**fit.neighbours, own: 0.0}
        return fit.peak > self.misfit.at(fit.y, fit.x, self.structure, changes)

    def _occupied(self) -> np.ndarray:
        """Return True in the rectangle around the centres of the detected sources, with a margin, shape (ny, nx)."""
        inside = np.zeros(self.image.shape, dtype=bool)
        centres = self.misfit.centres[: len(self.detected)]
        centres = centres[np.isfinite(centres).all(axis=1)]
        if len(centres):
            margin = MARGIN_FWHM * self.fwhm
            low, high = np.floor(centres.min(axis=0) - margin), np.ceil(centres.max(axis=0) + margin)
            box = Box(int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1) & Box.of_shape(inside.shape)
            inside[box.slices] = True
        return inside


def _central_point(engine: TemplateEngine, fwhm: float) -> np.ndarray:
    """Return a point source of unit flux on the central pixel of the band, out to the radius of the filter."""
    half = max(2, int(np.ceil(FILTER_RADIUS_FWHM * fwhm)))
    row, column = engine.shape[0] // 2, engine.shape[1] // 2
    wide = TemplateEngine(engine.wcs, engine.shape, engine.psf, (0.0, 0.0))
    spectrum = wide.spectrum(point_at(wide, row, column))
    assert spectrum is not None
    return point_and_gradients(spectrum, (0.0, 0.0), Box.around(row, column, half))[0]


def _is_near(place: tuple[float, float], fits: Sequence[PointFit], radius: float) -> bool:
    return any(np.hypot(place[0] - fit.y, place[1] - fit.x) < radius for fit in fits)


def _misplaced(search: _Search, fits: Sequence[PointFit]) -> int:
    """Return the number of bright templates whose light lies beside them; 0 where these are only a few."""
    if not fits:
        return 0
    count = len(search.detected)
    flux, err = search.solution.flux[:count], search.solution.err[:count] * search.scatter
    y, x, light = (np.array([getattr(fit, name) for fit in fits]) for name in ("y", "x", "flux"))
    near = np.hypot(search.misfit.centres[:count, :1] - y, search.misfit.centres[:count, 1:] - x)
    beside = (near < MISPLACED_FWHM * search.fwhm) & (light > COMPARABLE * np.nan_to_num(flux)[:, None])
    bright = flux > BRIGHT_SNR * err
    # a source may have lost all of its light to the peak beside it
    bright |= (beside & (light > BRIGHT_SNR * np.nan_to_num(err)[:, None])).any(axis=1)
    number = int(np.count_nonzero(bright & beside.any(axis=1)))
    return number if number >= max(MISPLACED_NUMBER, MISPLACED_SHARE * np.count_nonzero(bright)) else 0


def light_beside_stars(
    stars: Mapping[int, tuple[float, float]],
    star_flux: Mapping[int, float],
    sources: BandOnlySources,
    flux: np.ndarray,
    fwhm: float,
) -> dict[int, float]:
    """Return for stars the light beside them that may be their own, because they have moved since the other image.

    A star with a proper motion of half a FWHM loses all of its light to a source that only this band shows. A galaxy
    does not move: what lies beside it is another source.

    Parameters
    ----------
    stars : mapping of int to (y, x)
        Pixels of the band in which stars lie by their templates.
    star_flux : mapping of int to float
        Their fluxes, image units.
    sources : BandOnlySources
    flux : array (k,)
        Of these sources, image units.
    fwhm : float
        Of the band's PSF, pixels.
    """
    found = {}
    for star, (y, x) in stars.items():
        near = np.hypot(sources.y - y, sources.x - x) < MISPLACED_FWHM * fwhm
        light = float(np.sum(np.nan_to_num(flux)[near]))
        if light > COMPARABLE * max(np.nan_to_num(star_flux[star]), 0.0):
            found[star] = light
    return found


def blended_flags(
    templates: Sequence[Template], sources: BandOnlySources, flux: np.ndarray, weight: np.ndarray, err: np.ndarray
) -> np.ndarray:
    """Return BAND_ONLY_NEIGHBOUR for the templates whose flux the sources change by more than its error.

    Parameters
    ----------
    templates : sequence of Template
        Of the detected sources.
    sources : BandOnlySources
    flux : array (k,)
        Of these sources, image units.
    weight : array (ny, nx)
        As fitted.
    err : array (n,)
        Errors of the fluxes of the templates, image units.

    Returns
    -------
    int array (n,)
    """
    flags = np.zeros(len(templates), dtype=np.int64)
    if not len(sources):
        return flags
    light = model_image(sources.templates, flux, weight.shape)
    for k, template in enumerate(templates):
        weighted = weight[template.box.slices] * template.data
        norm = float(np.sum(weighted * template.data))
        if norm > 0 and float(np.sum(weighted * light[template.box.slices])) / norm > err[k]:
            flags[k] = int(Flag.BAND_ONLY_NEIGHBOUR)
    return flags
