"""What a user looks at in a band: the target without its neighbours, and region files to load, correct and save.

The regions are empty circles, sources beyond the detection image, artefacts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from unblend.core.coordinates import nearest
from unblend.core.statistics import robust_sigma
from unblend.core.types import Template
from unblend.field.adopted_templates import adopted_templates
from unblend.field.band_data import StoredModels
from unblend.field.band_only_sources import band_only_light
from unblend.field.band_regions import write_proposals
from unblend.field.detection_window import sampled_detection, sampled_segments
from unblend.field.failed_band import failure_of
from unblend.field.fitted_background import fitted_background
from unblend.field.weight_maps import read_weight
from unblend.images.masks import circles
from unblend.images.sky_regions import sky_circle, sky_ellipse
from unblend.io.files import read_json
from unblend.io.images import read_array, read_header, read_shape, read_wcs, write_image
from unblend.io.regions import read_regions
from unblend.io.tables import read_table
from unblend.photometry.linear_system import model_image, neighbours_removed
from unblend.photometry.proposals import artefacts, border_sources
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.inspect")

SIGNIFICANT = 3.0
"""A flux below so many of its errors explains nothing: under a mask it may be anything."""


def main(spec_path: str, results_dir: str, removed_path: str, sim_path: str, border_path: str, bad_path: str) -> None:
    """Write neighbours-removed.fits and three region files, each with the name under which the workflow reads it."""
    spec, results = read_json(spec_path), Path(results_dir)
    folder, wcs = results / "bands" / spec["band"], read_wcs(spec["image"]["file"])
    paths = {"sim": sim_path, "border": border_path, "bad": bad_path}
    target = nearest_source(np.array(list(StoredModels(results))), results, spec["target"])
    cards = {"BAND": spec["band"], "TARGET": target}
    if failure_of(spec["band"], results) is not None:
        write_image(removed_path, np.full(read_shape(spec["image"]["file"]), np.nan), wcs=wcs, header=cards)
        write_proposals(paths, dict.fromkeys(paths, ()), spec["names"])
        record_work("inspect", spec["band"])
        return
    image = read_array(spec["image"]["file"]) - read_array(str(folder / "background.fits"))
    fluxes = read_table(folder / "fluxes.fits")
    background = fitted_background(folder, image.shape)
    templates = adopted_templates(folder)

    # not for the proposals, which a mask that the user saves must not change
    shown = image - band_only_light(folder, image.shape)
    if target in fluxes["id"]:
        shown = neighbours_removed(shown, templates, fluxes["flux"], target)
    else:
        shown -= model_image(templates, fluxes["flux"], shown.shape)
    write_image(removed_path, shown, wcs=wcs, header=cards)
    del shown

    model = significant_model(templates, fluxes, image.shape)
    left, noise = what_is_left(image - model - background, image == 0, spec)
    del image, background
    inside = sampled_detection(str(results / "det_stack.fits"), wcs, left.shape)
    segments = sampled_segments(str(results / "det_seg.fits"), wcs, left.shape)
    fwhm = float(read_header(str(folder / "psf.fits"))["FWHM"])  # type: ignore[arg-type]

    used = circles(read_regions(folder / "monte_carlo.reg"), wcs)
    empty = [sky_circle(wcs, *circle) for circle in used]
    beyond, strange = [], {}
    known = left[np.isfinite(left)]
    if known.size and robust_sigma(known) > 0:  # an image of one value shows nothing
        beyond = [sky_circle(wcs, s["y"], s["x"], s["a"]) for s in border_sources(left, noise, inside, fwhm)]
        strange = artefacts(left, noise, model, inside=inside, segments=segments, fwhm_pixels=fwhm)
    bad = [sky_ellipse(wcs, s["y"], s["x"], (s["a"], s["b"]), s["theta"], k) for k, v in strange.items() for s in v]

    write_proposals(paths, {"sim": empty, "border": beyond, "bad": bad}, spec["names"])
    log.info("%s: %d empty circles, %d sources beyond the detection image, %d artefacts",
             spec["band"], len(empty), len(beyond), len(bad))  # fmt: skip
    record_work("inspect", spec["band"])


def nearest_source(ids: np.ndarray, results: Path, target: Mapping[str, float]) -> int:
    """Return the ID of the source with a flux that is nearest to the target."""
    catalogue = read_table(results / "det_cat.fits")
    rows = catalogue[np.isin(catalogue["id"], ids)]
    return int(rows["id"][nearest(rows["ra"], rows["dec"], target)])


def significant_model(templates: list[Template], fluxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the light of the sources that are surely there; templates and fluxes are in one order."""
    surely = fluxes["flux"] > SIGNIFICANT * fluxes["flux_err"]
    return model_image(templates, np.where(surely, fluxes["flux"], np.nan), shape)


def what_is_left(left: np.ndarray, empty: np.ndarray, spec: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return `left`, NaN where nothing was observed (no weight, or `empty`), and the rms up to a factor."""
    weight = read_weight(spec["weight"], left.shape) if spec["weight"] else np.ones(left.shape)
    unknown = ~(weight > 0) | empty
    return np.where(unknown, np.nan, left), np.where(unknown, 1.0, weight) ** -0.5


if __name__ == "__main__":
    run(main)
