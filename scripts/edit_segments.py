"""Edit the segments as the user has drawn: merges and manual sources."""

from __future__ import annotations

import logging
from pathlib import Path

from unblend.core.flags import Flag
from unblend.detection.region_edits import edit_segments
from unblend.detection.sources import catalogue_regions, measure
from unblend.detection.stack import Stack, relative_noise_map
from unblend.field.detection_mask import detection_mask
from unblend.field.weight_maps import read_weight
from unblend.images.masks import footprints
from unblend.io.files import read_json
from unblend.io.images import read_array, read_labels, read_wcs, write_image
from unblend.io.regions import read_regions, write_regions
from unblend.io.tables import read_sources, read_table_header, write_sources
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.edit")


def main(spec_path: str, automatic_segments: str, automatic_catalogue: str, segments_path: str, catalogue_path: str,
         regions_path: str) -> None:  # fmt: skip
    """Write segments, catalogue and DS9 regions after the edits."""
    spec = read_json(spec_path)
    automatic, wcs = read_labels(automatic_segments), read_wcs(automatic_segments)
    merge_file, manual_file = (spec[name]["file"] for name in ("merge_regions", "manual_regions"))
    merge = footprints(read_regions(merge_file), wcs, automatic.shape, touch=True, name=merge_file)
    manual = footprints(read_regions(manual_file), wcs, automatic.shape, keep_small=True, name=manual_file)
    found = read_sources(automatic_catalogue)
    second = found[found["flag"] & Flag.SECOND_DETECTION > 0]
    edited = edit_segments(automatic, merge, manual, second["id"].tolist())
    # A source that no region touches keeps its flags.
    flags = {int(row["id"]): int(row["flag"]) for row in found} | edited.flags
    for warning in edited.warnings:
        log.warning("%s", warning)
    folder = Path(automatic_segments).parent
    stack = Stack(read_array(str(folder / "det_stack.fits")), read_array(str(folder / "det_error.fits")), {}, {}, {})
    image = read_array(spec["flux_image"]["file"])
    weight = read_weight(spec["flux_weight"], image.shape) if spec["flux_weight"] else None
    mask = detection_mask(spec["bad_regions"]["file"], wcs, image, weight, spec["saturation"])
    image -= read_array(str(folder / "det_background.fits"))
    level = read_table_header(automatic_catalogue)
    sources = measure(
        edited.segments,
        stack,
        image,
        mask,
        wcs,
        background=float(level["BACKGR"]),  # type: ignore[arg-type]
        rms=float(level["RMS"]),  # type: ignore[arg-type]
        relative_noise=None if weight is None else relative_noise_map(weight)[0],
        flags=flags,
    )
    write_image(segments_path, edited.segments, wcs=wcs)
    write_sources(catalogue_path, sources, level_header(level))
    write_regions(regions_path, catalogue_regions(sources, wcs))
    record_work("edit", "all")


def level_header(level: dict) -> dict:
    """Return the background and the rms that the fluxes were measured with."""
    return {"BACKGR": level["BACKGR"], "RMS": level["RMS"]}


if __name__ == "__main__":
    run(main)
