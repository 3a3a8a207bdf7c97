"""The detection, automatic or the user's own: stack, S/N image, segments, catalogue, hidden sources."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
from unblend.core.coordinates import pixel_scale
from unblend.detection.detection_image import large_segment_warning, smoothing_warning
from unblend.detection.sky import subtract_sky
from unblend.detection.sources import DetectedSources, detect, hidden_regions
from unblend.detection.stack import relative_noise_map, stack_images
from unblend.field.close_pairs import find_close_pairs
from unblend.field.detection_mask import no_data
from unblend.field.own_sources import detect_own
from unblend.field.region_warnings import warning_off_image
from unblend.field.weight_maps import checked_weight
from unblend.images.masks import region_mask
from unblend.io.files import read_json
from unblend.io.images import read_array, read_wcs, write_image
from unblend.io.regions import read_regions, write_regions
from unblend.io.tables import write_sources
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.detect")


def main(spec_path: str, stack_path: str, error_path: str, background_path: str, snr_path: str, segments_path: str,
         catalogue_path: str, hidden_path: str) -> None:  # fmt: skip
    """Write stack, error, background of flux_band, S/N image, segments and catalogue, and hidden sources as regions."""
    spec = read_json(spec_path)
    settings, flux_band = spec["detection"], spec["detection"]["flux_band"]
    first = spec["images"][settings["bands"][0]]["file"]
    wcs = read_wcs(first)
    images = {name: read_array(file["file"]) for name, file in spec["images"].items()}
    # what a map warns of is in the log of mask_band
    weights = {name: checked_weight(file, images[name], name, warn=log.info) for name, file in spec["weights"].items()}
    in_image_units = [name for name, file in spec["weights"].items() if file["kind"] != "weight"]
    scale = pixel_scale(wcs, images[flux_band].shape)
    masks = {name: no_data(image, weights.get(name), spec["saturation"][name]) for name, image in images.items()}
    sky = subtract_sky(images, masks, settings["background"], arcsec_per_pixel=scale)
    images = sky.images
    bad_regions = [read_regions(record["file"]) for record in spec["bad_regions"].values()]
    drawn = [region_mask(regions, wcs, images[flux_band].shape) for regions in bad_regions]
    for (name, record), listed, region in zip(spec["bad_regions"].items(), bad_regions, drawn, strict=True):
        masks[name] |= region
        off_image = warning_off_image(record["file"], listed, region, spec["images"][name]["file"])
        if off_image:
            log.warning("%s", off_image)
    stack = stack_images(images, masks, weights, in_image_units=in_image_units)
    relative = relative_noise_map(weights[flux_band])[0] if flux_band in weights else None
    for name in stack.noise_scale:
        log.info("%s: the weight map is scaled to the scatter of the pixels, %.4g", name, stack.rms[name])
    for message in sky.messages:
        log.info("%s", message)
    for warning in (*sky.warnings, *stack.warnings, smoothing_warning(settings["conv_fwhm"], scale)):
        if warning:
            log.warning("%s", warning)
    names = ("min_area", "min_snr", "deblend_levels", "deblend_contrast", "second_pass")
    limits = {name: settings[name] for name in names}
    pairs = partial(find_close_pairs, psf=spec["psf"], min_snr=limits["min_snr"], min_area=limits["min_area"])
    automatic = partial(detect, **limits, find_pairs=pairs if spec["psf"] else None)
    find = partial(detect_own, spec["own"], image_name=first) if spec["own"] else automatic
    found = find(
        stack,
        images[flux_band],
        masks[flux_band],
        wcs,
        fwhm_pixels=settings["conv_fwhm"] / scale,
        relative_noise=relative,
        threshold=settings["threshold"],
        never_filled=np.any(drawn, axis=0),
    )
    done = "added" if settings["second_pass"] == "auto" else f"proposed in {Path(hidden_path).name}"
    say_found(found, masks[flux_band], done)
    write_image(stack_path, stack.data, wcs=wcs, header={f"RMS{i}": v for i, v in enumerate(stack.rms.values(), 1)})
    write_image(error_path, stack.error, wcs=wcs)
    write_image(background_path, sky.backgrounds.get(flux_band, np.zeros(stack.data.shape)), wcs=wcs)
    write_image(snr_path, found.snr, wcs=wcs)
    write_image(segments_path, found.segments, wcs=wcs)
    levels = {"BACKGR": found.background, "RMS": found.rms}
    dropped = {"NSMALL": found.dropped.get("min_area", 0), "NFAINT": found.dropped.get("min_snr", 0)}
    write_sources(catalogue_path, found.catalogue, levels | dropped | {"NHIDDEN": len(found.hidden)})
    circles = hidden_regions(found.hidden, wcs, radius_pixels=max(settings["conv_fwhm"], 0.1) / scale)
    write_regions(hidden_path, circles, color="magenta", remarks=["Sources hidden in the segments of brighter ones"])
    record_work("detect", "all")


def say_found(found: DetectedSources, mask: np.ndarray, done: str) -> None:
    """Write into the log how many sources were found and dropped, and what was `done` with the hidden ones."""
    log.info("%d sources; dropped: %s", len(found.catalogue), found.dropped)
    large = large_segment_warning(found.segments, mask)
    if large:
        log.warning("%s", large)
    if found.hidden:
        behind = ", ".join(str(source.parent) for source in found.hidden)
        log.info("%d sources hidden in the segments of %s, %s", len(found.hidden), behind, done)


if __name__ == "__main__":
    run(main)
