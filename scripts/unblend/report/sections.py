"""The numbers of the report, read from the products of a field: sources, bands, fits, run times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.coordinates import axis_scales
from ..core.flags import SENTENCES, Flag, names
from ..field.fitted_background import background_terms
from ..images.masks import circles
from ..io.files import read_json
from ..io.images import read_header
from ..io.regions import read_regions
from ..io.tables import read_table, read_table_header
from ..photometry.catalogue import KINDS
from .band_images import PageImage
from .page import Column, decimals, numbers
from .summary import depth_of, number_counts

FITTED = ("n", "r_e_arcsec", "ell", "pa", "n_err", "r_e_err", "ell_err", "pa_err", "chi2_red", "chi2_red_group")
BIN_SIGMA, HISTOGRAM_SIGMA = 0.25, 5.0
"""Bin width and limit of the Monte Carlo histogram in formal errors; the outer bins include everything beyond."""
MIN_SIDE_ARCSEC, MAX_SIDE_ARCSEC = 5.0, 40.0
"""Smallest and largest side of a source's stamps in arcsec, unless the broadest PSF needs more."""
FIELD_ARROWS = 8
"""Number of places along the longer side of an image at which its field of shifts is drawn."""
SUMMARY_SNR = 5.0
"""The summary and the table of the bands count the sources with a larger signal-to-noise ratio."""
ROWS_AT_ONCE = 5000
"""Sources of the Monte Carlo whose histogram is computed at once."""
COLOUR_SNR = 10.0
"""Smallest signal-to-noise ratio of the sources whose median colour is white in the colour image."""


def flag_list() -> list[dict[str, Any]]:
    """Return bit, name and description of all flags."""
    return [{"bit": int(flag), "name": names(int(flag))[0], "sentence": SENTENCES[flag]} for flag in Flag]


def target_of(results: Path, bands: Sequence[str]) -> int | None:
    """Return the ID of the target from the products of the bands; None if there is none."""
    for band in bands:
        header = read_header(str(results / "bands" / band / "neighbours-removed.fits"))
        if "TARGET" in header:
            return int(header["TARGET"])  # type: ignore[call-overload]
    return None


def card_sides(results: Path, catalogue: np.ndarray, scale_arcsec: float, bands: Mapping[str, float]) -> np.ndarray:
    """Return the side of each source's stamps in arcsec, wide enough for the source and for the broadest PSF.

    Parameters
    ----------
    results : Path
        Folder of the products.
    catalogue : structured array (n,)
    scale_arcsec : float
        Pixel size of the detection image.
    bands : mapping of str to float
        Pixel size of each band in arcsec.
    """
    widths = [
        float(read_header(str(results / "bands" / band / "psf.fits"))["FWHM"]) * scale  # type: ignore[arg-type]
        for band, scale in bands.items()
    ]
    radius = np.sqrt(catalogue["area"] / np.pi) * scale_arcsec
    smallest = max([MIN_SIDE_ARCSEC, *(6.0 * width for width in widths if np.isfinite(width))])
    return np.clip(5.0 * radius, smallest, max(smallest, MAX_SIDE_ARCSEC))


def source_columns(results: Path, catalogue: np.ndarray, sides: np.ndarray) -> dict[str, Column]:
    """Return the properties of all sources except their fluxes by column, in the order of the catalogue.

    Parameters
    ----------
    results : Path
        Folder of the products.
    catalogue : structured array (n,)
    sides : array (n,)
        Side of each source's stamps in arcsec.
    """
    fits, detected = read_table(results / "imfit/sersic.fits"), read_table(results / "det_cat.fits")
    fit_rows, detection_rows = rows_in_order(fits, catalogue["id"]), rows_in_order(detected, catalogue["id"])
    columns = {name: Column(catalogue[name]) for name in ("id", "area", "flag")}
    columns |= {name: Column(catalogue[name], places=6) for name in ("ra", "dec")}
    columns |= {name: Column(fits[name][fit_rows], 4) for name in FITTED}
    # The fit is in pixels of the stack: this is the pixel size in arcsec.
    ratio = fits["r_e_arcsec"][fit_rows] / fits["r_e"][fit_rows]
    columns["r_e_err"] = Column(fits["r_e_err"][fit_rows] * ratio, 4)
    columns |= {name: Column(fits[name][fit_rows]) for name in ("group", "functions")}
    columns |= {name: Column(detected[name][detection_rows], places=2) for name in ("a", "b", "theta")}
    columns["side"] = Column(sides, places=2)
    if "ebv" in (catalogue.dtype.names or ()):
        columns["ebv"] = Column(catalogue["ebv"], places=3)
    return columns


