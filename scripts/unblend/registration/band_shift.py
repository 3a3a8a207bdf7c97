"""The shift of one band: a grid search on reference sources, refined on all bright sources."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.coordinates import axis_scales
from ..core.errors import ShiftError
from ..core.field_psf import FieldPsf
from ..core.shift_field import ShiftField
from ..core.types import Box, Model, ModelOutline, Psf, Template
from ..images.psf import fwhm
from ..models.templates import Spectrum, TemplateEngine
from ..photometry.linear_system import LinearSolution, solve_fluxes
from .offsets import Offsets, common_shift, linear_offsets, template_gradients
from .shift_search import ENOUGH_REFERENCES, GridSearchResult, choose_references, grid_search
from .windowed_templates import WindowedTemplates

log = logging.getLogger(__name__)

MAX_BRIGHT_SOURCES = 50
"""Maximum number of sources with measured offsets. With twenty of them the common shift is good to 0.01 pixels."""
MIN_BRIGHT_SNR = 20.0
"""Smallest signal-to-noise ratio of a bright source."""
AGREEMENT_SIGMA, AGREEMENT_PIXELS = 3.0, 0.1
"""A refined shift is adopted if it agrees with that of the grid within either limit; else that of the grid is kept."""
ITERATIONS = 2
"""Number of linear steps from the shift of the grid."""
NEIGHBOUR_MARGIN_FWHM = 3.0
"""Margin around the search radius, in PSF FWHM, in which neighbours are fitted too: the extent of the Spitzer wings."""
R_E_MIN, R_E_MAX = 0.05, 0.8
"""Half-light radii of references in arcsec: larger than those of stars, and compact."""
REFERENCE_SNR = (50.0, 20.0)
"""Smallest signal-to-noise ratios of references, tried in turn."""
MAX_PHASE_SHIFT_PIXELS = 2.0
"""Largest shift for which templates are made by a phase of the cached transforms. Their stamps have a margin of one
pixel and faint borders."""
MAX_CACHED_FREQUENCIES = 30_000_000
"""Total number of frequencies of cached transforms: 120 MB. All sources of a search fit, those of a large field do not:
their templates are made from the models again."""
MODEL_ERROR = 0.03
"""Relative error of a model's surface brightness that is added to the noise: no fitted core is known better."""


@dataclass(frozen=True)
class Refined:
    """The shift after refinement on bright sources.

    Parameters
    ----------
    shift : (x, y)
        Arcsec along image X, Y.
    message : str or None
        Why the shift of the grid was kept; None if the shift is the refined one.
    outliers : frozenset of int
        IDs of sources with offsets that disagree with those of the others.
    """

    shift: tuple[float, float]
    message: str | None
    outliers: frozenset[int] = frozenset()


