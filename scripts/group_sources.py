"""Decide which sources are fitted together, and which pixels each fit depends on."""

from __future__ import annotations

import logging

import numpy as np
from unblend.core.coordinates import pixel_scale
from unblend.core.errors import InputError
from unblend.core.strips import Derived
from unblend.core.types import Box
from unblend.fits.groups import group_digest, group_sources
from unblend.fits.sky_level import surrounding_sky
from unblend.fits.smoothed_noise import smoothing_width
from unblend.images.masks import grow_mask, region_mask
from unblend.images.sky_regions import sky_box
from unblend.io.files import digest_of, file_digest, read_json, write_json
from unblend.io.images import ROWS_AT_ONCE, read_shape, read_wcs, write_strips
from unblend.io.open_images import OpenImage, open_image, open_labels
from unblend.io.regions import read_regions, write_regions
from unblend.io.tables import read_sources
from unblend.photometry.correlated_noise import autocorrelation
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.groups")
AWAY_PIXELS = 10.0
NOISE_SIDE = 2048
"""Side in pixels of the part of a large image from which the correlation of the noise is measured."""


def main(spec_path: str, stack_path: str, error_path: str, segments_path: str, automatic_segments_path: str,
         catalogue_path: str, psf_path: str, groups_path: str, mask_path: str,
         regions_path: str) -> None:  # fmt: skip
    """Write groups.json, the mask of the fits, and the cutouts as DS9 regions."""
    spec = read_json(spec_path)
    wcs = read_wcs(stack_path)
    with open_image(stack_path) as stack, open_image(error_path) as error, open_labels(segments_path) as segments, \
            open_labels(automatic_segments_path) as old:  # fmt: skip
        drawn = region_mask(read_regions(spec["bad_regions"]["file"]), wcs, stack.shape)
        groups = group_sources(
            segments,
            read_sources(catalogue_path),
            pixel_scale_arcsec=pixel_scale(wcs, stack.shape),
            psf_side=read_shape(psf_path)[0],
            fit_alone=spec["requested"]["alone"],
            fit_together=spec["requested"]["together"],
            by_flux=spec["own_ids"],
        )
        log.info("%d sources in %d groups", sum(len(g.members) for g in groups), len(groups))
        usable = Derived(stack.shape, lambda at: np.where(drawn[at], np.nan, stack[at]))
        # What is masked cannot matter to a fit: it must not matter to its digest.
        noise = Derived(stack.shape, lambda at: np.where(np.isfinite(usable[at]), error[at], np.inf))
        smoothed = smoothing(stack, noise, segments)
        content = {}
        for g in groups:
            # segments before the user's edits: an edit does not change the sky of the groups around it
            sky = surrounding_sky(usable, noise, old, g.box, smoothed)
            content[str(g.main)] = {
                "members": list(g.members),
                "box": [g.box.y0, g.box.x0, g.box.y1, g.box.x1],
                "neighbours": list(g.neighbours),
                "sky": None if sky is None else sky.to_list(),
                "digest": group_digest(usable, noise, segments, g, sky),
            }
        rows = Box.of_shape(drawn.shape).strips(ROWS_AT_ONCE)
        masks = (drawn[strip.slices] | ~np.isfinite(stack[strip.slices]) for strip in rows)
        write_strips(mask_path, drawn.shape, "u1", masks, wcs=wcs)
    cutouts = [sky_box(wcs, g.box, f"{g.main}: {' '.join(map(str, g.members))}") for g in groups]
    write_regions(regions_path, cutouts, color="cyan", remarks=["Fit groups: the cutout of each, main source: members"])
    grid = digest_of(wcs.to_header_string(relax=True))
    common = {"psf": file_digest(psf_path), "grid": grid, "shape": list(drawn.shape), "smoothing": smoothed}
    write_json(groups_path, {**common, "groups": content})
    record_work("groups", "all")


def smoothing(stack: OpenImage, error: Derived, segments: OpenImage) -> float:
    """Return how far the noise of the stack is correlated, away from sources, in the middle of a large image."""
    middle = Box.of_shape(stack.shape).middle(NOISE_SIDE).slices
    near = grow_mask(segments[middle] > 0, AWAY_PIXELS)
    noise = error[middle]
    weight = np.where(np.isfinite(noise) & (noise > 0), noise, np.inf) ** -2.0
    try:
        correlation, _ = autocorrelation(stack[middle], weight, near, max_lag=1)
    except InputError:
        return 0.0
    width = smoothing_width(correlation)
    log.info("noise of the stack: neighbours correlated by %.2f, smoothed by %.2f pixels", correlation[1, 2], width)
    return width


if __name__ == "__main__":
    run(main)
