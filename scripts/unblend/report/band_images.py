"""The pixels of the report: each band's image and residual, its place on the sky, every source's own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import shift_to_pixels, sky_jacobian, sky_to_pixel
from ..core.nouns import Template
from ..core.statistics import robust_sigma
from ..images.masks import circles
from ..io.files import read_json
from ..io.images import read_array, read_labels, read_wcs
from ..io.regions import read_regions
from ..io.tables import read_table, read_table_header
from ..io.template_store import read_templates
from .page import base64_of, decimals, numbers
from .panels import PALETTE, panels
from .pixels import bin_factor, binned, levels, png, tile
from .plots import outline

if TYPE_CHECKING:
    from astropy.wcs import WCS

BRIGHT_PERCENT, BLACK_SIGMA = 99.7, (30.0, 300.0)
"""A band is black where all but 0.3 % of its pixels are fainter, in sigma of its noise, within limits."""
ENOUGH_PIXELS = 1_000_000
"""Pixels from which noise and brightness are measured: good to 0.1 %, and no longer than they must be."""
MOSTLY_USED, MARGIN = 0.5, 0.04
"""An image is cut down to its usable part where that is less than half of it; the margin is a fraction of its side."""
PAGE_GRID_TOLERANCE_PIXELS = 0.1
"""Images whose corners agree so well are drawn in one colour image."""


class PageImage:
    """One image as the page shows it: what JSON says of it, its PNG files, and its map from the sky.

    Parameters
    ----------
    data, residual : arrays (ny, nx)
        Less background and constant; NaN where masked.
    wcs : WCS
    shift_arcsec : (float, float)
        Along X, Y: where the light is, less where the sky positions say it is.
    images : int
        How many share the page.
    """

    def __init__(
        self, data: np.ndarray, residual: np.ndarray, wcs: WCS, shift_arcsec: tuple[float, float], images: int
    ):
        self.corner, window = used_part(residual)
        data, residual = data[window], residual[window]
        self.wcs, self.factor = wcs, bin_factor(data.size, images)
        centre = [c + (n - 1) / 2.0 for c, n in zip(self.corner, data.shape, strict=True)]
        self.shift = shift_to_pixels(wcs, shift_arcsec, *centre)
        data, residual = binned(data, self.factor), binned(residual, self.factor)
        step = 1 + int(np.sqrt(residual.size / ENOUGH_PIXELS))
        few = slice(None, None, step), slice(None, None, step)
        sigma = robust_sigma(residual[few])
        self.sigma = sigma if np.isfinite(sigma) and sigma > 0 else 1.0
        self.sigmas = (data / self.sigma, residual / self.sigma)
        self.pngs = {kind: png(levels(v)) for kind, v in zip(("image", "residual"), self.sigmas, strict=True)}
        self.shape = data.shape
        known = data[few][np.isfinite(residual[few]) & np.isfinite(data[few])]
        bright = float(np.percentile(known, BRIGHT_PERCENT)) / self.sigma if known.size else 0.0
        jacobian = sky_jacobian(wcs, *centre) * self.factor
        self.scale = float(np.sqrt(abs(np.linalg.det(jacobian))))
        self.record: dict[str, Any] = {
            "width": self.shape[1],
            "height": self.shape[0],
            "sigma": self.sigma,
            "jacobian": [numbers(row, 7) for row in jacobian],
            "scale": self.scale,
            "high": float(f"{np.clip(bright, *BLACK_SIGMA):.2g}"),
            "binned": self.factor,
        }

    def places(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (y, x) of sky positions in pixels of the page, on the light."""
        y, x = sky_to_pixel(self.wcs, ra, dec)
        return self.to_page(y + self.shift[0], x + self.shift[1])

    def to_page(self, y: Any, x: Any) -> tuple[Any, Any]:
        """Return a position (y, x) in the image in pixels of the page."""
        y0, x0 = self.corner
        return (y - y0 + 0.5) / self.factor - 0.5, (x - x0 + 0.5) / self.factor - 0.5

    def rings(self, circles: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
        """Return circles (y, x, radius) of the image in pixels of the page."""
        return [(*self.to_page(y, x), radius / self.factor) for y, x, radius in circles]

    def tiles(
        self, templates: list[Template], flux: Mapping[int, float], places: Mapping[int, tuple[float, float]],
        side_arcsec: Mapping[int, float],
    ) -> dict[int, list[Any]]:  # fmt: skip
        """Return every source's own light as [y0, x0, PNG], by ID; sources that do not stand out are left out."""
        made = {}
        for template in templates:
            i = template.id
            if not (np.isfinite(flux[i]) and np.isfinite(places[i]).all()) or template.box.is_empty:
                continue
            # Cards turn the sky north up: a turned square needs more than its side.
            half = 0.75 * side_arcsec[i] / self.scale
            moved = replace(template, box=template.box.shifted(-self.corner[0], -self.corner[1]))
            found = tile(moved, flux[i] / self.sigma, self.factor, places[i], half)
            if found is not None:
                made[i] = [found[0], found[1], base64_of(png(found[2]))]
        return made


def used_part(residual: np.ndarray) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Return the corner (y0, x0) and the slices of the part of an image that is worth a look.

    That is all of it, unless most of it is masked, as of an image that reaches far beyond the detection image: then
    the box around the pixels that are not, and a margin.
    """
    rows, columns = (np.flatnonzero(np.isfinite(residual).any(axis=axis)) for axis in (1, 0))
    everything = (0, 0), (slice(0, residual.shape[0]), slice(0, residual.shape[1]))
    if not rows.size:
        return everything
    margin = int(MARGIN * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1
    y0, x0 = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    window = slice(y0, rows[-1] + 1 + margin), slice(x0, columns[-1] + 1 + margin)
    if residual[window].size > MOSTLY_USED * residual.size:
        return everything
    return (int(y0), int(x0)), window


def stack_frame(results: Path, images: int) -> PageImage:
    """Return the stack and what the fits have left of it."""
    stack, left = read_array(str(results / "det_stack.fits")), read_array(str(results / "imfit/det_stack-sub.fits"))
    return PageImage(stack, left, read_wcs(str(results / "det_stack.fits")), (0.0, 0.0), images)


def band_frame(results: Path, band: str, image_path: str, images: int) -> PageImage:
    """Return a band's image, less its background, and its residual."""
    folder = results / "bands" / band
    constant = float(read_table_header(folder / "fluxes.fits")["BACKGR"])  # type: ignore[arg-type]
    data = read_array(image_path) - read_array(str(folder / "background.fits"))
    data -= constant if np.isfinite(constant) else 0.0
    residual = str(folder / "residual.fits")
    dx, dy = read_json(folder / "astrometry.json")["shift_arcsec"]
    # The product's header is short; a user's may hold thousands of cards.
    return PageImage(data, read_array(residual), read_wcs(residual), (dx, dy), images)


def add_sources(
    frame: PageImage, results: Path, band: str | None, sources: np.ndarray, side_arcsec: np.ndarray
) -> None:
    """Add to a frame's record where the sources are, and in a band (not the stack) their own models."""
    y, x = frame.places(sources["ra"], sources["dec"])
    frame.record |= {"y": decimals(y, 2), "x": decimals(x, 2), "tiles": []}
    if band is None:
        return
    folder = results / "bands" / band
    templates, _ = read_templates(folder / "templates.npz")
    fluxes = read_table(folder / "fluxes.fits")
    flux = {int(row["id"]): float(row["flux"]) for row in fluxes}
    ids = [int(i) for i in sources["id"]]
    places = {i: (float(a), float(b)) for i, a, b in zip(ids, y, x, strict=True)}
    shown = [t for t in templates if t.id in places and t.id in flux]
    tiles = frame.tiles(shown, flux, places, dict(zip(ids, map(float, side_arcsec), strict=True)))
    frame.record["tiles"] = [tiles.get(i) for i in ids]


def panels_png(results: Path, band: str, frame: PageImage) -> bytes:
    """Return image, model and residual of a band side by side, masked pixels and Monte Carlo circles drawn."""
    drawn = circles(read_regions(results / "bands" / band / "monte_carlo.reg"), frame.wcs)
    indices = panels(*frame.sigmas, frame.rings(drawn), black=frame.record["high"])
    return png(indices, PALETTE)


def outlines(results: Path, frame: PageImage) -> bytes:
    """Return the borders of the segments on the stack's pixels of the page: 255 on a border."""
    edges = outline(read_labels(str(results / "det_seg.fits"))).astype(float)
    return png(np.where(np.nan_to_num(binned(edges, frame.factor)) > 0, 255, 0).astype(np.uint8))


def same_grid(first: PageImage, second: PageImage) -> bool:
    """Whether two images lie on one pixel grid."""
    if (first.shape, first.factor, first.corner) != (second.shape, second.factor, second.corner):
        return False
    ny, nx = first.shape
    y, x = np.array([0.0, 0.0, ny, ny]) * first.factor, np.array([0.0, nx, 0.0, nx]) * first.factor
    ra, dec = first.wcs.all_pix2world(x, y, 0)
    other_y, other_x = sky_to_pixel(second.wcs, ra, dec)
    return bool(np.all(np.hypot(other_y - y, other_x - x) < PAGE_GRID_TOLERANCE_PIXELS))
