"""The detection, automatic or the user's own: stack, S/N image, segments, catalogue, hidden sources."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblend.core.coordinates import pixel_scale
from unblend.core.strips import BitMask, Workspace
from unblend.core.types import WindowedImage
from unblend.detection.detection_image import large_segment_warning, smoothing_warning
from unblend.detection.sky import subtract_sky
from unblend.detection.sources import DetectedSources, detect, hidden_regions
from unblend.detection.stack import Stack, relative_noise_map, stack_images
from unblend.field.close_pairs import find_close_pairs
from unblend.field.detection_input import DetectionInput, open_input
from unblend.field.own_sources import detect_own
from unblend.io.files import read_json
from unblend.io.images import read_wcs, write_pixels
from unblend.io.regions import write_regions
from unblend.io.scratch import on_disk
from unblend.io.tables import write_sources
from unblend.run.job_log import record_work, run
from unblend.run.workers import in_shares

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger("unblend.detect")


def main(spec_path: str, stack_path: str, error_path: str, background_path: str, snr_path: str, segments_path: str,
         catalogue_path: str, hidden_path: str, workers: int = 1) -> None:  # fmt: skip
    """Write stack, error, background of flux_band, S/N image, segments and catalogue, and hidden sources as regions."""
    spec = read_json(spec_path)
    settings, flux_band = spec["detection"], spec["detection"]["flux_band"]
    wcs = read_wcs(spec["images"][settings["bands"][0]]["file"])
    folder = Path(stack_path).parent
    folder.mkdir(parents=True, exist_ok=True)
    work = on_disk(folder)
    with ExitStack() as opened:
        found_input = open_input(spec, wcs, opened, work)
        scale = pixel_scale(wcs, found_input.images[flux_band].shape)
        # the user's bad regions are masked after the background is measured
        sky = subtract_sky(found_input.images, found_input.no_data, settings["background"], arcsec_per_pixel=scale,
                           work=work)  # fmt: skip
        masks = found_input.masks()
        in_image_units = [name for name, file in spec["weights"].items() if file["kind"] != "weight"]
        stack = stack_images(sky.images, masks, found_input.weights, work, in_image_units=in_image_units)
        for name in stack.noise_scale:
            log.info("%s: the weight map is scaled to the scatter of the pixels, %.4g", name, stack.rms[name])
        for message in sky.messages:
            log.info("%s", message)
        for warning in (*sky.warnings, *stack.warnings, smoothing_warning(settings["conv_fwhm"], scale)):
            if warning:
                log.warning("%s", warning)
        found = find(spec, stack, sky.images[flux_band], masks[flux_band], wcs, found_input, scale, work, workers)
        log_found(found, masks[flux_band], settings, hidden_path)
        header = {f"RMS{i}": v for i, v in enumerate(stack.rms.values(), 1)}
        write_pixels(stack_path, stack.data, "f4", wcs=wcs, header=header)
        write_pixels(error_path, stack.error, "f4", wcs=wcs)
        background = sky.backgrounds.get(flux_band, BitMask(stack.data.shape))
        write_pixels(background_path, background, "f4", wcs=wcs)
        write_pixels(snr_path, found.snr, "f4", wcs=wcs)
        write_pixels(segments_path, found.segments, "i4", wcs=wcs)
    levels = {"BACKGR": found.background, "RMS": found.rms}
    dropped = {"NSMALL": found.dropped.get("min_area", 0), "NFAINT": found.dropped.get("min_snr", 0)}
    write_sources(catalogue_path, found.catalogue, levels | dropped | {"NHIDDEN": len(found.hidden)})
    circles = hidden_regions(found.hidden, wcs, radius_pixels=max(settings["conv_fwhm"], 0.1) / scale)
    write_regions(hidden_path, circles, color="magenta", remarks=["Sources hidden in the segments of brighter ones"])
    record_work("detect", "all")


def find(
    spec: dict[str, Any],
    stack: Stack,
    image: WindowedImage,
    mask: WindowedImage,
    wcs: WCS,
    found_input: DetectionInput,
    scale: float,
    work: Workspace,
    workers: int,
) -> DetectedSources:
    """Return the sources of the automatic detection, or those that the user gives, measured in flux_band."""
    settings = spec["detection"]
    weight = found_input.weights.get(settings["flux_band"])
    names = ("min_area", "min_snr", "deblend_levels", "deblend_contrast", "second_pass")
    limits = {name: settings[name] for name in names}
    pairs = partial(
        find_close_pairs, psf=spec["psf"], min_snr=limits["min_snr"], min_area=limits["min_area"],
        spread=partial(in_shares, workers=workers),
    )  # fmt: skip
    automatic = partial(detect, **limits, find_pairs=pairs if spec["psf"] else None)
    first = spec["images"][settings["bands"][0]]["file"]
    method = partial(detect_own, spec["own"], image_name=first) if spec["own"] else automatic
    return method(
        stack,
        image,
        mask,
        wcs,
        fwhm_pixels=settings["conv_fwhm"] / scale,
        relative_noise=None if weight is None else relative_noise_map(weight, work)[0],
        threshold=settings["threshold"],
        never_filled=found_input.drawn_anywhere,
        work=work,
    )


def log_found(found: DetectedSources, mask: WindowedImage, settings: dict[str, Any], hidden_path: str) -> None:
    """Say how many sources were found and dropped, and whether one of them is too large for a galaxy."""
    log.info("%d sources; dropped: %s", len(found.catalogue), found.dropped)
    large = large_segment_warning(found.segments, mask)
    if large:
        log.warning("%s", large)
    if found.hidden:
        done = "added" if settings["second_pass"] == "auto" else f"proposed in {Path(hidden_path).name}"
        behind = ", ".join(str(source.parent) for source in found.hidden)
        log.info("%d sources hidden in the segments of %s, %s", len(found.hidden), behind, done)


if __name__ == "__main__":
    run(main)
