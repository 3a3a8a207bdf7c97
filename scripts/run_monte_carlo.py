"""Errors from the real noise: patches of the residual moved onto every source."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from unblend.core.errors import UnusableBandError
from unblend.core.flags import Flag
from unblend.core.types import Region
from unblend.field.adopted_templates import adopted_templates
from unblend.field.band_data import BandData, load_band_data, read_band_regions
from unblend.field.band_only_sources import read_band_only
from unblend.field.detection_window import projected_segments
from unblend.field.unmeasured_band import write_no_realizations
from unblend.images.masks import circles
from unblend.io.files import read_json
from unblend.io.regions import write_regions
from unblend.io.tables import columns, read_table, write_table
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.monte_carlo import (
    ENOUGH,
    adopted_scale,
    monte_carlo,
    place_circles,
    pooled_ratio,
    realization_scatter,
    usable_circles,
)
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.photometry.monte_carlo")

QUIET, LOUD = 0.1, 1.0
"""Model light in units of the noise of a pixel: less does not matter to a circle, more is avoided. On Hubble and MUSE,
where galaxies are no Sersics, Monte Carlo over formal errors is 1.4 ± 0.2 with circles anywhere, 1.0 ± 0.2 here."""


def main(spec_path: str, results_dir: str, realizations_path: str, regions_path: str) -> None:
    """Write monte_carlo.fits (scatter and realizations) and the circles that were used."""
    spec, results = read_json(spec_path), Path(results_dir)
    folder = results / "bands" / spec["band"]
    try:
        data = load_band_data(spec, results, final_weights=True)
    except UnusableBandError:
        write_no_realizations(spec, results, realizations_path, regions_path)
        record_work("monte_carlo", spec["band"])
        return
    detected, (own, _) = adopted_templates(folder), read_band_only(folder)
    templates, count = [*detected, *own], len(detected)
    solution = solve_fluxes(data.image, data.weight, templates, order=data.background_order)
    if spec["sim_regions"]:
        given = circles(read_band_regions(spec["sim_regions"]["file"], spec), data.wcs)
        patches = usable_circles(given, data.image.shape)
        if len(patches) < len(given) and "tile" not in spec:
            log.warning(
                "%s: %d of the %d circles in %s are not used: their centres are off the image, or they are too large",
                spec["band"], len(given) - len(patches), len(given), spec["sim_regions"]["file"],
            )  # fmt: skip
    else:
        light = model_image(templates, solution.flux, data.image.shape)
        patches = placed(data, light, results, spec["band"])
    if patches:
        realizations = monte_carlo(solution.residual, data.mask, templates, solution, data.weight, patches)
    else:
        realizations = np.full((len(solution.ids), 1), np.nan)
    ids, realizations = solution.ids[:count], realizations[:count]
    sigma = np.where((solution.flags[:count] & Flag.NO_PIXELS) != 0, np.nan, realization_scatter(realizations))
    ratio, ratio_err = pooled_ratio(realizations, read_table(folder / "fluxes.fits")["flux_err"])
    scale = adopted_scale(ratio, ratio_err)
    if not patches:
        log.warning("%s: no empty circle fits into the image: its errors are the formal ones", spec["band"])
    elif len(patches) < ENOUGH:
        log.warning("%s: only %d circles: the Monte Carlo errors are good to %.0f %% at best",
                    spec["band"], len(patches), 100 / np.sqrt(2 * max(len(patches) - 1, 1)))  # fmt: skip
    log.info("%s: %d circles, Monte Carlo / formal errors %.2f +- %.2f", spec["band"], len(patches), ratio, ratio_err)
    header = {"BAND": spec["band"], "NCIRCLES": len(patches), "SCALE": scale}
    header |= {k: float(v) for k, v in {"RATIO": ratio, "RATIOERR": ratio_err}.items() if np.isfinite(v)}
    table = columns(id=ids, flux_err_sim=sigma, realizations=realizations.reshape(len(sigma), -1))
    write_table(realizations_path, table, header=header, name="MONTE_CARLO")
    drawn = [Region("circle", "image", ((y, x),), outer=((r, "pixel"), (r, "pixel"))) for y, x, r in patches]
    write_regions(regions_path, drawn, color="yellow")
    record_work("monte_carlo", spec["band"])


def placed(data: BandData, light: np.ndarray, results: Path, band: str) -> list[tuple[float, float, float]]:
    """Place empty circles, wider than the PSF and the median source."""
    segments = projected_segments(str(results / "det_seg.fits"), data.wcs, light.shape)
    weight, fwhm = data.weight, data.fwhm
    found = place_circles(
        light * np.sqrt(weight), weight == 0, segments, radius=3.0 * fwhm, fwhm=fwhm,
        faint_level=QUIET, bright_level=LOUD,
    )  # fmt: skip
    if found.on_segments:
        log.warning(
            "%s: the field has no room for %d circles of empty sky, and %d of them touch a source: its light may add "
            "to the Monte Carlo errors. To choose their places, draw them in DS9 (bands.%s.sim_regions)",
            band,
            len(found.circles),
            found.on_segments,
            band,
        )
    return found.circles


if __name__ == "__main__":
    run(main)
