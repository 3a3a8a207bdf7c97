"""What the fit of a band says about its inputs: a wrong PSF or header, a varying background, a sign."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..core.coordinates import pixel_scale
from ..core.quantised import spread_image
from ..core.types import Model, Template
from ..models.templates import TemplateEngine
from ..photometry.background_variation import measure_variation, variation_warning
from ..photometry.correlated_noise import Noise
from ..photometry.linear_system import LinearSolution, model_image
from ..photometry.mirrored_image import find_view, view_warning
from ..photometry.noise_variation import measure_noise_range, noise_range_warning
from ..photometry.plausibility import find_peaks, negative_warning, peaks_warning
from ..photometry.psf_orientation import compare_orientations, orientation_warning
from ..photometry.source_widths import compare_widths, spike_warning, width_warning
from ..photometry.star_comparison import compare_stars, star_warning
from ..photometry.stripes import measure_stripes, stripes_warning
from ..photometry.weight_rescaling import RescaledSolution
from .band_data import BandData

log = logging.getLogger(__name__)


def find_mistakes(
    band: str, data: BandData, fit: RescaledSolution, templates: list[Template], detected: np.ndarray, noise: Noise,
    engine: TemplateEngine, models: Mapping[int, Model],
) -> tuple[list[str], dict[str, object]]:  # fmt: skip
    """Return sentences on what seems to be wrong with the inputs of a band, and cards on how well its PSF fits.

    Parameters
    ----------
    band : str
        Its name.
    data : BandData
    fit : RescaledSolution
    templates : list of Template
        As fitted: those of all models first, then those of sources that only this band shows.
    detected : structured array
        The catalogue of the detection: `id`, `flux`.
    noise : Noise
    engine : TemplateEngine
        Of the band.
    models : mapping of ID to Model

    Returns
    -------
    sentences : list of str
        None where all is well.
    cards : dict
        WIDTHS, WIDTHERR: widths of bright isolated sources over those of their templates (median) and its error, where
        they are enough; WIDTHNUM: how many they are. STARS, STARSERR, STARSNUM: the same of stars alone; STARLITE,
        STARLERR: their light within half a FWHM, over that within two, over the same of their templates.
    """
    own, solution = _detected_alone(fit.solution, templates, len(models))
    weight = data.weight / fit.scale**2
    widths = compare_widths(data.image, weight, own, solution, data.fwhm)
    log.info("%s: widths of %d bright sources compared with those of their templates", band, widths.ids.size)
    sky = (data.weight > 0) & ~fit.near_source
    points = [i for i in widths.ids.tolist() if not models[i].pixel_integrated]
    stars = compare_stars(data.image, weight, own, solution, widths, points)
    scale = pixel_scale(data.wcs, data.image.shape)
    variation = measure_variation(fit.solution.residual, sky)
    # with the noise of the steps of integers: most pixels of a quiet block may have one value, whose scatter is 0
    range_of_noise = measure_noise_range(
        spread_image(np.where(sky, fit.solution.residual, np.nan)) * np.sqrt(weight), sky
    )
    turned = compare_orientations(weight, own, solution, engine, models)
    log.info("%s: %d bright sources with a misfit compared with the PSF in other orientations", band, turned.compared)
    found = (
        width_warning(widths, band, data.psf.oversampling, scale)
        or star_warning(stars, band, data.fwhm * scale, is_map=len(data.psf.psfs) > 1, psf_error=data.psf_error),
        spike_warning(widths, band),
        orientation_warning(turned, band),
        variation_warning(variation, band),
        noise_range_warning(range_of_noise, band),
        stripes_warning(measure_stripes(fit.solution.residual, sky), band),
        negative_warning(solution, noise.err[: len(own)], band),
        _misplaced(band, data, own, solution, detected),
    )
    ratio, error, number = widths.agreement
    cards = {"WIDTHS": ratio, "WIDTHERR": error, "STARS": stars.width[0], "STARSERR": stars.width[1],
             "STARLITE": stars.light[0], "STARLERR": stars.light[1]}  # fmt: skip
    # no card can hold a NaN
    known: dict[str, object] = {name: value for name, value in cards.items() if np.isfinite(value)}
    return [sentence for sentence in found if sentence], {**known, "WIDTHNUM": number, "STARSNUM": stars.number}


def _detected_alone(
    solution: LinearSolution, templates: list[Template], count: int
) -> tuple[list[Template], LinearSolution]:
    """Return the templates of the detected sources, and their fluxes with the light of all others in the residual.

    Light that only this band shows may be what a wrong PSF leaves beside its sources.
    """
    others = model_image(templates[count:], np.nan_to_num(solution.flux[count:]), solution.residual.shape)
    first = {name: getattr(solution, name)[:count] for name in ("ids", "flux", "err")}
    return templates[:count], replace(solution, **first, residual=solution.residual + others)


def _misplaced(
    band: str, data: BandData, templates: list[Template], solution: LinearSolution, detected: np.ndarray
) -> str | None:
    """Return a sentence on bright peaks without a source; where it is one, on the view in which the image fits."""
    peaks = find_peaks(data.image, data.weight, templates, solution, data.fwhm)
    log.info("%s: %d of %d bright peaks between the sources have no source", band, peaks.missed, peaks.compared)
    if not peaks.missed:
        return None
    flux = dict(zip(detected["id"].tolist(), np.nan_to_num(detected["flux"]).tolist(), strict=True))
    brightness = np.array([max(flux.get(template.id, 0.0), 0.0) for template in templates])
    image = data.image - solution.background_image
    view = find_view(image, data.weight, templates, brightness, data.fwhm)
    return peaks_warning(peaks, band) if view is None else view_warning(view, band)
