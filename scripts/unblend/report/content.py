"""Everything that the report shows of a field: numbers for JSON, images as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.flags import Flag
from ..io.tables import read_table
from .band_images import add_sources, band_frame, outlines, panels_png, same_grid, stack_frame
from .pixels import SOFTENING, STEP, ZERO
from .sections import (
    band_numbers,
    card_sides,
    colour_choice,
    colour_scales,
    flag_list,
    source_columns,
    target_of,
    time_list,
)

TROUBLE = Flag.FIT_RETRIED | Flag.FIT_REPLACED | Flag.FIT_ON_BOUND | Flag.FIT_POOR_CHI2 | Flag.FIT_TIMED_OUT


def read_field(spec: Mapping[str, Any], results: Path) -> tuple[dict[str, Any], dict[str, bytes], dict[str, bytes]]:
    """Return (numbers, images, pictures) of a field: what `unblend.page.page` puts together, and a PNG file a band.

    Parameters
    ----------
    spec : mapping
        The job's: `order` of the bands, `bands` with image and wavelength_um, `target` in degrees.
    results : Path
        Folder of the products.
    """
    bands, catalogue = spec["order"], read_table(results / "catalogue.fits")
    images = 2 * (len(bands) + 1)
    stack, target = stack_frame(results, images), target_of(results, bands)
    frames = {band: band_frame(results, band, spec["bands"][band]["image"], images) for band in bands}
    sizes = {band: frame.scale / frame.factor for band, frame in frames.items()}
    sides = card_sides(results, catalogue, stack.scale / stack.factor, sizes)
    wavelengths = {band: spec["bands"][band]["wavelength_um"] for band in bands}

    add_sources(stack, results, None, catalogue, sides)
    pngs = {f"stack:{kind}": content for kind, content in stack.pngs.items()}
    pngs["outlines"] = outlines(results, stack)
    listed: list[dict[str, Any]] = []
    for band, frame in frames.items():
        add_sources(frame, results, band, catalogue, sides)
        said = band_numbers(results, band, catalogue, frame, target)
        listed.append({"name": band, "wavelength": wavelengths[band], **frame.record, **said})
        pngs |= {f"band:{band}:{kind}": content for kind, content in frame.pngs.items()}

    chosen = colour_choice({band: same_grid(stack, frame) for band, frame in frames.items()}, wavelengths)
    columns = source_columns(results, catalogue, sides)
    content = {
        "coding": {"softening": SOFTENING, "step": STEP, "zero": ZERO},
        "target": target,
        "position": spec["target"],
        "stack": {"name": "stack", **stack.record},
        "bands": listed,
        "colour": {"bands": chosen, "scales": colour_scales(catalogue, chosen)} if chosen else None,
        "sources": columns,
        "flags": flag_list(),
        "trouble": int(TROUBLE),
        "times": time_list(results, bands),
    }
    return content, pngs, {band: panels_png(results, band, frame) for band, frame in frames.items()}
