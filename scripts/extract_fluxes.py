"""Fit all templates of a band and a constant at once: fluxes, errors, residual."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from unblend.core.errors import UnusableBandError
from unblend.core.flags import Flag
from unblend.core.types import Box, ModelOutline, Template
from unblend.field.band_data import (
    BandData,
    StoredModels,
    adopted_field,
    adopted_shift,
    error_of_shift,
    has_failed_shift,
    load_band_data,
    outliers_of_field,
    whole_name,
)
from unblend.field.band_mistakes import find_mistakes
from unblend.field.band_only_sources import write_band_only
from unblend.field.covariance_parts import write_parts
from unblend.field.fitted_background import background_cards
from unblend.field.psf_flags import psf_flags
from unblend.field.stale_products import move_stale_tiles
from unblend.field.unmeasured_band import write_no_fluxes
from unblend.images.saturation import SATURATED
from unblend.io.files import read_json
from unblend.io.images import read_labels, write_image
from unblend.io.psfs import read_psf_widths
from unblend.io.tables import columns, read_sources, read_table, write_table
from unblend.io.template_store import read_templates
from unblend.models.templates import TemplateEngine
from unblend.photometry.adopted_covariance import CovarianceParts, model_covariance, model_draws, noise_covariance
from unblend.photometry.aperture import DIAMETER_FWHM, aperture_fluxes
from unblend.photometry.band_only_sources import BandOnlySources, blended_flags, find_band_only, light_beside_stars
from unblend.photometry.common_errors import psf_changes, shift_changes, total_error
from unblend.photometry.correlated_noise import Noise, measure_noise, right_hand_covariance
from unblend.photometry.detail_amplitude import DetailAmplitudes, amplitude_errors, fit_amplitudes
from unblend.photometry.flux_draws import noise_draws, of_band
from unblend.photometry.joined_tiles import core_level
from unblend.photometry.linear_system import visible_light
from unblend.photometry.misfit import Misfit, measure_misfit, noise_area
from unblend.photometry.shape_errors import ShapeResponses, detail_errors, known_shapes, shape_responses
from unblend.photometry.weight_rescaling import RescaledSolution, rescale_weights
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.extract")

MAX_SATURATED_LIGHT = 0.01
"""Fraction of a template's light on saturated pixels above which the source is flagged."""


def main(spec_path: str, results_dir: str, fluxes_path: str, weight_path: str, residual_path: str) -> None:
    """Write fluxes.fits, weight.fits and residual.fits; beside them band_only.fits, .reg, .npz and error-parts.npz."""
    spec, results = read_json(spec_path), Path(results_dir)
    paths = {"fluxes": fluxes_path, "weight": weight_path, "residual": residual_path}
    if "tile" not in spec:  # the band may have been measured in tiles before
        move_stale_tiles(results, spec["band"], ())
    try:
        measure(spec, results, paths)
    except UnusableBandError as error:
        write_no_fluxes(spec, results, paths, error, shift_flag(spec, results))
    record_work("extract", spec["band"])


