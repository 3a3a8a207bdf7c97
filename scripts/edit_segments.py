"""Edit the segments as the user has drawn: merges and manual sources."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblend.core.flags import Flag
from unblend.core.strips import BitMask, Derived, Workspace
from unblend.core.types import WindowedImage
from unblend.detection.region_edits import EditedSegments, edit_segments
from unblend.detection.sources import catalogue_regions, measure
from unblend.detection.stack import Stack, relative_noise_map
from unblend.field.detection_mask import no_data_mask
from unblend.field.weight_maps import weight_of
from unblend.images.masks import footprints, region_mask
from unblend.images.unobserved import unobserved_mask
from unblend.io.files import read_json
from unblend.io.images import read_wcs, write_pixels
from unblend.io.open_images import open_image, open_labels
from unblend.io.regions import read_regions, write_regions
from unblend.io.scratch import on_disk
from unblend.io.tables import read_sources, read_table_header, write_sources
from unblend.run.job_log import record_work, run

if TYPE_CHECKING:
    import numpy as np
    from astropy.wcs import WCS

log = logging.getLogger("unblend.edit")


def main(spec_path: str, automatic_segments: str, automatic_catalogue: str, segments_path: str, catalogue_path: str,
         regions_path: str) -> None:  # fmt: skip
    """Write segments, catalogue and DS9 regions after the edits."""
    spec, wcs = read_json(spec_path), read_wcs(automatic_segments)
    found, level = read_sources(automatic_catalogue), read_table_header(automatic_catalogue)
    folder = Path(segments_path).parent
    folder.mkdir(parents=True, exist_ok=True)
    work, products = on_disk(folder), Path(automatic_segments).parent
    with ExitStack() as opened:
        data, error, background, image = (
            opened.enter_context(open_image(name))
            for name in (
                *(str(products / f"det_{part}.fits") for part in ("stack", "error", "background")),
                spec["flux_image"]["file"],
            )
        )
        edited = edited_segments(opened.enter_context(open_labels(automatic_segments)), spec, wcs, found, work)
        # A source that no region touches keeps its flags.
        flags = {int(row["id"]): int(row["flag"]) for row in found} | edited.flags
        weight = None
        if spec["flux_weight"]:
            values = opened.enter_context(open_image(spec["flux_weight"]["file"]))
            weight = weight_of(values, spec["flux_weight"], image.shape, work)
        mask = no_data_mask(image, weight, spec["saturation"], unobserved_mask(image, work), work)
        mask |= BitMask.of(region_mask(read_regions(spec["bad_regions"]["file"]), wcs, image.shape))
        sources = measure(
            edited.segments,
            Stack(data, error, {}, {}, {}),
            Derived(image.shape, lambda window: image[window] - background[window]),
            mask,
            wcs,
            background=float(level["BACKGR"]),  # type: ignore[arg-type]
            rms=float(level["RMS"]),  # type: ignore[arg-type]
            relative_noise=None if weight is None else relative_noise_map(weight, work)[0],
            flags=flags,
            work=work,
        )
        write_pixels(segments_path, edited.segments, "i4", wcs=wcs)
    write_sources(catalogue_path, sources, level_header(level))
    write_regions(regions_path, catalogue_regions(sources, wcs))
    record_work("edit", "all")


def edited_segments(
    automatic: WindowedImage, spec: dict[str, Any], wcs: WCS, found: np.ndarray, work: Workspace
) -> EditedSegments:
    """Return the segments after the edits, and say what has no effect."""
    merge_file, manual_file = (spec[name]["file"] for name in ("merge_regions", "manual_regions"))
    shape = (automatic.shape[0], automatic.shape[1])
    merge = footprints(read_regions(merge_file), wcs, shape, touch=True, name=merge_file)
    manual = footprints(read_regions(manual_file), wcs, shape, keep_small=True, name=manual_file)
    second = found[found["flag"] & Flag.SECOND_DETECTION > 0]
    edited = edit_segments(automatic, merge, manual, second["id"].tolist(), work)
    for warning in edited.warnings:
        log.warning("%s", warning)
    return edited


def level_header(level: dict) -> dict:
    """Return the background and the rms that the fluxes were measured with."""
    return {"BACKGR": level["BACKGR"], "RMS": level["RMS"]}


if __name__ == "__main__":
    run(main)
