"""The shift of one band: the grid search on references, refined on all bright sources, and a recommendation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.coordinates import axis_scales, pixel_to_sky
from ..core.errors import ShiftError
from ..core.nouns import Model, Psf, Template
from ..images.psf import fwhm
from ..models.templates import Spectrum, TemplateEngine
from ..photometry.linear_system import LinearSolution, solve_fluxes
from . import shift_search

log = logging.getLogger(__name__)

BRIGHT = 50
"""Sources whose offsets are measured, at most: their common shift is good to 0.01 pixel with twenty."""
MIN_SNR = 20.0
AGREES_SIGMA, AGREES_PIXELS = 3.0, 0.1
"""A refined shift within either of the grid's is adopted; else the grid's, with a warning."""
ITERATIONS = 2
NEIGHBOURS_WITHIN = 3.0
"""FWHM beyond the radius within which neighbours are fitted, too: the wings of a Spitzer PSF reach that far."""
R_E_MIN, R_E_MAX = 0.05, 0.8
"""arcsec: half-light radii of references: no star, and compact."""
FAR_PIXELS = 2.0
"""Shifts closer than this are a phase of the same transform; stamps have a margin of one pixel and dark borders."""
KEPT = 30_000_000
"""Frequencies whose transforms are kept, in all: 480 MB."""
MODEL_ERROR = 0.03
"""Of the light: no fitted model is better known at its core."""


@dataclass(frozen=True)
class Refined:
    """A shift (along X, Y in arcsec), why it is the grid's (None: it is refined), IDs off from all other sources."""

    shift: tuple[float, float]
    message: str | None
    outliers: frozenset[int] = frozenset()


