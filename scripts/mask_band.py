"""Mask a band: borders, bad regions, pixels that are not finite or have no weight."""

from __future__ import annotations

import logging
from pathlib import Path

from unblend.field.weight_maps import checked_weight
from unblend.images.masks import band_mask, region_mask
from unblend.io.files import read_json
from unblend.io.images import read_array, read_sky_cards, read_wcs, write_image
from unblend.io.regions import read_regions, write_regions
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.mask")


def main(spec_path: str, mask_path: str, regions_path: str) -> None:
    """Write the mask (1 = ignored) with the number of pixels for each reason in its header; its regions for DS9."""
    spec = read_json(spec_path)
    image = read_array(spec["image"]["file"])
    band = Path(mask_path).parent.name
    weight = checked_weight(spec["weight"], image, band) if spec["weight"] else None
    drawn = {name: read_regions(spec[f"{name}_regions"]["file"]) for name in ("border", "bad")}
    wcs = read_wcs(spec["image"]["file"]) if any(drawn.values()) else None
    regions = {name: region_mask(found, wcs, image.shape) for name, found in drawn.items() if found}
    mask, counts = band_mask(image, weight=weight, regions=regions)
    log.info("%s", ", ".join(f"{name}: {count}" for name, count in counts.items()))
    if mask.all():
        log.warning("every pixel of %s is masked: all its fluxes will be NaN", spec["image"]["file"])
    header = {f"N{name[:7].upper().replace(' ', '_')}": count for name, count in counts.items()}
    write_image(mask_path, mask, header={**read_sky_cards(spec["image"]["file"]), **header})
    # Sectors cannot be written: they are in the mask, and in the user's own file.
    shapes = [region for found in drawn.values() for region in found if region.sector is None]
    write_regions(regions_path, shapes, color="red", remarks=["The regions of the mask, border and bad"])
    record_work("mask", band)


if __name__ == "__main__":
    run(main)
