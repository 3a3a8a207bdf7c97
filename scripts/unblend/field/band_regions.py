"""The region files of a band: those of its mask, and those proposed to be loaded, corrected, and saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core.types import Region
from ..io.regions import write_regions

KINDS = ("sim", "border", "bad")
"""Empty circles, sources beyond the detection image, artefacts."""
COLORS = {"sim": "yellow", "border": "cyan", "bad": "red"}
REMARKS = {
    "sim": ("Where the Monte Carlo takes its noise: move what touches light.", "Save as {name}"),
    "border": (
        "Sources beyond the detection image: they have no model and must be masked.",
        "Save as {name} (this band alone), or add them to mask_border.reg (all bands)",
    ),
    "bad": (
        "What no source explains. Delete what is real: a `source?` is better drawn in det_manual.reg.",
        "Save as {name}",
    ),
}


def write_mask_regions(path: str | Path, regions: Iterable[Region]) -> None:
    """Write the regions that mask a band. Sectors cannot be written; they are in the mask and in the user's file."""
    shapes = [region for region in regions if region.sector is None]
    write_regions(path, shapes, color="red", remarks=["The regions of the mask, border and bad"])


def write_proposals(
    paths: Mapping[str, str | Path], regions: Mapping[str, Iterable[Region]], names: Mapping[str, str]
) -> None:
    """Write the three files.

    Parameters
    ----------
    paths, regions, names : mapping of kind
        Where each file is written, what it holds, and the name under which the workflow reads it.
    """
    for kind in KINDS:
        remarks = [text.format(name=names[kind]) for text in REMARKS[kind]]
        write_regions(paths[kind], regions[kind], color=COLORS[kind], remarks=remarks)