@dataclass
class Registration:
    """A band to be registered.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    wcs, psf
        Of the band.
    models : mapping
        Of all sources, by ID.
    r_e_arcsec : mapping
        Half-light radii by ID, NaN where a source cannot serve as a reference (a star, a failed fit).
    doubtful : set of int
        Sources whose fit is flagged: references only where there is no better one.
    correlation : array or None
        Autocorrelation of the noise, for the errors of the offsets.
    """

    image: np.ndarray
    weight: np.ndarray
    wcs: Any
    psf: Psf
    models: Mapping[int, Model]
    r_e_arcsec: Mapping[int, float]
    doubtful: frozenset[int] = frozenset()
    correlation: np.ndarray | None = None
    _kept: _Shifted | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Measure the pixel's sides."""
        ny, nx = self.image.shape
        self.scale_y, self.scale_x = axis_scales(self.wcs, (ny - 1) / 2.0, (nx - 1) / 2.0)

    def engine(self, shift_arcsec: Sequence[float]) -> TemplateEngine:
        """Return the template engine at a shift (along X, Y in arcsec)."""
        return TemplateEngine(self.wcs, self.image.shape, self.psf, shift_arcsec)

    def shifted(self, shift_arcsec: Sequence[float]) -> tuple[_Shifted, tuple[float, float]]:
        """Return a maker of templates and what it must be told, (dy, dx) in pixels, to make those at a shift."""
        wanted = (float(shift_arcsec[1]) / self.scale_y, float(shift_arcsec[0]) / self.scale_x)
        if self._kept is None or np.hypot(*np.subtract(wanted, self._kept.engine.shift)) > FAR_PIXELS:
            self._kept = _Shifted(self.engine(shift_arcsec), self.models)
        at = self._kept.engine.shift
        return self._kept, (wanted[0] - at[0], wanted[1] - at[1])

    def templates(self, shift_arcsec: Sequence[float]) -> list[Template]:
        """Return all templates at a shift, in the order of the IDs."""
        maker, pixels = self.shifted(shift_arcsec)
        return maker(sorted(self.models), pixels)

    def solved(self, shift_arcsec: Sequence[float]) -> tuple[list[Template], LinearSolution]:
        """Return all templates at a shift, and the fluxes."""
        templates = self.templates(shift_arcsec)
        return templates, solve_fluxes(self.image, self.weight, templates)

    def bright(self, solution: LinearSolution) -> list[int]:
        """Return the IDs of the brightest sources that are whole, in the band and no star."""
        snr = np.where(solution.flags == 0, solution.flux / solution.err, np.nan)
        order = np.argsort(-np.nan_to_num(snr, nan=-1.0), kind="stable")
        usable = [
            k for k in order if snr[k] > MIN_SNR and np.isfinite(self.r_e_arcsec.get(int(solution.ids[k]), np.nan))
        ]
        return [int(solution.ids[k]) for k in usable[:BRIGHT]]

    def offsets(
        self, shift_arcsec: Sequence[float], templates: list[Template], solution: LinearSolution
    ) -> shift_search.Offsets | None:
        """Return the offsets of the bright sources from their models at this shift; None where there is none."""
        ids = self.bright(solution)
        if not ids:
            return None
        maker, pixels = self.shifted(shift_arcsec)
        gradients = shift_search.template_gradients(maker, ids, pixels)
        return shift_search.linear_offsets(self.image, self.weight, templates, *gradients, self.correlation)

    def references(self, asked: Any, radius_arcsec: float, solution: LinearSolution) -> list[int]:
        """Return the references asked for, checked, or chosen ones.

        Raises
        ------
        ShiftError
            An ID that does not exist, or no source that could serve.
        """
        if asked != "auto":
            unknown = [i for i in asked if i not in self.models]
            if unknown:
                raise ShiftError(
                    f"astrometry.references names source {unknown[0]}, which does not exist: "
                    f"IDs go from {min(self.models)} to {max(self.models)}."
                )
            return list(asked)
        engine = self.shifted((0.0, 0.0))[0].engine
        y, x = np.array([engine.position(self.models[int(i)]) for i in solution.ids]).T
        arcsec = np.nan_to_num([self.r_e_arcsec.get(int(i), np.nan) for i in solution.ids])
        scale = float(np.sqrt(self.scale_y * self.scale_x))
        whole = solution.flags == 0
        clean = whole & ~np.isin(solution.ids, list(self.doubtful))
        chosen: list[int] = []
        # Real galaxies are seldom a clean Sersic and bright: take what comes nearest.
        for eligible, min_snr in ((clean, 50.0), (clean, 20.0), (whole, 50.0), (whole, 20.0)):
            try:
                chosen = shift_search.choose_references(
                    solution.ids, y, x, solution.flux, solution.err, arcsec / scale, radius=radius_arcsec / scale,
                    r_e_min=R_E_MIN / scale, r_e_max=R_E_MAX / scale, min_snr=min_snr, eligible=eligible,
                )  # fmt: skip
            except ShiftError as error:
                nothing = error
                continue
            if len(chosen) >= 3:
                break
        if not chosen:
            raise nothing
        return chosen

    def search(
        self, settings: Mapping[str, Any], references: Sequence[int], solution: LinearSolution
    ) -> shift_search.ShiftSearch:
        """Search the grid around no shift at all; neighbours that reach into the radius are fitted too.

        With references named by the user the pixels are those around the first, the others being its neighbours.
        """
        maker = self.shifted((0.0, 0.0))[0]
        if maker.engine.shift != (0.0, 0.0):
            maker = _Shifted(self.engine((0.0, 0.0)), self.models)
        engine = maker.engine
        scale = float(np.sqrt(self.scale_y * self.scale_x))
        radius = settings["radius"] / scale
        reach = radius + NEIGHBOURS_WITHIN * fwhm(self.psf) / self.psf.oversampling
        named = settings["references"] != "auto"
        centres = [engine.position(self.models[i]) for i in (references[:1] if named else references)]
        others = [] if named and len(references) > 1 else self._within(engine, centres, reach, references)
        return shift_search.grid_search(
            self.image, self._forgiving(solution), maker, references, centres,
            radius_pixels=radius, step_pixels=settings["step"] / scale, max_pixels=settings["max_shift"] / scale,
            neighbours=others,
        )  # fmt: skip

    def _forgiving(self, solution: LinearSolution) -> np.ndarray:
        """Return the weights with the models' own error added: the brightest source must not decide alone."""
        light = np.where(np.isfinite(solution.residual), self.image - solution.background - solution.residual, 0.0)
        return self.weight / (1.0 + self.weight * (MODEL_ERROR * light) ** 2)

    def _within(
        self, engine: TemplateEngine, centres: Sequence[tuple[float, float]], reach: float, without: Sequence[int]
    ) -> list[int]:
        found = []
        for i, model in sorted(self.models.items()):
            y, x = engine.position(model)
            if i not in without and any(np.hypot(y - cy, x - cx) <= reach for cy, cx in centres):
                found.append(i)
        return found

    def find_shift(
        self, settings: Mapping[str, Any], references: Sequence[int], solution: LinearSolution
    ) -> tuple[shift_search.ShiftSearch, list[int], Refined]:
        """Return the grid search, the references that it used, and the shift refined on all bright sources.

        Where the two disagree, chosen references that are outliers among the bright sources (an undetected neighbour
        pulls them) are dropped and the grid is searched again; references named by the user are not questioned.
        """
        found, used = self.search(settings, references, solution), list(references)
        refined = self.refine(found)
        agreeing = [i for i in used if i not in refined.outliers]
        if refined.message and settings["references"] == "auto" and 0 < len(agreeing) < len(used):
            log.info("references %s lie off from all other bright sources: searched again without",
                     " ".join(str(i) for i in used if i not in agreeing))  # fmt: skip
            found, used = self.search(settings, agreeing, solution), agreeing
            refined = self.refine(found)
        return found, used, refined

    def refine(self, grid: shift_search.ShiftSearch) -> Refined:
        """Move on from the grid's shift by what the bright sources share, where the two agree."""
        start = self.to_arcsec(grid.shift)
        shift, common = start, None
        for _ in range(ITERATIONS):
            offsets = self.offsets(shift, *self.solved(shift))
            if offsets is None:
                return Refined(start, "no source is bright enough to refine the shift of the grid")
            try:
                common = shift_search.common_shift(offsets)
            except ShiftError as error:
                return Refined(start, str(error))
            step = self.to_arcsec(common.shift)
            shift = (shift[0] + step[0], shift[1] + step[1])
        assert common is not None
        pixels = np.array([(shift[1] - start[1]) / self.scale_y, (shift[0] - start[0]) / self.scale_x])
        allowed = np.maximum(AGREES_SIGMA * np.hypot(grid.error, common.error), AGREES_PIXELS)
        if (np.abs(pixels) > allowed).any():
            return Refined(start, (
                f"the bright sources ask for a shift of {shift[0]:.4f} {shift[1]:.4f} arcsec and the grid for "
                f"{start[0]:.4f} {start[1]:.4f}: the grid's is kept; look at the residual and choose other references"
            ), common.outliers)  # fmt: skip
        return Refined(shift, None, common.outliers)

    def to_arcsec(self, pixels: Sequence[float]) -> tuple[float, float]:
        """Turn (dy, dx) in pixels into (dx, dy) in arcsec, the order of the configuration."""
        return float(pixels[1] * self.scale_x), float(pixels[0] * self.scale_y)

    def sky(self, y: float, x: float) -> tuple[float, float]:
        """Return (ra, dec) of a pixel position."""
        ra, dec = pixel_to_sky(self.wcs, np.array([y]), np.array([x]))
        return float(ra[0]), float(dec[0])


class _Shifted:
    """Templates at any shift: the transform is made once a source, a shift is a phase."""

    def __init__(self, engine: TemplateEngine, models: Mapping[int, Model]):
        self.engine, self.models = engine, models
        self._spectra: dict[int, Spectrum | None] = {}
        self._size = 0

    def __call__(self, ids: Sequence[int], shift: tuple[float, float]) -> list[Template]:
        return [self._one(i, shift) for i in ids]

    def _spectrum(self, i: int) -> Spectrum | None:
        if i in self._spectra:
            return self._spectra[i]
        spectrum = self.engine.spectrum(self.models[i])
        self._size += 0 if spectrum is None else spectrum.values.size
        if self._size <= KEPT:
            self._spectra[i] = spectrum
        return spectrum

    def _one(self, i: int, shift: tuple[float, float]) -> Template:
        spectrum = self._spectrum(i)
        if spectrum is None:
            return self.engine.template(i, self.models[i])
        return self.engine.clipped(i, spectrum.stamp(shift), spectrum.box)
