"""The sources that only one band shows, as products of the band: a table, DS9 regions and their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import offset_arcsec
from ..core.types import Region, Template
from ..images.sky_regions import sky_circle
from ..io.images import read_header
from ..io.regions import write_regions
from ..io.tables import columns, read_table, write_table
from ..io.template_store import read_templates, write_templates
from ..models.point_templates import sky_of
from ..models.templates import TemplateEngine
from ..photometry.linear_system import model_image
from .tiled_band import TiledBand, moved_template

if TYPE_CHECKING:
    from ..photometry.band_only_sources import BandOnlySources

TABLE, REGIONS, TEMPLATES = "band_only.fits", "band_only.reg", "band_only.npz"
"""Files in the folder of a band."""
UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix", "nearest_arcsec": "arcsec"}


def write_band_only(
    folder: Path,
    sources: BandOnlySources,
    engine: TemplateEngine,
    measured: Mapping[str, np.ndarray],
    detected: np.ndarray,
    *,
    fwhm: float,
    band: str,
) -> None:
    """Write the table, the regions and the templates of a band's own sources.

    Parameters
    ----------
    folder : Path
        Of the band's products.
    sources : BandOnlySources
    engine : TemplateEngine
        Of the band.
    measured : mapping
        `flux`, `flux_err` and `flag`, arrays (k,): image units and bits of `Flag`.
    detected : structured array
        Columns id, ra, dec of the catalogue's sources.
    fwhm : float
        Of the PSF in pixels: the radius of the regions.
    band : str
    """
    sky = [sky_of(engine, y, x) for y, x in zip(sources.y, sources.x, strict=True)]
    ra, dec = np.array(sky, dtype=float).reshape(-1, 2).T
    nearest, distance = _nearest(ra, dec, detected)
    table = columns(
        id=-np.arange(1, len(sources) + 1), ra=ra, dec=dec, x=sources.x + 1.0, y=sources.y + 1.0,
        flux=measured["flux"], flux_err=measured["flux_err"], snr=sources.snr, nearest_id=nearest,
        nearest_arcsec=distance, flag=measured["flag"],
    )  # fmt: skip
    drawn = [
        sky_circle(engine.wcs, float(y), float(x), fwhm, f"own {k}")
        for k, (y, x) in enumerate(zip(sources.y, sources.x, strict=True), start=1)
    ]
    _write(folder, table, drawn, sources.templates, band)


def join_band_only(band: TiledBand, detected: np.ndarray, name: str) -> int:
    """Write the products of a band from those of its tiles, each source from the tile in which it lies.

    Parameters
    ----------
    band : TiledBand
    detected : structured array
        Columns id, ra, dec of the catalogue's sources.
    name : str
        Of the band.

    Returns
    -------
    int
        Their number.
    """
    found, radius = [], []
    for k, tile in enumerate(band.tiles):
        folder = band.folder_of(tile)
        rows, (templates, _) = read_table(folder / TABLE), read_templates(folder / TEMPLATES)
        rows["y"], rows["x"] = rows["y"] + tile.window.y0, rows["x"] + tile.window.x0
        stamps = {template.id: template for template in templates}
        mine = band.owner(rows["y"] - 1.0, rows["x"] - 1.0) == k
        found += [(row, moved_template(stamps[int(row["id"])], tile)) for row in rows[mine]]
        radius.append(float(read_header(str(folder / "psf.fits"))["FWHM"]))  # type: ignore[arg-type]
    found.sort(key=lambda pair: (-pair[0]["flux"], pair[0]["y"], pair[0]["x"]))
    empty = read_table(band.folder_of(band.tiles[0]) / TABLE)[:0]
    table = np.array([row for row, _ in found], dtype=empty.dtype) if found else empty
    table["id"] = -np.arange(1, len(table) + 1)
    table["nearest_id"], table["nearest_arcsec"] = _nearest(table["ra"], table["dec"], detected)
    fwhm = float(np.median(radius))
    circles = [
        sky_circle(band.wcs, row["y"] - 1.0, row["x"] - 1.0, fwhm, f"own {k}") for k, row in enumerate(table, start=1)
    ]
    stamps_in_order = [replace(stamp, id=-k) for k, (_, stamp) in enumerate(found, start=1)]
    _write(band.folder, table, circles, stamps_in_order, name)
    return len(table)


def _write(folder: Path, table: np.ndarray, circles: list[Region], templates: list[Template], band: str) -> None:
    """Write table, regions and templates of a band's own sources."""
    write_table(folder / TABLE, table, units=UNITS, header={"BAND": band}, name="BAND_ONLY")
    write_regions(folder / REGIONS, circles, color="magenta", remarks=[
        f"Sources that only {band} shows, fitted as points together with all others: see {TABLE}.",
        "To detect one, draw it in det_manual.reg."])  # fmt: skip
    write_templates(folder / TEMPLATES, templates, {t.id: "" for t in templates})


def _nearest(ra: np.ndarray, dec: np.ndarray, detected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ID and distance in arcsec of the catalogue's source nearest to each position; 0 and NaN without any."""
    if not len(detected):
        return np.zeros(len(ra), dtype=int), np.full(len(ra), np.nan)
    found = np.zeros((len(ra), 2))
    for k in range(len(ra)):
        distance = np.hypot(*offset_arcsec(detected["ra"], detected["dec"], float(ra[k]), float(dec[k])))
        row = int(np.argmin(distance))
        found[k] = row, distance[row]
    return detected["id"][found[:, 0].astype(int)], found[:, 1]


def write_no_band_only(folder: Path, band: str) -> None:
    """Write the products of a band without sources of its own."""
    names = ("ra", "dec", "x", "y", "flux", "flux_err", "snr", "nearest_id", "nearest_arcsec", "flag")
    empty = {name: np.zeros(0, dtype=int if name in ("nearest_id", "flag") else float) for name in names}
    table = columns(id=np.zeros(0, dtype=int), **empty)
    write_table(folder / TABLE, table, units=UNITS, header={"BAND": band}, name="BAND_ONLY")
    write_regions(folder / REGIONS, [], color="magenta")
    write_templates(folder / TEMPLATES, [], {})


def read_band_only(folder: Path) -> tuple[list[Template], np.ndarray]:
    """Return the templates of a band's own sources and their fluxes (k,) in image units.

    Raises
    ------
    OSError
        A file is missing or damaged.
    InputError
        The table is missing or damaged.
    """
    templates, _ = read_templates(folder / TEMPLATES)
    fluxes = {int(row["id"]): float(row["flux"]) for row in read_table(folder / TABLE)}
    return templates, np.array([fluxes[template.id] for template in templates])


def band_only_light(folder: Path, shape: Sequence[int]) -> np.ndarray:
    """Return the light of a band's own sources on its image, shape (ny, nx), image units."""
    templates, flux = read_band_only(folder)
    return model_image(templates, flux, tuple(shape))
