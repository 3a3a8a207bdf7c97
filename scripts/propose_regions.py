"""Region files to load, correct and save: empty circles, sources beyond the detection image, artefacts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from unblend.drawing import sky_circle, sky_ellipse
from unblend.io.files import read_json
from unblend.io.images import read_array, read_header, read_labels, read_wcs
from unblend.io.regions import read_regions, write_regions
from unblend.io.scenes import read_weight
from unblend.io.tables import read_table, read_table_header
from unblend.io.template_store import read_templates
from unblend.linear import model_image
from unblend.masks import circles
from unblend.proposals import artefacts, border_sources, covered
from unblend.runlog import record_work, run

log = logging.getLogger("unblend.propose")

SIGNIFICANT = 3.0
"""A flux below so many of its errors explains nothing: under a mask it may be anything."""


def main(spec_path: str, results_dir: str, sim_path: str, border_path: str, bad_path: str) -> None:
    """Write the three files, each with the name under which the workflow reads it."""
    spec, results = read_json(spec_path), Path(results_dir)
    folder, wcs = results / "bands" / spec["band"], read_wcs(spec["image"]["file"])
    model, left, noise = what_is_left(spec, folder)
    detection, usable = read_wcs(str(results / "det_stack.fits")), read_array(str(results / "det_stack.fits"))
    inside = covered(wcs, left.shape, detection, np.isfinite(usable))
    segments = covered(wcs, left.shape, detection, read_labels(str(results / "det_seg.fits")) > 0)
    fwhm = float(read_header(str(folder / "psf.fits"))["FWHM"])  # type: ignore[arg-type]

    used = circles(read_regions(folder / "monte_carlo.reg"), wcs)
    empty = [sky_circle(wcs, *circle) for circle in used]
    beyond = [sky_circle(wcs, s["y"], s["x"], s["a"]) for s in border_sources(left, noise, inside, fwhm)]
    strange = artefacts(left, noise, model, inside=inside, segments=segments, fwhm_pixels=fwhm)
    bad = [sky_ellipse(wcs, s["y"], s["x"], (s["a"], s["b"]), s["theta"], k) for k, v in strange.items() for s in v]

    names = spec["names"]
    write_regions(sim_path, empty, color="yellow", remarks=[
        "Where the Monte Carlo takes its noise: move what touches light.", f"Save as {names['sim']}"])  # fmt: skip
    write_regions(border_path, beyond, color="cyan", remarks=[
        "Sources beyond the detection image: they have no model and must be masked.",
        f"Save as {names['border']} (this band alone), or add them to mask_border.reg (all bands)"])  # fmt: skip
    write_regions(bad_path, bad, color="red", remarks=[
        "What no source explains. Delete what is real: a `source?` is better drawn in det_manual.reg.",
        f"Save as {names['bad']}"])  # fmt: skip
    log.info("%s: %d empty circles, %d sources beyond the detection image, %d artefacts",
             spec["band"], len(empty), len(beyond), len(bad))  # fmt: skip
    record_work("propose", spec["band"])


def what_is_left(spec: dict[str, Any], folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return models, image less background and models (NaN where nothing was observed), and the rms up to a factor."""
    image = read_array(spec["image"]["file"]) - read_array(str(folder / "background.fits"))
    fluxes, header = read_table(folder / "fluxes.fits"), read_table_header(folder / "fluxes.fits")
    seen = {row["id"]: row["flux"] for row in fluxes if row["flux"] > SIGNIFICANT * row["flux_err"]}
    templates = [template for template in read_templates(folder / "templates.npz")[0] if template.id in seen]
    model = model_image(templates, np.array([seen[template.id] for template in templates]), image.shape)
    weight = read_weight(spec["weight"], image.shape) if spec["weight"] else np.ones(image.shape)
    unknown = ~(weight > 0) | (image == 0)
    left = np.where(unknown, np.nan, image - model - float(header["BACKGR"]))  # type: ignore[arg-type]
    return model, left, np.where(unknown, 1.0, weight) ** -0.5


if __name__ == "__main__":
    run(main)