def measure(spec: dict, results: Path, paths: dict[str, str]) -> None:
    """Fit a band and write its products.

    Raises
    ------
    UnusableBandError
        The band has no usable pixels, or their noise cannot be measured.
    """
    folder = results / "bands" / spec["band"]
    data = load_band_data(spec, results)
    stamps, _ = read_templates(folder / "templates.npz")
    detail = fit_amplitudes(data.image, data.weight, stamps, order=data.background_order)
    shift, field = adopted_shift(spec, results), adopted_field(spec, results)
    engine = TemplateEngine(data.wcs, data.image.shape, data.psf, shift, field)
    own = band_only(spec, data, detail.templates, engine)
    # the detected sources first, in the order of their templates, then those that only this band shows
    fitted, count = detail.followed_by(own.templates), len(detail.templates)
    templates = fitted.templates
    fit = rescale_weights(
        data.image, data.weight, templates, fwhm=data.fwhm, noise_origin=data.noise_origin, name=spec["band"],
        order=data.background_order,
    )  # fmt: skip
    solution, noise = fit.solution, measure_noise(fit, templates, name=spec["band"])
    stored = StoredModels(results, [template.id for template in detail.templates])
    detected = read_sources(str(results / "det_cat.fits"))
    warnings, widths = find_mistakes(whole_name(spec), data, fit, templates, detected, noise, engine, stored)
    log_warnings(warnings, spec)
    models = stored.outlines()
    shapes = responses_to_shapes(results, engine, fit, fitted, models)
    detail_err = detail_errors(models, solution)
    common = changes_in_common(spec, results, stored, engine, fit, fitted)
    misfit = misfit_of(data, fit, templates)
    blended, moved = blends(stored, fit, noise, detail.templates, own, engine, data.fwhm)
    circles = aperture_fluxes(solution, templates, fit.weight, noise.correlation, 0.5 * DIAMETER_FWHM * data.fwhm)
    measured = {
        "flux": solution.flux,
        "flux_err": noise.err,
        "flux_err_white": solution.err,
        "flux_err_isolated": solution.err_isolated,
        "background_response": solution.background_response(),
        "flux_err_shape": shape_errors(shapes, detail_err, fit, fitted),
        **{name: total_error(changes) for name, changes in common.items()},
        "flux_err_misfit": np.hypot(misfit.err, moved),
        "ap_flux": circles.flux,
        "ap_err": circles.err,
        "ap_fraction": circles.fraction,
        "chi2": misfit.chi2,
        "fracflux": misfit.fracflux,
    }
    # some sources are fitted only for the sake of their neighbours
    unseen = (solution.flags & Flag.NO_PIXELS) != 0
    measured = {name: np.where(unseen, np.nan, values)[:count] for name, values in measured.items()}
    flags = (solution.flags | misfit.flags)[:count] | blended
    flags |= band_flags(spec, results, engine, models, detail.templates)
    share, share_err = detail.first_component()
    table = columns(
        id=solution.ids[:count], **measured, detail_amplitude=detail.value, detail_amplitude_err=detail.error,
        first_component=share, first_component_err=share_err,
        worst_neighbour=solution.worst_neighbour[:count], correlation=solution.correlation[:count], flag=flags,
    )  # fmt: skip
    header = header_cards(spec["band"], fit, noise, own) | widths | core_cards(spec, fit, templates, noise)
    write_table(paths["fluxes"], table, header=header, name="FLUXES")
    for name, image in (("weight", fit.weight), ("residual", np.where(data.mask, np.nan, solution.residual))):
        write_image(paths[name], image, wcs=data.wcs, header={"BAND": spec["band"]})
    light = {"flux": solution.flux[count:], "flux_err": noise.err[count:], "flag": solution.flags[count:]}
    write_parts(folder, covariance_parts(fit, templates, noise, shapes, common, detail_err, count, spec["band"]))
    write_band_only(folder, own, engine, light, detected, fwhm=data.fwhm, band=spec["band"])


def log_warnings(warnings: list[str], spec: dict) -> None:
    """Log sentences on a band; with the name of the tile where they are about one."""
    for warning in warnings:
        log.warning("%s%s", warning, f" (In {spec['band']}.)" if "tile" in spec else "")


def band_only(spec: dict, data: BandData, templates: list[Template], engine: TemplateEngine) -> BandOnlySources:
    """Return the sources that only this band shows, none where they are not looked for."""
    if not spec["band_only_sources"]:
        return BandOnlySources.of(engine, [])
    found = find_band_only(
        data.image, data.weight, templates, engine, fwhm=data.fwhm, name=spec["band"], order=data.background_order
    )
    if len(found):
        log.info("%s: %d sources that only this band shows are fitted as points", spec["band"], len(found))
    return found


def misfit_of(data: BandData, fit: RescaledSolution, templates: list[Template]) -> Misfit:
    """Return what the templates leave, also in pixels that were masked as unmodelled flux: it may be the source's."""
    area = float(np.median([noise_area(psf) for psf in data.psf.psfs]))
    return measure_misfit(fit.solution, templates, data.weight / fit.scale**2, area)


