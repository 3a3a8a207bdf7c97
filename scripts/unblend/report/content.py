"""The content of the report of a field: numbers for JSON, images as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..core.flags import Flag
from ..io.catalogues import read_catalogue
from ..io.tables import read_table, read_table_header
from .band_images import add_sources, outlines, panels_png, read_band_image, read_stack_image, same_page_pixels
from .pixels import SOFTENING, STEP, ZERO
from .run_warnings import read_warnings
from .sections import (
    band_numbers,
    card_sides,
    colour_choice,
    colour_scales,
    flag_list,
    flux_columns,
    source_columns,
    target_of,
    time_list,
)
from .summary import compared_positions, field_counts

BESIDE_THE_REPORT = ("write_report", "draw_fits")
"""Jobs that may still run when the report is written: whether their warnings are there would be chance."""
FIT_PROBLEMS = Flag.FIT_RETRIED | Flag.FIT_REPLACED | Flag.FIT_ON_BOUND | Flag.FIT_POOR_CHI2 | Flag.FIT_TIMED_OUT


def star_picture(results: Path, band: str) -> dict[str, bytes]:
    """Return the figure of the stars of which a band's PSF is built, by its name on the page; none for a given PSF."""
    path = results / "bands" / band / "psf_stars.png"
    return {f"band:{band}:stars": path.read_bytes()} if path.exists() else {}


def read_field(spec: Mapping[str, Any], results: Path) -> tuple[dict[str, Any], dict[str, bytes], dict[str, bytes]]:
    """Return the numbers and images of a field for `page.page`, and a PNG file for each band.

    Parameters
    ----------
    spec : mapping
        Settings of the report: `order` of the bands, `bands` with image and wavelength_um, `target` in degrees.
    results : Path
        Folder of the products.

    Returns
    -------
    content : dict
        Numbers and words for JSON.
    pngs : dict of str to bytes
        Images of the page by name.
    pictures : dict of str to bytes
        Image, model and residual of each band side by side.
    """
    bands, catalogue = spec["order"], read_catalogue(results / "catalogue.fits")
    header = read_table_header(results / "catalogue.fits")
    count = 2 * (len(bands) + 1)
    stack, target = read_stack_image(results, count), target_of(results, bands)
    images = {band: read_band_image(results, band, spec["bands"][band]["image"], count) for band in bands}
    pixels_arcsec = {band: image.scale / image.factor for band, image in images.items()}
    sides = card_sides(results, catalogue, stack.scale / stack.factor, pixels_arcsec)
    wavelengths = {band: spec["bands"][band]["wavelength_um"] for band in bands}

    add_sources(stack, results, None, catalogue, sides)
    pngs = {f"stack:{kind}": png for kind, png in stack.pngs.items()}
    pngs["outlines"] = outlines(results, stack)
    listed: list[dict[str, Any]] = []
    for band, image in images.items():
        add_sources(image, results, band, catalogue, sides)
        fluxes = read_table(results / "bands" / band / "fluxes.fits")
        measured = flux_columns(catalogue, fluxes, band)
        columns = {name: column.listed() for name, column in measured.items()}
        found = band_numbers(results, band, fluxes, measured, image, target, header)
        listed.append({"name": band, "wavelength": wavelengths[band], **image.record, "columns": columns, **found})
        pngs |= {f"band:{band}:{kind}": png for kind, png in image.pngs.items()} | star_picture(results, band)

    chosen = colour_choice({band: same_page_pixels(stack, image) for band, image in images.items()}, wavelengths)
    sources = {name: column.listed() for name, column in source_columns(results, catalogue, sides).items()}
    content = {
        **field_words(spec, results, catalogue, target),
        "stack": {"name": "stack", **stack.record},
        "bands": listed,
        "colour": {"bands": chosen, "scales": colour_scales(catalogue, chosen)} if chosen else None,
        "sources": sources,
    }
    return content, pngs, {band: panels_png(results, band, image) for band, image in images.items()}


def field_words(spec: Mapping[str, Any], results: Path, catalogue: np.ndarray, target: int | None) -> dict[str, Any]:
    """Return what a page says of the field as a whole: coding of pixels, target, flags, warnings, run times."""
    bands = spec["order"]
    return {
        "coding": {"softening": SOFTENING, "step": STEP, "zero": ZERO},
        "target": target,
        "position": spec["target"],
        "flags": flag_list(),
        "fit_problems": int(FIT_PROBLEMS),
        "summary": {**field_counts(results, catalogue), "positions": compared_positions(spec, results)},
        "warnings": [asdict(warning) for warning in read_warnings(results, bands, BESIDE_THE_REPORT)],
        "times": time_list(results, bands),
    }
