"""Search the shift of a band where asked for; measure the offsets of its bright sources always."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from unblend.core.errors import ShiftError
from unblend.core.flags import Flag
from unblend.core.types import Model
from unblend.field.band_data import load_band_data, load_models
from unblend.images.psf import psf_half_light_radius
from unblend.io.files import read_json, write_json
from unblend.io.images import write_image
from unblend.io.tables import read_table
from unblend.io.template_store import read_templates
from unblend.photometry.extraction import adopt_weights, noise_correlation, rescale_weights
from unblend.registration.band_shift import R_E_MIN, Registration
from unblend.registration.summary import describe_offsets, describe_search
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.shift")
UNFIT = Flag.POINT_SOURCE | Flag.FIT_REPLACED | Flag.SHAPE_UNCERTAIN
DOUBTFUL = Flag.FIT_POOR_CHI2 | Flag.FIT_ON_BOUND | Flag.CUSTOM_MODEL


def main(spec_path: str, results_dir: str, shift_path: str, residual_path: str) -> None:
    """Write astrometry.json and the residual at the shift that it names.

    At a given shift there are templates and settled weights; a search makes its own, at no shift.
    """
    spec, results = read_json(spec_path), Path(results_dir)
    auto = spec["shift"] == "auto"
    data = load_band_data(spec, results, final_weights=not auto)
    table, models = read_table(results / "imfit" / "sersic.fits"), load_models(results)
    r_e = {int(row["id"]): radius_arcsec(row, models[int(row["id"])]) for row in table}
    doubtful = frozenset(int(row["id"]) for row in table if row["flag"] & DOUBTFUL)
    band = Registration(data.image, data.weight, data.wcs, data.psf, models, r_e, doubtful)
    present = (0.0, 0.0) if auto else (float(spec["shift"][0]), float(spec["shift"][1]))
    if auto:
        templates = band.templates(present)
        settled = rescale_weights(
            data.image, data.weight, templates, fwhm=data.fwhm, noise_origin=data.noise_origin, name=spec["band"]
        )
    else:
        templates, _ = read_templates(results / "bands" / spec["band"] / "templates.npz")
        settled = adopt_weights(data.image, data.weight, data.mask, templates)
    band.weight, solution = settled.weight, settled.solution
    band.correlation = noise_correlation(settled, templates, rounds=1)
    content: dict[str, Any] = {"band": spec["band"], "shift_arcsec": list(present), "message": None, "grid": None}
    if spec["astrometry"]:
        try:
            references = band.references(spec["astrometry"]["references"], spec["astrometry"]["radius"], solution)
            if auto:
                found, references, refined = band.find_shift(spec["astrometry"], references, solution)
                present, content["message"] = refined.shift, refined.message
                content["shift_arcsec"] = content["best_shift_arcsec"] = list(present)
                templates, solution = band.solved(present)
            else:
                found = band.search(spec["astrometry"], references, solution)
                content["best_shift_arcsec"] = list(band.to_arcsec(found.shift))
            content["grid"] = describe_search(band, found, references)
        except ShiftError as error:
            if auto:
                raise ShiftError(f"band {spec['band']}: {error}") from error
            content["message"] = str(error)
    offsets = band.offsets(present, templates, solution)
    content |= describe_offsets(band, offsets, present)
    if content["message"]:
        log.warning("%s: %s", spec["band"], content["message"])
    if "best_shift_arcsec" in content:
        log.info("%s: best shift: %.4f %.4f", spec["band"], *content["best_shift_arcsec"])
    write_image(residual_path, solution.residual, wcs=data.wcs)
    write_json(shift_path, content)
    record_work("astrometry", spec["band"])


def radius_arcsec(row: np.void, model: Model) -> float:
    """Return the half-light radius of a source, of a user's model from its pixels; NaN for a star or a failed fit."""
    if row["flag"] & UNFIT:
        return float("nan")
    if not row["flag"] & Flag.CUSTOM_MODEL:
        return float(row["r_e_arcsec"])
    pixel = float(np.sqrt(abs(np.linalg.det(model.pixel_to_sky))))
    radius = pixel * psf_half_light_radius(model.data, *model.centre)
    return radius if radius > R_E_MIN else float("nan")


if __name__ == "__main__":
    run(main)