def rows_in_order(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the rows of a table in the order of `ids`."""
    rows = {int(i): row for row, i in enumerate(table["id"])}
    return np.array([rows[int(i)] for i in ids], dtype=int)


def flux_columns(catalogue: np.ndarray, fluxes: np.ndarray, band: str) -> dict[str, Column]:
    """Return what was measured of all sources in a band by column, in the order of the catalogue.

    Parameters
    ----------
    catalogue : structured array (n,)
    fluxes : structured array (n,)
        The band's fluxes.fits.
    band : str
    """
    rows = rows_in_order(fluxes, catalogue["id"])
    flux, error = catalogue[f"flux_{band}"], catalogue[f"err_{band}"]
    columns = {
        "flux": Column(flux),
        "err": Column(error, 4),
        "snr": Column(np.divide(flux, error, out=np.full(len(flux), np.nan), where=error > 0), 4),
        "mag": Column(catalogue[f"mag_{band}"], places=3),
        "mag_err": Column(catalogue[f"mag_err_{band}"], places=3),
        "limit": Column(catalogue[f"mag_limit_{band}"], places=2),
        "aperture": Column(catalogue[f"ap_flux_{band}"], 4),
        "aperture_err": Column(catalogue[f"ap_err_{band}"], 3),
        "formal": Column(catalogue[f"err_formal_{band}"], 4),
        "sim": Column(catalogue[f"err_sim_{band}"], 4),
        **{kind: Column(catalogue[f"err_{kind}_{band}"], 4) for kind in KINDS},
        "flag": Column(catalogue[f"flag_{band}"]),
        "worst": Column(fluxes["worst_neighbour"][rows]),
        "correlation": Column(fluxes["correlation"][rows], places=2),
    }
    if f"flux_{band}_ujy" in (catalogue.dtype.names or ()):
        columns["ujy"] = Column(catalogue[f"flux_{band}_ujy"])
        columns["err_ujy"] = Column(catalogue[f"err_{band}_ujy"], 4)
    if f"a_{band}" in (catalogue.dtype.names or ()):
        columns["extinction"] = Column(catalogue[f"a_{band}"], places=3)
    return columns


def band_numbers(
    results: Path, band: str, fluxes: np.ndarray, columns: Mapping[str, Column], image: PageImage, target: int | None,
    catalogue_header: Mapping[str, object],
) -> dict[str, Any]:  # fmt: skip
    """Return the noise and PSF (FWHM in pixels) of a band, the results of its Monte Carlo and its shift search.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : str
    fluxes : structured array (n,)
        The band's fluxes.fits.
    columns : mapping of str to Column
        From `flux_columns`.
    image : PageImage
        The band's image on the page.
    target : int or None
        ID of the target.
    catalogue_header : mapping
        Header of catalogue.fits, which is long where there are many bands.
    """
    folder = results / "bands" / band
    header = read_table_header(folder / "fluxes.fits")
    cards = {"rms": "RMS", "lag": "LAG1", "background": "BACKGR", "masked_fraction": "LEFTOUT"}
    noise: dict[str, Any] = {key: _finite_number(header.get(name)) for key, name in cards.items()}
    # a constant needs no list of its terms
    noise["terms"] = [
        [i, j, _finite_number(value), _finite_number(error)]
        for i, j, value, error in background_terms(header)
        if header["BGORDER"]
    ]
    psf, zero_point = (
        read_header(str(folder / "psf.fits")),
        zero_point_of(catalogue_header, band),
    )
    simulated = monte_carlo_numbers(folder, fluxes, target)
    drawn = image.page_circles(circles(read_regions(folder / "monte_carlo.reg"), image.wcs))
    return {
        "above": int(np.count_nonzero(columns["snr"].values > SUMMARY_SNR)),
        "counts": number_counts(columns["mag"].values, columns["snr"].values, SUMMARY_SNR),
        "known": [name for name, column in columns.items() if column.has_values],
        "zero_point": zero_point,
        "depth": depth_of(folder, fluxes, noise, simulated["scale"], zero_point["value"]),
        "noise": noise,
        "psf": {**psf_numbers(psf), "widths": widths_of(header), "stars": stars_of(header)},
        "circles": [decimals(circle, 2) for circle in drawn],
        "shift": {**shift_numbers(read_json(folder / "astrometry.json")), "field": field_numbers(image)},
        "own": (own := band_only_circles(folder, image, float(psf["FWHM"]))),  # type: ignore[arg-type]
        "own_number": len(own),
        "simulated": simulated,
    }


def band_only_circles(folder: Path, image: PageImage, fwhm: float) -> list[list[float | None]]:
    """Return the sources that only a band shows as circles (y, x, radius) in page pixels.

    Parameters
    ----------
    folder : Path
        Folder of the band's products.
    image : PageImage
        The band's image on the page.
    fwhm : float
        Of the PSF in pixels: the radius of the circles.
    """
    table = read_table(folder / "band_only.fits")
    # the table counts pixels from 1, as FITS does
    found = [(float(row["y"]) - 1.0, float(row["x"]) - 1.0, fwhm) for row in table]
    return [decimals(circle, 2) for circle in image.page_circles(found)]


def widths_of(header: Mapping[str, object]) -> list[float | int | None]:
    """Return widths of bright isolated sources over those of their templates, its error, and how many there are.

    Parameters
    ----------
    header : mapping
        Of the band's fluxes.fits.
    """
    return [_finite_number(header.get(card)) for card in ("WIDTHS", "WIDTHERR", "WIDTHNUM")]


def stars_of(header: Mapping[str, object]) -> list[float | int | None]:
    """Return widths of stars over those of their templates with the error, the same of their light near the centre.

    The last number is how many stars there are.

    Parameters
    ----------
    header : mapping
        Of the band's fluxes.fits.
    """
    return [_finite_number(header.get(card)) for card in ("STARS", "STARSERR", "STARLITE", "STARLERR", "STARSNUM")]


def psf_numbers(header: Mapping[str, object]) -> dict[str, Any]:
    """Return the FWHM of a PSF in pixels and the sum of its file; of a map also their number and the range of FWHM.

    Parameters
    ----------
    header : mapping
        Of the band's psf.fits.
    """
    found: dict[str, Any] = {"fwhm": _finite_number(header.get("FWHM")), "sum": _finite_number(header.get("ORIGSUM"))}
    if "FWHMMIN" in header:
        found["range"] = [_finite_number(header[key]) for key in ("FWHMMIN", "FWHMMAX")]
        found["number"] = header["NPSFS"]
    return found


def zero_point_of(header: Mapping[str, object], band: str) -> dict[str, Any]:
    """Return the AB zero point of a band and what it is from, as the header of the catalogue has them."""
    number = next((key[4:] for key, name in header.items() if key.startswith("BAND") and name == band), "")
    return {"value": header.get(f"ZP{number}"), "source": str(header.get(f"ZPFR{number}") or "").strip()}


def _finite_number(value: object) -> float | None:
    """Return a number with five significant digits; None for NaN and for anything that is not a number."""
    return float(f"{value:.5g}") if isinstance(value, int | float) and np.isfinite(value) else None


def shift_numbers(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of the shift search and the offsets of bright sources, in arcsec."""
    shift: dict[str, Any] = {key: found.get(key) for key in ("message", "recommendation")}
    shift["adopted"] = numbers(found["shift_arcsec"])
    shift["grid"], shift["offsets"], shift["common"] = None, None, None
    if found["grid"]:
        grid = found["grid"]
        shift["grid"] = {
            "offsets": numbers(grid["offsets_arcsec"], 4),
            "chi2": [numbers(row, 7) for row in grid["chi2"]],
            "best": numbers(grid["best_shift_arcsec"], 4),
            "references": grid["references"],
        }
    if found["offsets"]:
        listed = found["offsets"]
        keys = [name for name in listed if name.endswith("_arcsec")]
        shift["offsets"] = {"id": listed["id"], **{key[: -len("_arcsec")]: numbers(listed[key], 4) for key in keys}}
    if found.get("common"):
        common = found["common"]
        shift["common"] = {"offset": numbers(common["offset_arcsec"], 3), "error": numbers(common["error_arcsec"], 3),
                          "used": common["used"]}  # fmt: skip
    return shift


def field_numbers(image: PageImage) -> dict[str, Any] | None:
    """Return the field of shifts of a band on a grid of places: x, y in page pixels, dx, dy in arcsec.

    None where the shift is the same everywhere.

    Parameters
    ----------
    image : PageImage
    """
    field = image.shift_field
    if field is None or field.order == 0:
        return None
    ny, nx = image.shape
    step = max(ny, nx) / FIELD_ARROWS
    y, x = (
        axis.ravel()
        for axis in np.meshgrid(*(np.arange(step / 2.0, side, step) - 0.5 for side in (ny, nx)), indexing="ij")
    )
    scale_y, scale_x = axis_scales(image.wcs, *image.from_page((ny - 1) / 2.0, (nx - 1) / 2.0))
    dy, dx = field.values(*image.from_page(y, x))
    columns = {"y": decimals(y, 1), "x": decimals(x, 1), "dy": numbers(dy * scale_y, 4), "dx": numbers(dx * scale_x, 4)}
    return {"order": field.order, **columns}


def monte_carlo_numbers(folder: Path, fluxes: np.ndarray, target: int | None) -> dict[str, Any]:
    """Return histograms of the flux changes of the Monte Carlo in formal errors, for all sources and for the target.

    Parameters
    ----------
    folder : Path
        Folder of the band's products.
    fluxes : structured array (n,)
        The band's fluxes.fits.
    target : int or None
        ID of the target.
    """
    table, header = read_table(folder / "monte_carlo.fits"), read_table_header(folder / "monte_carlo.fits")
    formal = fluxes["flux_err"][rows_in_order(fluxes, table["id"])]
    realizations = table["realizations"].reshape(len(table), -1)
    edges = np.arange(-HISTOGRAM_SIGMA, HISTOGRAM_SIGMA + BIN_SIGMA / 2, BIN_SIGMA)

    def histogram(rows: np.ndarray) -> list[int]:
        """Return the number of finite changes in each bin, in units of the formal errors."""
        counts = np.zeros(len(edges) - 1, dtype=int)
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            with np.errstate(invalid="ignore", divide="ignore"):
                pulls = realizations[part] / formal[part, None]
            counts += np.histogram(np.clip(pulls[np.isfinite(pulls)], edges[0], edges[-1]), edges)[0]
        return counts.tolist()

    return {
        "circles": int(header.get("NCIRCLES", 0)),  # type: ignore[call-overload]
        "scale": _finite_number(header.get("SCALE")),
        "ratio": _finite_number(header.get("RATIO")),
        "ratio_err": _finite_number(header.get("RATIOERR")),
        "bin": BIN_SIGMA,
        "start": -HISTOGRAM_SIGMA,
        "pooled": histogram(np.arange(len(table))),
        "target": histogram(np.flatnonzero(table["id"] == target)),
    }


def colour_choice(on_stack_grid: Mapping[str, bool], wavelengths: Mapping[str, float | None]) -> list[str]:
    """Return three bands on the grid of the stack, from blue to red; empty if there are fewer."""
    candidates = [band for band, same in on_stack_grid.items() if same]
    known = {band: wavelengths[band] for band in candidates}
    if all(value is not None for value in known.values()):
        candidates.sort(key=lambda band: known[band] or 0.0)
    return [candidates[0], candidates[len(candidates) // 2], candidates[-1]] if len(candidates) >= 3 else []


def colour_scales(catalogue: np.ndarray, bands: Sequence[str]) -> list[float]:
    """Return the factors on the fluxes of the bands that make the median bright source white; the middle one is 1."""
    bright = np.all([catalogue[f"flux_{b}"] > COLOUR_SNR * catalogue[f"err_{b}"] for b in bands], axis=0)
    if not bright.any():
        return [1.0] * len(bands)
    middle = catalogue[f"flux_{bands[1]}"][bright]
    return [float(np.median(middle / catalogue[f"flux_{b}"][bright])) for b in bands]


def time_list(results: Path, bands: Sequence[str]) -> list[dict[str, Any]]:
    """Return the number of jobs, wall-clock and CPU time in seconds and peak memory in MB of each rule, longest first.

    They are read from the benchmark files, which describe the last run of each job. Those of bands that no longer exist
    are ignored.
    """
    found: dict[str, list[list[float]]] = {}
    folder = results / "benchmarks"
    for path in sorted(folder.glob("**/*.tsv")):
        rule = path.stem if path.parent == folder else path.parent.name
        if path.parent != folder and path.stem not in bands and not path.stem.isdigit():
            continue
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        for line in lines[1:]:
            row = dict(zip(lines[0], line, strict=False))
            found.setdefault(rule, []).append([_seconds(row.get(key)) for key in ("s", "cpu_time", "max_rss")])
    listed = []
    for rule, jobs in found.items():
        clock, processor, memory = (column.tolist() for column in np.array(jobs).T)
        times: dict[str, Any] = {"rule": rule, "jobs": len(jobs), "clock": round(sum(clock), 1)}
        listed.append({**times, "processor": round(sum(processor), 1), "memory": round(max(memory))})
    return sorted(listed, key=lambda row: (-row["clock"], row["rule"]))


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0.0)
    except ValueError:  # a job that is too short to be measured has a dash
        return 0.0
