"""The shift of a band as a job measures it: from the templates at a given shift, or by a search that starts at none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ShiftError
from ..core.flags import Flag
from ..core.types import Model, Template
from ..images.psf import psf_half_light_radius
from ..io.tables import read_table
from ..io.template_store import read_templates
from ..photometry.correlated_noise import noise_correlation
from ..photometry.linear_system import LinearSolution
from ..photometry.weight_rescaling import RescaledSolution, adopt_weights, rescale_weights
from ..registration.band_shift import R_E_MIN, Registration
from ..registration.shift_field_fit import FittedField, measure_field
from ..registration.summary import describe_search
from .band_data import BandData, StoredModels, has_varying_shift, is_shift_measured, load_band_data
from .band_only_sources import band_only_light

NO_SHAPE = Flag.POINT_SOURCE | Flag.FIT_REPLACED | Flag.SHAPE_UNCERTAIN
"""Flags of sources that cannot be references: their half-light radius is not known."""
NOT_SHIFTED = "The band is not shifted, and its fluxes have the flag shift_failed."
FLAGGED_FIT = Flag.FIT_POOR_CHI2 | Flag.FIT_ON_BOUND | Flag.CUSTOM_MODEL
"""Flags of sources that are references only if there are too few others."""


@dataclass(frozen=True)
class MeasuredShift:
    """The shift of a band with everything that was measured on the way.

    Parameters
    ----------
    band : Registration
    shift : (x, y)
        Arcsec along image X, Y: as given, or the result of the search.
    templates, solution
        All templates at this shift, and the fit of their fluxes.
    best : (x, y) or None
        Arcsec: the result of the grid search; None without one.
    grid : dict or None
        The grid search for astrometry.json.
    message : str or None
        What went wrong with the search, or why its refinement was not adopted.
    failed : bool
        Whether the search has failed: the shift is 0.
    field : FittedField or None
        The shift that varies over the image, in addition to `shift`; None without one.
    """

    band: Registration
    shift: tuple[float, float]
    templates: list[Template]
    solution: LinearSolution
    best: tuple[float, float] | None = None
    grid: dict[str, Any] | None = None
    message: str | None = None
    failed: bool = False
    field: FittedField | None = None


def measured_shift(spec: Mapping[str, Any], results: Path) -> MeasuredShift:
    """Return the shift of the band that a job spec describes; 0, with a message, if a search for it has failed."""
    if not is_shift_measured(spec):
        return _given(spec, results)
    found = _searched(spec, results)
    return found if found.failed or not has_varying_shift(spec) else _with_field(found)


def _with_field(found: MeasuredShift) -> MeasuredShift:
    """Return the result of the search with the field of shifts that is left after it."""
    try:
        field, band = measure_field(found.band, found.shift)
    except ShiftError as error:
        message = f"{error} The shift is the same everywhere."
        return replace(found, message=message)
    templates, solution = band.solved(found.shift)
    return replace(found, band=band, templates=templates, solution=solution, field=field)


def _given(spec: Mapping[str, Any], results: Path) -> MeasuredShift:
    """Return the given shift; the grid search, where the user asks for it, shows how good it is."""
    shift = float(spec["shift"][0]), float(spec["shift"][1])
    folder = results / "bands" / spec["band"]
    data = load_band_data(spec, results, final_weights=True)
    data = replace(data, image=data.image - band_only_light(folder, data.image.shape))
    templates, _ = read_templates(folder / "templates.npz")
    band = _registration(data, results, [template.id for template in templates])
    fit = adopt_weights(data.image, data.weight, data.mask, templates, order=data.background_order)
    fit = _with_noise(band, fit, templates)
    if not spec["astrometry"]:
        return MeasuredShift(band, shift, templates, fit.solution)
    try:
        references = _references(band, spec, fit)
        found = band.search(spec["astrometry"], references, fit.solution)
    except ShiftError as error:
        return MeasuredShift(band, shift, templates, fit.solution, message=str(error))
    grid = describe_search(band, found, references)
    return MeasuredShift(band, shift, templates, fit.solution, band.to_arcsec(found.shift), grid)


def _searched(spec: Mapping[str, Any], results: Path) -> MeasuredShift:
    """Return the result of the grid search, refined on all bright sources."""
    data = load_band_data(spec, results)
    band = _registration(data, results)
    templates = band.templates((0.0, 0.0))
    fit = rescale_weights(
        data.image, data.weight, templates, fwhm=data.fwhm, noise_origin=data.noise_origin, name=spec["band"],
        order=data.background_order,
    )  # fmt: skip
    fit = _with_noise(band, fit, templates)
    try:
        references = _references(band, spec, fit)
        found, references, refined = band.find_shift(spec["astrometry"], references, fit.solution)
        grid = describe_search(band, found, references)
    except ShiftError as error:
        message = f"{error} {NOT_SHIFTED}"
        return MeasuredShift(band, (0.0, 0.0), templates, fit.solution, message=message, failed=True)
    templates, solution = band.solved(refined.shift)
    return MeasuredShift(band, refined.shift, templates, solution, refined.shift, grid, refined.message)


def _registration(data: BandData, results: Path, ids: Iterable[int] | None = None) -> Registration:
    """Return the band with the shapes of the sources `ids`, by default of all."""
    table, models = read_table(results / "imfit" / "sersic.fits"), StoredModels(results, ids)
    table = table[np.isin(table["id"], list(models))]
    r_e = {int(row["id"]): reference_radius_arcsec(row, models) for row in table}
    flagged, points = (
        frozenset(table["id"][(table["flag"] & int(flags)) > 0].tolist()) for flags in (FLAGGED_FIT, Flag.POINT_SOURCE)
    )
    return Registration(
        data.image, data.weight, data.wcs, data.psf, models, r_e, flagged, points,
        outlines=models.outlines(), background_order=data.background_order,
    )  # fmt: skip


def _with_noise(band: Registration, fit: RescaledSolution, templates: list[Template]) -> RescaledSolution:
    """Give the band the final weights and the correlation of its noise; return the fit."""
    band.weight = fit.weight
    band.correlation = noise_correlation(fit, templates, rounds=1)
    return fit


def _references(band: Registration, spec: Mapping[str, Any], fit: RescaledSolution) -> list[int]:
    return band.references(spec["astrometry"]["references"], spec["astrometry"]["radius"], fit.solution)


def reference_radius_arcsec(row: np.void, models: Mapping[int, Model]) -> float:
    """Return the half-light radius of a source in arcsec; NaN where it cannot be a reference (a star, a failed fit).

    Parameters
    ----------
    row : record
        Of imfit/sersic.fits: `id`, `flag`, `r_e_arcsec`.
    models : mapping of ID to Model
        A custom model is measured on its pixels.
    """
    if row["flag"] & NO_SHAPE:
        return float("nan")
    if not row["flag"] & Flag.CUSTOM_MODEL:
        return float(row["r_e_arcsec"])
    model = models[int(row["id"])]
    pixel = float(np.sqrt(abs(np.linalg.det(model.pixel_to_sky))))
    radius = pixel * psf_half_light_radius(model.data, *model.centre)
    return radius if radius > R_E_MIN else float("nan")
