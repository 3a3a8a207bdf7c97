"""Mask a band: borders, bad regions, pixels that are not finite or have no weight."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from unblend.core.errors import FailedBandError, InputError
from unblend.field.band_data import read_band_regions
from unblend.field.band_regions import write_mask_regions
from unblend.field.failed_band import CUTOUT, failure_cards, failure_in
from unblend.field.region_warnings import warning_off_image
from unblend.field.weight_maps import checked_weight
from unblend.images.byte_order import has_swapped_bytes
from unblend.images.masks import band_mask, region_mask
from unblend.images.saturation import SATURATED, find_plateau, is_saturated
from unblend.io.files import DamagedFileError, read_json
from unblend.io.images import read_array, read_shape, read_sky_cards, read_wcs, write_image
from unblend.run.job_log import band_of, record_work, run

log = logging.getLogger("unblend.mask")


def main(spec_path: str, mask_path: str, regions_path: str) -> None:
    """Write the mask (1 = ignored, 2 = saturated) with the number of pixels for each reason; its regions for DS9."""
    spec = read_json(spec_path)
    folder = Path(mask_path).parent
    try:
        reason = failure_in(folder / CUTOUT)
        if reason is not None:
            raise FailedBandError(reason)
        write_mask(spec, mask_path, regions_path)
    except DamagedFileError:
        raise
    except InputError as error:
        log.info("%s", error)
        shape = read_shape(spec["image"]["file"])
        header = {**read_sky_cards(spec["image"]["file"]), **failure_cards(error)}
        write_image(mask_path, np.ones(shape, dtype=np.uint8), header=header)
        write_mask_regions(regions_path, [])
    record_work("mask", band_of(mask_path))


def write_mask(spec: dict, mask_path: str, regions_path: str) -> None:
    """Write the mask and its regions.

    Raises
    ------
    InputError
        The image or the weight map cannot be used.
    """
    image = read_array(spec["image"]["file"])
    band = spec["tile"]["band"] if "tile" in spec else Path(mask_path).parent.name
    if has_swapped_bytes(image):
        raise InputError(
            f"bands.{band}.image: {spec['image']['file']} has pixels of all magnitudes, which become sensible "
            "with their bytes in the opposite order; FITS has the most significant byte first. Write the file again."
        )
    weight = checked_weight(spec["weight"], image, band) if spec["weight"] else None
    drawn = {name: read_band_regions(spec[f"{name}_regions"]["file"], spec) for name in ("border", "bad")}
    wcs = read_wcs(spec["image"]["file"]) if any(drawn.values()) else None
    regions = {name: region_mask(found, wcs, image.shape) for name, found in drawn.items() if found}
    bad = warning_off_image(spec["bad_regions"]["file"], drawn["bad"], regions.get("bad"), spec["image"]["file"])
    if bad and "tile" not in spec:
        log.warning("%s", bad)
    mask, counts = band_mask(image, weight=weight, regions=regions)
    level = spec["saturation"]
    saturated = is_saturated(image, level_of_flat_tops(image, mask, spec, band) if level is None else level)
    mask |= saturated
    counts |= {"saturated": int(np.count_nonzero(saturated)), "masked": int(np.count_nonzero(mask))}
    log.info("%s", ", ".join(f"{name}: {count}" for name, count in counts.items()))
    if mask.all() and "tile" not in spec:
        log.warning("every pixel of %s is masked: all its fluxes will be NaN", spec["image"]["file"])
    header = {f"N{name[:7].upper().replace(' ', '_')}": count for name, count in counts.items()}
    values = np.where(saturated, SATURATED, mask.astype(np.uint8))
    write_image(mask_path, values, header={**read_sky_cards(spec["image"]["file"]), **header})
    write_mask_regions(regions_path, [region for found in drawn.values() for region in found])


def level_of_flat_tops(image: np.ndarray, mask: np.ndarray, spec: dict, band: str) -> float | None:
    """Return the level from which on pixels are saturated where the user gives none, with a warning; None without."""
    plateau = find_plateau(image, mask)
    if plateau is None:
        return None
    log.warning(
        "%s: %d pixels, such as x=%d y=%d (1-based), have %.5g within 0.1 %%, the maximum of the image: they are taken "
        "as saturated, and masked. Set bands.%s.saturation to the level of saturation, or above the maximum if they "
        "are not.", spec["image"]["file"], plateau.pixels, plateau.x + 1, plateau.y + 1, plateau.level, band,
    )  # fmt: skip
    return plateau.least


if __name__ == "__main__":
    run(main)
