"""Decide which sources are fitted together, and which pixels each fit depends on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from unblend.core.coordinates import pixel_scale
from unblend.core.errors import InputError
from unblend.core.strips import Derived
from unblend.core.types import Box, FitGroup
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
from unblend.run.workers import in_shares

log = logging.getLogger("unblend.groups")
AWAY_PIXELS = 10.0
NOISE_SIDE = 2048
"""Side in pixels of the part of a large image from which the correlation of the noise is measured."""


def main(spec_path: str, stack_path: str, error_path: str, segments_path: str, automatic_segments_path: str,
         catalogue_path: str, psf_path: str, groups_path: str, mask_path: str,
         regions_path: str, workers: int = 1) -> None:  # fmt: skip
    """Write groups.json, the mask of the fits, and the cutouts as DS9 regions."""
    spec = read_json(spec_path)
    wcs = read_wcs(stack_path)
    # segments before the user's edits: an edit does not change the sky of the groups around it
    paths = Paths(stack_path, error_path, segments_path, automatic_segments_path)
    drawn = region_mask(read_regions(spec["bad_regions"]["file"]), wcs, read_shape(stack_path))
    with opened(paths, drawn) as images:
        groups = group_sources(
            images.segments,
            read_sources(catalogue_path),
            pixel_scale_arcsec=pixel_scale(wcs, drawn.shape),
            psf_side=read_shape(psf_path)[0],
            fit_alone=spec["requested"]["alone"],
            fit_together=spec["requested"]["together"],
            by_flux=spec["own_ids"],
        )
        log.info("%d sources in %d groups", sum(len(g.members) for g in groups), len(groups))
        smoothed = smoothing(images)
        rows = Box.of_shape(drawn.shape).strips(ROWS_AT_ONCE)
        masks = (~np.isfinite(images.usable[strip.slices]) for strip in rows)
        write_strips(mask_path, drawn.shape, "u1", masks, wcs=wcs)
    content = dict(in_shares(partial(contents, paths, drawn, smoothed), groups, workers))
    cutouts = [sky_box(wcs, g.box, f"{g.main}: {' '.join(map(str, g.members))}") for g in groups]
    write_regions(regions_path, cutouts, color="cyan", remarks=["Fit groups: the cutout of each, main source: members"])
    grid = digest_of(wcs.to_header_string(relax=True))
    common = {"psf": file_digest(psf_path), "grid": grid, "shape": list(drawn.shape), "smoothing": smoothed}
    write_json(groups_path, {**common, "groups": content})
    record_work("groups", "all")


class Paths(NamedTuple):
    """The images on which groups depend."""

    stack: str
    error: str
    segments: str
    automatic_segments: str


@dataclass(frozen=True)
class Images:
    """These images, open; what the user has masked is NaN in the stack and infinite in its error."""

    usable: Derived
    noise: Derived
    segments: OpenImage
    automatic_segments: OpenImage


@contextmanager
def opened(paths: Paths, drawn: np.ndarray) -> Iterator[Images]:
    """Open the images; `drawn` is True where the user has masked them, bool array (ny, nx)."""
    with open_image(paths.stack) as stack, open_image(paths.error) as error, \
            open_labels(paths.segments) as segments, open_labels(paths.automatic_segments) as automatic:  # fmt: skip
        usable = Derived(stack.shape, lambda at: np.where(drawn[at], np.nan, stack[at]))
        # What is masked cannot matter to a fit: it must not matter to its digest.
        noise = Derived(stack.shape, lambda at: np.where(np.isfinite(usable[at]), error[at], np.inf))
        yield Images(usable, noise, segments, automatic)


def contents(
    paths: Paths, drawn: np.ndarray, smoothed: float, groups: Sequence[FitGroup]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the name of each group and its part of groups.json."""
    found = []
    with opened(paths, drawn) as images:
        for g in groups:
            sky = surrounding_sky(images.usable, images.noise, images.automatic_segments, g.box, smoothed)
            part = {
                "members": list(g.members),
                "box": [g.box.y0, g.box.x0, g.box.y1, g.box.x1],
                "neighbours": list(g.neighbours),
                "sky": None if sky is None else sky.to_list(),
                "digest": group_digest(images.usable, images.noise, images.segments, g, sky),
            }
            found.append((str(g.main), part))
    return found


def smoothing(images: Images) -> float:
    """Return how far the noise of the stack is correlated, away from sources, in the middle of a large image."""
    middle = Box.of_shape(images.usable.shape).middle(NOISE_SIDE).slices
    near = grow_mask(images.segments[middle] > 0, AWAY_PIXELS)
    noise = images.noise[middle]
    weight = np.where(np.isfinite(noise) & (noise > 0), noise, np.inf) ** -2.0
    try:
        correlation, _ = autocorrelation(images.usable[middle], weight, near, max_lag=1)
    except InputError:
        return 0.0
    width = smoothing_width(correlation)
    log.info("noise of the stack: neighbours correlated by %.2f, smoothed by %.2f pixels", correlation[1, 2], width)
    return width


if __name__ == "__main__":
    run(main)
