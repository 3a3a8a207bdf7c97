"""The images of the report: image and residual of each band with positions of sources, and the models of sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import shift_to_pixels, sky_jacobian, sky_to_pixel, to_grid
from ..core.shift_field import ShiftField
from ..core.statistics import robust_sigma
from ..core.types import Template
from ..field.adopted_templates import adopted_templates
from ..field.failed_band import PRODUCTS, failure_in
from ..field.fitted_background import fitted_background
from ..images.masks import circles
from ..io.files import read_json
from ..io.images import read_array, read_labels, read_wcs
from ..io.regions import read_regions
from ..io.tables import read_table
from .page import base64_of, decimals, numbers
from .panels import PALETTE, panels
from .pixels import bin_factor, binned, levels, png, single_precision, tile
from .plots import outline

if TYPE_CHECKING:
    from astropy.wcs import WCS

BLACK_PERCENTILE, BLACK_SIGMA = 99.7, (30.0, 300.0)
"""Percentile of the pixels that is shown black, and the limits of this level in sigma of the noise."""
SAMPLE_PIXELS = 1_000_000
"""Number of pixels from which noise and brightness are measured: the noise is then known to 0.1 %."""
MIN_USED_FRACTION, MARGIN_FRACTION = 0.5, 0.04
"""An image is cropped to its unmasked part if that is less than this fraction of it, with a margin in units of its
side."""
PAGE_GRID_TOLERANCE_PIXELS = 0.1
"""Images whose corners agree to this many pixels are combined in one colour image."""


@dataclass(frozen=True)
class PageImage:
    """One image of the page, cropped and binned.

    Parameters
    ----------
    wcs : WCS
        WCS of the original image.
    corner : (y0, x0)
        First pixel of the cropped image.
    factor : int
        Binning: image pixels per page pixel along each axis.
    shift : (dy, dx)
        Image pixels to be added to a position from the sky to arrive at the source.
    sigma : float
        Noise of a binned pixel, image units.
    image, residual : arrays (ny, nx)
        In units of `sigma`; the residual is NaN where masked.
    scale : float
        Size of a page pixel in arcsec.
    pngs : mapping of str to bytes
        PNG files of "image" and "residual".
    record : dict
        Content of the page's JSON.
    shift_field : ShiftField or None
        A shift that varies over the image, in addition to `shift`.
    """

    wcs: WCS
    corner: tuple[int, int]
    factor: int
    shift: tuple[float, float]
    sigma: float
    image: np.ndarray
    residual: np.ndarray
    scale: float
    pngs: Mapping[str, bytes]
    record: dict[str, Any]
    shift_field: ShiftField | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (ny, nx) in page pixels."""
        return self.record["height"], self.record["width"]

    def positions(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions (y, x) of sources in page pixels, including the band's shift."""
        y, x = sky_to_pixel(self.wcs, ra, dec)
        dy, dx = (0.0, 0.0) if self.shift_field is None else self.shift_field.values(y, x)
        return self.to_page(y + dy + self.shift[0], x + dx + self.shift[1])

    def to_page(self, y: Any, x: Any) -> tuple[Any, Any]:
        """Convert a position (y, x) from image pixels to page pixels."""
        y0, x0 = self.corner
        return (y - y0 + 0.5) / self.factor - 0.5, (x - x0 + 0.5) / self.factor - 0.5

    def from_page(self, y: Any, x: Any) -> tuple[Any, Any]:
        """Convert a position (y, x) from page pixels to image pixels."""
        y0, x0 = self.corner
        return (y + 0.5) * self.factor - 0.5 + y0, (x + 0.5) * self.factor - 0.5 + x0

    def page_circles(self, circles: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
        """Convert circles (y, x, radius) from image pixels to page pixels."""
        return [(*self.to_page(y, x), radius / self.factor) for y, x, radius in circles]

    def tiles(
        self, templates: list[Template], flux: Mapping[int, float], positions: Mapping[int, tuple[float, float]],
        side_arcsec: Mapping[int, float],
    ) -> dict[int, list[Any]]:  # fmt: skip
        """Return the model of each source as [y0, x0, PNG] by ID, without sources that are invisible in the noise.

        Parameters
        ----------
        templates : list of Template
            On the grid of the original image.
        flux, positions, side_arcsec : mappings by ID
            Flux in image units, (y, x) in page pixels, and side of the source's card in arcsec.
        """
        tiles = {}
        for template in templates:
            i = template.id
            if not (np.isfinite(flux[i]) and np.isfinite(positions[i]).all()) or template.box.is_empty:
                continue
            # Cards show north up: for a rotated image they need more than their side.
            half = 0.75 * side_arcsec[i] / self.scale
            moved = replace(template, box=template.box.shifted(-self.corner[0], -self.corner[1]))
            found = tile(moved, flux[i] / self.sigma, self.factor, positions[i], half)
            if found is not None:
                tiles[i] = [found[0], found[1], base64_of(png(found[2]))]
        return tiles


def page_image(
    data: np.ndarray, residual: np.ndarray, wcs: WCS, shift_arcsec: tuple[float, float], images: int
) -> PageImage:
    """Crop, bin and encode an image for the page.

    Parameters
    ----------
    data, residual : arrays (ny, nx)
        Without background; the residual is NaN where masked.
    wcs : WCS
    shift_arcsec : (x, y)
        Shift of the band along image X, Y.
    images : int
        Number of images on the page, which determines the binning.
    """
    corner, window = used_part(residual)
    data, residual = data[window], residual[window]
    factor = bin_factor(data.size, images)
    place = Placed(wcs, corner, data.shape, factor)
    data, residual = binned(data, factor), binned(residual, factor)
    sigma, black = noise_and_black_level(data, residual)
    # in single precision: those of all bands are held until the page is written
    image, residual = (single_precision(values / sigma) for values in (data, residual))
    return place.page_image(
        image, residual, sigma, black, shift_arcsec, {"image": png(levels(image)), "residual": png(levels(residual))}
    )


@dataclass(frozen=True)
class Placed:
    """Where the cropped image of a page lies: its original WCS, first pixel, shape in image pixels, and binning."""

    wcs: WCS
    corner: tuple[int, int]
    shape: tuple[int, ...]
    factor: int

    def page_image(
        self, image: np.ndarray, residual: np.ndarray, sigma: float, black: float, shift_arcsec: tuple[float, float],
        pngs: Mapping[str, bytes],
    ) -> PageImage:  # fmt: skip
        """Return the image of the page.

        Parameters
        ----------
        image, residual : arrays
            In units of `sigma`.
        sigma : float
            Noise of a page pixel, image units.
        black : float
            Level that is shown black, in units of `sigma`.
        shift_arcsec : (x, y)
        pngs : mapping of str to bytes
        """
        centre = [c + (n - 1) / 2.0 for c, n in zip(self.corner, self.shape, strict=True)]
        jacobian = sky_jacobian(self.wcs, *centre) * self.factor
        scale = float(np.sqrt(abs(np.linalg.det(jacobian))))
        record: dict[str, Any] = {
            "width": -(-self.shape[1] // self.factor),
            "height": -(-self.shape[0] // self.factor),
            "sigma": sigma,
            "jacobian": [numbers(row, 7) for row in jacobian],
            "scale": scale,
            "high": black,
            "binned": self.factor,
            "corner": list(self.corner),
        }
        return PageImage(
            wcs=self.wcs,
            corner=self.corner,
            factor=self.factor,
            shift=shift_to_pixels(self.wcs, shift_arcsec, *centre),
            sigma=sigma,
            image=image,
            residual=residual,
            scale=scale,
            pngs=pngs,
            record=record,
        )


def noise_and_black_level(data: np.ndarray, residual: np.ndarray) -> tuple[float, float]:
    """Return the noise of a pixel, and the level that is shown black in units of it."""
    step = 1 + int(np.sqrt(residual.size / SAMPLE_PIXELS))
    sample = slice(None, None, step), slice(None, None, step)
    sigma = robust_sigma(residual[sample])
    sigma = sigma if np.isfinite(sigma) and sigma > 0 else 1.0
    known = data[sample][np.isfinite(residual[sample]) & np.isfinite(data[sample])]
    bright = float(np.percentile(known, BLACK_PERCENTILE)) / sigma if known.size else 0.0
    return sigma, float(f"{np.clip(bright, *BLACK_SIGMA):.2g}")


def used_part(residual: np.ndarray) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Return the corner (y0, x0) and the slices of the part of an image that is shown.

    It is the whole image unless most of it is masked, as for an image much larger than the detection image: then it is
    the box around the unmasked pixels, with a margin.
    """
    known = np.isfinite(residual)
    return used_window(known.any(axis=1), known.any(axis=0))


def used_window(known_rows: np.ndarray, known_columns: np.ndarray) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Return what `used_part` does, from whether the rows and the columns of the image have any unmasked pixel."""
    shape = known_rows.size, known_columns.size
    rows, columns = np.flatnonzero(known_rows), np.flatnonzero(known_columns)
    everything = (0, 0), (slice(0, shape[0]), slice(0, shape[1]))
    if not rows.size:
        return everything
    margin = int(MARGIN_FRACTION * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1
    y0, x0 = (int(max(known[0] - margin, 0)) for known in (rows, columns))
    y1, x1 = (int(min(known[-1] + 1 + margin, n)) for known, n in zip((rows, columns), shape, strict=True))
    if (y1 - y0) * (x1 - x0) > MIN_USED_FRACTION * shape[0] * shape[1]:
        return everything
    return (y0, x0), (slice(y0, y1), slice(x0, x1))


def read_stack_image(results: Path, images: int) -> PageImage:
    """Return the stack of the detection images and its residual after subtraction of the fitted models."""
    stack, residual = read_array(str(results / "det_stack.fits")), read_array(str(results / "imfit/det_stack-sub.fits"))
    return page_image(stack, residual, read_wcs(str(results / "det_stack.fits")), (0.0, 0.0), images)


def read_band_image(results: Path, band: str, image_path: str, images: int) -> PageImage:
    """Return the image of a band without its background, and its residual.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : str
    image_path : str
        The band's cutout.
    images : int
        Number of images on the page.
    """
    folder = results / "bands" / band
    data = read_array(str(folder / "background.fits"))
    # the image of a band without fluxes may be a file that cannot be read
    failed = any(failure_in(folder / name) for name in PRODUCTS)
    data = np.full(data.shape, np.nan) if failed else read_array(image_path) - data
    data -= np.nan_to_num(fitted_background(folder, data.shape))
    residual = str(folder / "residual.fits")
    found = read_json(folder / "astrometry.json")
    dx, dy = found["shift_arcsec"]
    # The header of the residual is short; that of the user's image may have thousands of cards.
    image = page_image(data, read_array(residual), read_wcs(residual), (dx, dy), images)
    return replace(image, shift_field=ShiftField.from_json(found["field"])) if found.get("field") else image


def add_sources(
    image: PageImage, results: Path, band: str | None, sources: np.ndarray, side_arcsec: np.ndarray
) -> None:
    """Add the positions of the sources to the record of an image, and for a band the models of the sources.

    Parameters
    ----------
    image : PageImage
    results : Path
        Folder of the products.
    band : str or None
        None for the stack.
    sources : structured array (n,)
        Columns id, ra, dec.
    side_arcsec : array (n,)
        Side of each source's card.
    """
    y, x = image.positions(sources["ra"], sources["dec"])
    image.record.update({"y": decimals(y, 2), "x": decimals(x, 2), "tiles": []})
    if band is None:
        return
    folder = results / "bands" / band
    templates = adopted_templates(folder)
    fluxes = read_table(folder / "fluxes.fits")
    flux = {int(row["id"]): float(row["flux"]) for row in fluxes}
    ids = [int(i) for i in sources["id"]]
    positions = {i: (float(a), float(b)) for i, a, b in zip(ids, y, x, strict=True)}
    shown = [t for t in templates if t.id in positions and t.id in flux]
    tiles = image.tiles(shown, flux, positions, dict(zip(ids, map(float, side_arcsec), strict=True)))
    image.record["tiles"] = [tiles.get(i) for i in ids]


def panels_png(results: Path, band: str, image: PageImage) -> bytes:
    """Return image, model and residual of a band side by side as a PNG, with masked pixels and Monte Carlo circles.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : str
    image : PageImage
    """
    drawn = circles(read_regions(results / "bands" / band / "monte_carlo.reg"), image.wcs)
    indices = panels(image.image, image.residual, image.page_circles(drawn), black=image.record["high"])
    return png(indices, PALETTE)


def outlines(results: Path, image: PageImage) -> bytes:
    """Return the borders of the segments on the page pixels of the stack as a PNG: 255 on a border."""
    edges = outline(read_labels(str(results / "det_seg.fits"))).astype(np.float32)
    return png(np.where(binned(edges, image.factor) > 0, 255, 0).astype(np.uint8))


def same_page_pixels(first: PageImage, second: PageImage) -> bool:
    """Return whether both images share one pixel grid."""
    if (first.shape, first.factor, first.corner) != (second.shape, second.factor, second.corner):
        return False
    ny, nx = first.shape
    y, x = np.array([0.0, 0.0, ny, ny]) * first.factor, np.array([0.0, nx, 0.0, nx]) * first.factor
    other_y, other_x = to_grid(first.wcs, second.wcs, y, x)
    return bool(np.all(np.hypot(other_y - y, other_x - x) < PAGE_GRID_TOLERANCE_PIXELS))
