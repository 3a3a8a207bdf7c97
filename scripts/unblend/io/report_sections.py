"""The sections of the report, made from the products of a field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..flags import Flag, names
from ..geometry import sky_to_pixel
from ..masks import circles
from ..page import image, paragraph, section, table
from ..plots import band_figure, chi2_figure, detection_figure, offsets_figure
from .files import read_json
from .images import read_array, read_labels, read_wcs
from .regions import read_regions
from .tables import read_table, read_table_header

TROUBLE = Flag.FIT_RETRIED | Flag.FIT_REPLACED | Flag.FIT_ON_BOUND | Flag.FIT_POOR_CHI2 | Flag.FIT_TIMED_OUT


def detection_section(results: Path, sources: np.ndarray, target: int) -> str:
    """Return the stack with its segments and IDs."""
    stack, segments = read_array(str(results / "det_stack.fits")), read_labels(str(results / "det_seg.fits"))
    caption = f"The stack, its segments and IDs; target: {target}."
    return section("Detection", image(detection_figure(stack, segments, sources, target), caption, 130))


def summary_section(results: Path, bands: list[str]) -> str:
    """Return a line a band: noise, correlation, Monte Carlo ratio, shift, constant, sources seen."""
    rows = []
    for band in bands:
        folder = results / "bands" / band
        fluxes, header = read_table(folder / "fluxes.fits"), read_table_header(folder / "fluxes.fits")
        simulated = read_table_header(folder / "monte_carlo.fits")
        dx, dy = read_json(folder / "astrometry.json")["shift_arcsec"]
        bright = int(np.sum(fluxes["flux"] > 5 * fluxes["flux_err"]))
        ratio = f"{simulated.get('RATIO', np.nan):.2f} ± {simulated.get('RATIOERR', np.nan):.2f}"
        noise, constant = f"{header['RMS']:.3g}", f"{header['BACKGR']:.2g}"
        seen = f"{bright} of {len(fluxes)}"
        rows.append([band, noise, f"{header['LAG1']:.2f}", ratio, f"{dx:+.3f} {dy:+.3f}", constant, seen])
    head = ["band", "noise", "correlation", "Monte Carlo / formal", 'shift ["]', "constant", "above 5 sigma"]
    return section("Summary", table(head, rows))


def band_section(results: Path, band: str, image_path: str, sources: np.ndarray) -> str:
    """Return image, model and residual of a band; what the search for the shift and the bright sources say."""
    folder = results / "bands" / band
    data = read_array(image_path) - read_array(str(folder / "background.fits"))
    residual, mask = read_array(str(folder / "residual.fits")), read_labels(str(folder / "mask.fits")) != 0
    constant = float(read_table_header(folder / "fluxes.fits")["BACKGR"])  # type: ignore[arg-type]
    wcs = read_wcs(image_path)
    drawn = circles(read_regions(folder / "monte_carlo.reg"), wcs)
    figure = band_figure(band, data, residual, mask, background=constant, circles=drawn)
    found = read_json(folder / "astrometry.json")
    said = [paragraph(found[key], "warn") for key in ("message", "recommendation") if found[key]]
    pictures = _search_picture(found["grid"]) if found["grid"] else []
    if found["offsets"]:
        rows = {int(row["id"]): row for row in sources}
        sky = (np.array([rows[i][name] for i in found["offsets"]["id"]]) for name in ("ra", "dec"))
        pictures.append(_offsets_picture(found["offsets"], sky_to_pixel(wcs, *sky), (data.shape[0], data.shape[1])))
    row = f'<div class="row">{"".join(pictures)}</div>'
    return section(band, image(figure, f"{band}: image, model, image − model."), *said, row)


def _search_picture(grid: Mapping[str, Any]) -> list[str]:
    dx, dy = grid["best_shift_arcsec"]
    references = ", ".join(map(str, grid["references"]))
    figure = chi2_figure(grid["offsets_arcsec"], np.array(grid["chi2"]), (dx, dy))
    return [image(figure, f"best shift: {dx:.3f} {dy:.3f} (references {references})")]


def _offsets_picture(found: Mapping[str, Any], places: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> str:
    offsets = np.array([found["dy_arcsec"], found["dx_arcsec"]]).T
    errors = np.array([found["err_dy_arcsec"], found["err_dx_arcsec"]]).T
    figure = offsets_figure(shape, np.array(places).T, offsets, errors)
    return image(figure, "Offsets of the bright sources from their models.")


def fits_section(results: Path) -> str:
    """Return what the fits have left of the stack, and those that a person should look at, worst chi2 first."""
    stack, left = read_array(str(results / "det_stack.fits")), read_array(str(results / "imfit/det_stack-sub.fits"))
    figure = band_figure("stack", stack, left, np.zeros(stack.shape, dtype=bool), background=0.0)
    fits = read_table(results / "imfit/sersic.fits")
    flagged = fits[(fits["flag"] & int(TROUBLE)) != 0]
    flagged = flagged[np.argsort(-np.nan_to_num(flagged["chi2_red"]), kind="stable")]
    rows = []
    for r in flagged:
        shape = [f"{r['n']:.2f}", f"{r['r_e_arcsec']:.3f}", f"{r['ell']:.2f}"]
        rows.append([str(r["id"]), str(r["group"]), f"{r['chi2_red']:.2f}", *shape, ", ".join(names(int(r["flag"])))])
    listed = table(["id", "group", "chi2", "n", 'r_e ["]', "ell", "flags"], rows)
    said = paragraph(f"{len(flagged)} of {len(fits)} fits are flagged.")
    return section("Fits", image(figure, "The stack, its models, what is left."), said, listed)