@dataclass
class Registration:
    """The data of a band for the measurement of its shift.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where ignored.
    wcs, psf
        WCS and PSF of the band.
    models : mapping
        Models of all sources by ID, for example ones that are read when they are needed.
    r_e_arcsec : mapping
        Half-light radii by ID, NaN where a source cannot be a reference (a star, a failed fit).
    flagged : set of int
        IDs of sources with a flagged fit, which are references only if there are too few others.
    points : set of int
        IDs of point sources. Stars move, so that they count for no shift; with a field it is said which of them did.
    outlines : mapping or None
        The same without their pixels, for their positions; None: `models`.
    background_order : int
        Order of the polynomial that is fitted with the fluxes.
    correlation : array or None
        Autocorrelation of the noise for the errors of the offsets; None for white noise.
    shift_field : ShiftField or None
        A shift that varies over the image, which is added to every shift.
    """

    image: np.ndarray
    weight: np.ndarray
    wcs: Any
    psf: Psf | FieldPsf
    models: Mapping[int, Model]
    r_e_arcsec: Mapping[int, float]
    flagged: frozenset[int] = frozenset()
    points: frozenset[int] = frozenset()
    outlines: Mapping[int, Model | ModelOutline] | None = None
    background_order: int = 0
    correlation: np.ndarray | None = None
    shift_field: ShiftField | None = None
    _cached_maker: _ShiftedTemplates | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Measure the pixel scales along Y and X in arcsec."""
        self.placed: Mapping[int, Model | ModelOutline] = self.models if self.outlines is None else self.outlines
        ny, nx = self.image.shape
        self.scale_y, self.scale_x = axis_scales(self.wcs, (ny - 1) / 2.0, (nx - 1) / 2.0)

    def engine(self, shift_arcsec: Sequence[float]) -> TemplateEngine:
        """Return the template engine at a shift along X, Y in arcsec."""
        return TemplateEngine(self.wcs, self.image.shape, self.psf, shift_arcsec, self.shift_field)

    def template_maker(self, shift_arcsec: Sequence[float]) -> tuple[_ShiftedTemplates, tuple[float, float]]:
        """Return a template maker and its argument (dy, dx) in pixels for a shift along X, Y in arcsec."""
        dy, dx = float(shift_arcsec[1]) / self.scale_y, float(shift_arcsec[0]) / self.scale_x
        maker = self._cached_maker
        if maker is None or np.hypot(*np.subtract((dy, dx), maker.engine.shift)) > MAX_PHASE_SHIFT_PIXELS:
            maker = self._cached_maker = _ShiftedTemplates(self.engine(shift_arcsec), self.models, self.placed)
        origin = maker.engine.shift
        return maker, (dy - origin[0], dx - origin[1])

    def templates(self, shift_arcsec: Sequence[float]) -> list[Template]:
        """Return all templates at a shift along X, Y in arcsec, in the order of their IDs."""
        maker, pixels = self.template_maker(shift_arcsec)
        return maker(sorted(self.models), pixels)

    def solved(self, shift_arcsec: Sequence[float]) -> tuple[list[Template], LinearSolution]:
        """Return all templates at a shift along X, Y in arcsec, and the fit of their fluxes."""
        templates = self.templates(shift_arcsec)
        return templates, solve_fluxes(self.image, self.weight, templates, order=self.background_order)

    def bright_sources(self, solution: LinearSolution, number: int = MAX_BRIGHT_SOURCES) -> list[int]:
        """Return the IDs of the brightest sources without flags in this band that are not stars, at most `number`."""
        usable = [i for i in _by_brightness(solution) if np.isfinite(self.r_e_arcsec.get(i, np.nan))]
        return usable[:number]

    def bright_points(self, solution: LinearSolution, number: int) -> list[int]:
        """Return the IDs of the brightest point sources without flags in this band, at most `number`."""
        return [i for i in _by_brightness(solution) if i in self.points][:number]

    def offsets(
        self,
        shift_arcsec: Sequence[float],
        templates: list[Template],
        solution: LinearSolution,
        number: int = MAX_BRIGHT_SOURCES,
        *,
        of_points: bool = False,
    ) -> Offsets | None:
        """Return the offsets of the bright sources from their models; None if there is no bright source.

        Parameters
        ----------
        shift_arcsec : (x, y)
            Shift of the templates along image X, Y.
        templates : list of Template
            All templates at this shift.
        solution : LinearSolution
            Fit of their fluxes.
        number : int
            Largest number of sources.
        of_points : bool
            Those of the point sources in place of those of all others.
        """
        ids = self.bright_points(solution, number) if of_points else self.bright_sources(solution, number)
        if not ids:
            return None
        maker, pixels = self.template_maker(shift_arcsec)
        gradients = template_gradients(maker, ids, pixels)
        return linear_offsets(
            self.image, self.weight, templates, *gradients, self.correlation, order=self.background_order
        )

    def references(self, requested: Any, radius_arcsec: float, solution: LinearSolution) -> list[int]:
        """Return the references requested by the user, or automatically chosen ones.

        Parameters
        ----------
        requested : sequence of int or "auto"
            The setting astrometry.references.
        radius_arcsec : float
            Radius of the fitted areas of the grid search.
        solution : LinearSolution
            Fit of all fluxes without a shift.

        Raises
        ------
        ShiftError
            If a requested source does not exist, or no source can be a reference.
        """
        if requested == "auto":
            return self._chosen_references(radius_arcsec, solution)
        unknown = [i for i in requested if i not in self.models]
        if unknown:
            raise ShiftError(
                f"Source {unknown[0]} in astrometry.references does not exist: "
                f"IDs run from {min(self.models)} to {max(self.models)}."
            )
        return list(requested)

    def _chosen_references(self, radius_arcsec: float, solution: LinearSolution) -> list[int]:
        """Return references by the first of four selections that finds enough; stricter ones come first."""
        engine = self.template_maker((0.0, 0.0))[0].engine
        y, x = np.array([engine.position(self.placed[int(i)]) for i in solution.ids]).T
        arcsec = np.nan_to_num([self.r_e_arcsec.get(int(i), np.nan) for i in solution.ids])
        scale = float(np.sqrt(self.scale_y * self.scale_x))
        unflagged = solution.flags == 0
        good_fit = unflagged & ~np.isin(solution.ids, list(self.flagged))
        # Few real galaxies are both bright and well described by a Sersic profile.
        selections = [(eligible, min_snr) for eligible in (good_fit, unflagged) for min_snr in REFERENCE_SNR]
        references: list[int] = []
        for eligible, min_snr in selections:
            chosen = choose_references(
                solution.ids, y, x, solution.flux, solution.err, arcsec / scale, radius=radius_arcsec / scale,
                r_e_min=R_E_MIN / scale, r_e_max=R_E_MAX / scale, min_snr=min_snr, eligible=eligible,
            )  # fmt: skip
            references = chosen or references
            if len(chosen) >= ENOUGH_REFERENCES:
                break
        if not references:
            raise ShiftError(
                f"No source can be an astrometric reference: none is isolated, has S/N > {REFERENCE_SNR[-1]:g}, "
                f"{R_E_MIN:g} < r_e < {R_E_MAX:g} arcsec and no flag in this band. Name some in astrometry.references."
            )
        return references

    def search(
        self, settings: Mapping[str, Any], references: Sequence[int], solution: LinearSolution
    ) -> GridSearchResult:
        """Search the grid around a shift of zero; neighbours that reach into the search radius are fitted too.

        For references named by the user the fitted pixels are those around the first one, and the others are its
        neighbours.

        Parameters
        ----------
        settings : mapping
            The section astrometry of the configuration: references, radius, step, max_shift; arcsec.
        references : sequence of int
            IDs.
        solution : LinearSolution
            Fit of all fluxes without a shift.

        Raises
        ------
        ShiftError
            As for `grid_search`.
        """
        maker = self.template_maker((0.0, 0.0))[0]
        if maker.engine.shift != (0.0, 0.0):
            maker = _ShiftedTemplates(self.engine((0.0, 0.0)), self.models, self.placed)
        engine = maker.engine
        scale = float(np.sqrt(self.scale_y * self.scale_x))
        radius = settings["radius"] / scale
        psf = FieldPsf.of(self.psf).broadest
        margin = NEIGHBOUR_MARGIN_FWHM * fwhm(psf) / psf.oversampling
        named = settings["references"] != "auto"
        centres = [engine.position(self.placed[i]) for i in (references[:1] if named else references)]
        others = [] if named and len(references) > 1 else self._neighbours(engine, centres, radius + margin, references)
        # the search fits a constant
        image = self.image - solution.background_image + solution.background
        return grid_search(
            image, self._weight_with_model_error(solution), maker, references, centres,
            radius_pixels=radius, step_pixels=settings["step"] / scale, max_pixels=settings["max_shift"] / scale,
            neighbours=others, narrow=maker.within,
        )  # fmt: skip

    def _weight_with_model_error(self, solution: LinearSolution) -> np.ndarray:
        """Return the weights with the error of the models added, so that the brightest source does not dominate."""
        light = self.image - solution.background_image - solution.residual
        light = np.where(np.isfinite(solution.residual), light, 0.0)
        return self.weight / (1.0 + self.weight * (MODEL_ERROR * light) ** 2)

    def _neighbours(
        self, engine: TemplateEngine, centres: Sequence[tuple[float, float]], radius: float, references: Sequence[int]
    ) -> list[int]:
        """Return the IDs of all sources within `radius` pixels of the `centres`, except the references."""
        found = []
        for i, model in sorted(self.placed.items()):
            y, x = engine.position(model)
            if i not in references and any(np.hypot(y - cy, x - cx) <= radius for cy, cx in centres):
                found.append(i)
        return found

    def find_shift(
        self, settings: Mapping[str, Any], references: Sequence[int], solution: LinearSolution
    ) -> tuple[GridSearchResult, list[int], Refined]:
        """Return the grid search, the references that it used, and the shift refined on all bright sources.

        If the two disagree, automatically chosen references that are outliers among the bright sources (for example
        because of an undetected neighbour) are dropped, and the grid is searched again. References named by the user
        are always kept.

        Parameters
        ----------
        settings, references, solution
            As for `search`.

        Raises
        ------
        ShiftError
            As for `grid_search`.
        """
        found, used = self.search(settings, references, solution), list(references)
        refined = self.refine(found)
        agreeing = [i for i in used if i not in refined.outliers]
        if refined.message and settings["references"] == "auto" and 0 < len(agreeing) < len(used):
            log.info("references %s disagree with the other bright sources: the grid is searched again without them",
                     " ".join(str(i) for i in used if i not in agreeing))  # fmt: skip
            found, used = self.search(settings, agreeing, solution), agreeing
            refined = self.refine(found)
        return found, used, refined

    def refine(self, grid: GridSearchResult) -> Refined:
        """Return the shift of the grid refined by the common offset of the bright sources, if the two agree."""
        start = self.to_arcsec(grid.shift)
        shift, common = start, None
        for _ in range(ITERATIONS):
            offsets = self.offsets(shift, *self.solved(shift))
            if offsets is None:
                return Refined(start, "no source is bright enough to refine the shift of the grid search")
            try:
                common = common_shift(offsets)
            except ShiftError as error:
                return Refined(start, str(error))
            step = self.to_arcsec(common.shift)
            shift = (shift[0] + step[0], shift[1] + step[1])
        assert common is not None
        pixels = np.array([(shift[1] - start[1]) / self.scale_y, (shift[0] - start[0]) / self.scale_x])
        allowed = np.maximum(AGREEMENT_SIGMA * np.hypot(grid.error, common.error), AGREEMENT_PIXELS)
        if (np.abs(pixels) > allowed).any():
            return Refined(start, (
                f"the shift of the bright sources is {shift[0]:.4f} {shift[1]:.4f} arcsec and that of the grid search "
                f"{start[0]:.4f} {start[1]:.4f} arcsec, which is kept: inspect the residual and choose other references"
            ), common.outliers)  # fmt: skip
        return Refined(shift, None, common.outliers)

    def to_arcsec(self, pixels: Sequence[float]) -> tuple[float, float]:
        """Convert (dy, dx) in pixels to (dx, dy) in arcsec, the order of the configuration."""
        return float(pixels[1] * self.scale_x), float(pixels[0] * self.scale_y)


def _by_brightness(solution: LinearSolution) -> list[int]:
    """Return the IDs of the sources of S/N > `MIN_BRIGHT_SNR` without flags, the brightest first."""
    snr = np.where(solution.flags == 0, solution.flux / solution.err, np.nan)
    order = np.argsort(-np.nan_to_num(snr, nan=-1.0), kind="stable")
    return [int(solution.ids[k]) for k in order if snr[k] > MIN_BRIGHT_SNR]


class _ShiftedTemplates:
    """Templates at any shift, as float32: a shift multiplies the transform of a source by a phase.

    The transforms that were used last are kept. A model is read for its transform only, its position is in `placed`.
    """

    def __init__(
        self, engine: TemplateEngine, models: Mapping[int, Model], placed: Mapping[int, Model | ModelOutline]
    ) -> None:
        self.engine, self.models, self.placed = engine, models, placed
        self._kept: dict[int, _HalfSpectrum | None] = {}
        self._size = 0

    def __call__(self, ids: Sequence[int], shift: tuple[float, float]) -> list[Template]:
        """Return the templates of these sources at a shift (dy, dx) in pixels relative to the engine's."""
        ra, dec = np.array([self.placed[i].sky for i in ids], dtype=float).reshape(-1, 2).T
        made = {k: self._one(ids[k], shift) for k in self.engine.psf_order(ra, dec).tolist()}
        return [made[k] for k in range(len(ids))]

    def within(self, fitted: np.ndarray) -> WindowedTemplates:
        """Return a maker of these templates on the pixels of a bool array (ny, nx) only."""
        return WindowedTemplates(self._spectrum, fitted)

    def _spectrum(self, i: int) -> Spectrum | None:
        if i in self._kept:
            half = self._kept[i] = self._kept.pop(i)  # now the last one that was used
            return None if half is None else half.whole()
        spectrum = self.engine.spectrum(self.models[i])
        half = None if spectrum is None else _HalfSpectrum.of(spectrum)
        self._kept[i] = half
        self._size += 0 if half is None else half.size
        while self._size > MAX_CACHED_FREQUENCIES and len(self._kept) > 1:
            first = self._kept.pop(next(iter(self._kept)))
            self._size -= 0 if first is None else first.size
        return None if half is None else half.whole()

    def _one(self, i: int, shift: tuple[float, float]) -> Template:
        spectrum = self._spectrum(i)
        if spectrum is None:
            return Template(i, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0)
        template = self.engine.clipped(i, spectrum.stamp(shift), spectrum.box)
        return replace(template, data=template.data.astype(np.float32))


@dataclass(frozen=True)
class _HalfSpectrum:
    """The transform of a template in a quarter of the memory: half of the frequencies, in single precision.

    A template is real: the other half are the complex conjugates.
    """

    spectrum: Spectrum

    @classmethod
    def of(cls, spectrum: Spectrum) -> _HalfSpectrum:
        """Return the transform with frequencies along x of at least 0; the number of frequencies is odd."""
        half = spectrum.values[:, spectrum.values.shape[1] // 2 :]
        return cls(replace(spectrum, values=half.astype(np.complex64)))

    @property
    def size(self) -> int:
        """Number of frequencies of the whole transform."""
        return 2 * int(self.spectrum.values.size)

    def whole(self) -> Spectrum:
        """Return the transform at all frequencies."""
        half = self.spectrum.values.astype(np.complex128)
        return replace(self.spectrum, values=np.hstack([half[::-1, :0:-1].conj(), half]))