def blends(
    models: StoredModels,
    fit: RescaledSolution,
    noise: Noise,
    templates: list[Template],
    own: BandOnlySources,
    engine: TemplateEngine,
    fwhm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the flags of blends with sources that only this band shows, and the light beside stars that have moved.

    The flags are those of the detected sources. The light may be a star's own; it is in image units, of all sources.
    """
    count, ids, flux = len(templates), fit.solution.ids.tolist(), fit.solution.flux
    flags = blended_flags(templates, own, flux[count:], fit.weight, noise.err[:count])
    blended = [i for i, flag in zip(ids, flags, strict=False) if flag]
    stars = {i: engine.position(model) for i in blended if not (model := models[i]).pixel_integrated}
    light = light_beside_stars(stars, dict(zip(ids, flux.tolist(), strict=True)), own, flux[count:], fwhm)
    moved = np.array([light.get(i, 0.0) for i in ids])
    return flags | np.where(moved[:count] > 0, int(Flag.LOCAL_OFFSET), 0), moved


def header_cards(band: str, fit: RescaledSolution, noise: Noise, own: BandOnlySources) -> dict[str, object]:
    """Return the cards of fluxes.fits: background, noise, scale of the weights, number of the band's own sources."""
    solution = fit.solution
    return {
        "BAND": band,
        "BACKGR": solution.background,
        "BACKGERR": noise.background_err,
        "WSCALE": fit.scale,
        "LEFTOUT": fit.masked_fraction,
        "NOWN": len(own),
        "RMS": fit.rms,
        "LAG1": noise.lag_one,
        **background_cards(solution.polynomial, solution.coefficients, noise.coefficient_err),
    }


def core_cards(spec: dict, fit: RescaledSolution, templates: list[Template], noise: Noise) -> dict[str, object]:
    """Return background level and error (for correlated noise) of the core of a tile; nothing for a whole band."""
    if "tile" not in spec:
        return {}
    level, error = core_level(fit.solution, templates, fit.weight, Box(*spec["tile"]["core"]))
    cards = {"BGCORE": level, "BGCOREER": error * noise.background_err / fit.solution.background_err}
    return {name: float(value) for name, value in cards.items() if np.isfinite(value)}


def saturation_flags(templates: list[Template], spec: dict, results: Path) -> np.ndarray:
    """Return the flag of the sources of which some light falls on saturated pixels, shape (n,)."""
    saturated = read_labels(str(results / "bands" / spec["band"] / "mask.fits")) == SATURATED
    touched = visible_light(templates, saturated) > MAX_SATURATED_LIGHT
    return np.where(touched, int(Flag.SATURATED), 0)


def band_flags(
    spec: dict, results: Path, engine: TemplateEngine, models: dict[int, ModelOutline], templates: list[Template]
) -> np.ndarray:
    """Return the flags of the sources from the band's shift, its PSF at their places, and its saturated pixels."""
    widths = read_psf_widths(str(results / "bands" / spec["band"] / "psf.fits"))
    of_psf = psf_flags(engine, models, [template.id for template in templates], widths, spec["band"])
    of_field = local_offset_flags(spec, results, templates)
    return of_psf | of_field | shift_flag(spec, results) | saturation_flags(templates, spec, results)


def local_offset_flags(spec: dict, results: Path, templates: list[Template]) -> np.ndarray:
    """Return the flag of the sources whose offsets disagree with the band's field of shifts, shape (n,)."""
    astray = outliers_of_field(spec, results)
    return np.where(np.isin([template.id for template in templates], list(astray)), int(Flag.LOCAL_OFFSET), 0)


def shift_flag(spec: dict, results: Path) -> int:
    """Return the flag of all sources of a band whose shift is not known."""
    return int(Flag.SHIFT_FAILED if has_failed_shift(spec, results) else Flag(0))


def responses_to_shapes(
    results: Path,
    engine: TemplateEngine,
    fit: RescaledSolution,
    detail: DetailAmplitudes,
    models: dict[int, ModelOutline],
) -> ShapeResponses:
    """Return how the fit responds to the shapes of the sources in the detection image."""
    path = results / "imfit" / "sersic.fits"
    shapes = known_shapes(read_table(path), read_table(path, extension=2))
    return shape_responses(engine, models, shapes, fit.solution, detail, fit.weight)


def shape_errors(
    shapes: ShapeResponses, detail_err: np.ndarray, fit: RescaledSolution, detail: DetailAmplitudes
) -> np.ndarray:
    """Return the errors of the fluxes from the fitted shapes, and from the noise and the amplitudes of the details."""
    errors = np.hypot(shapes.errors(fit.solution), detail_err)
    return np.hypot(errors, amplitude_errors(detail, fit.solution.flux, fit.weight))


def changes_in_common(
    spec: dict, results: Path, models: StoredModels, engine: TemplateEngine, fit: RescaledSolution,
    detail: DetailAmplitudes,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the changes of the fluxes with what all templates have in common, the shift and the PSF, by column."""
    shift = error_of_shift(spec, results, engine.wcs, engine.shape)
    return {
        "flux_err_shift": shift_changes(engine, models, shift, fit.solution, detail, fit.weight),
        "flux_err_psf": psf_changes(engine, models, spec["psf_error"], fit.solution, detail, fit.weight),
    }


def covariance_parts(
    fit: RescaledSolution, templates: list[Template], noise: Noise, shapes: ShapeResponses,
    common: dict[str, np.ndarray], detail_err: np.ndarray, count: int, band: str,
) -> CovarianceParts:  # fmt: skip
    """Return the errors of the first `count` sources in parts."""
    solution, both = fit.solution, np.hstack(list(common.values()))
    matrix = noise.matrix  # None for white noise
    if matrix is None:
        matrix = right_hand_covariance(solution, templates, fit.weight, noise.correlation)
    noise_drawn = noise_draws(solution, matrix, of_band(band, "noise"))
    return CovarianceParts(
        solution.ids[:count],
        noise_covariance(solution, count, noise.matrix),
        model_covariance(solution, count, shapes, both, detail_err),
        np.nan_to_num(noise_drawn[:count]),
        model_draws(solution, shapes, both, detail_err, band)[:count],
    )


if __name__ == "__main__":
    run(main)
