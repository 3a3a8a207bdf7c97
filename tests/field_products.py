"""The products of an artificial field for tests of the report, with values that a test can compute.

Sources are round Gaussians on a grid. The sharp bands share one pixel grid with north up; the coarse band has pixels
five times as large and is rotated by 180 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.wcs import WCS
from gaussians import gaussian
from unblend.core.coordinates import pixel_to_sky, sky_to_pixel
from unblend.core.flags import Flag
from unblend.core.shift_field import ShiftField
from unblend.core.types import Region, Template
from unblend.fits.table import TABLE_DTYPE
from unblend.io import catalogue_columns
from unblend.io.catalogues import write_catalogue
from unblend.io.files import write_json, write_text
from unblend.io.images import write_image
from unblend.io.regions import write_regions
from unblend.io.tables import columns, write_sources, write_table
from unblend.io.template_store import write_templates
from unblend.photometry.catalogue import KINDS, OFFSETS, band_columns

SCALE, SPACING, SIGMA = 0.06, 40, 2.5
"""arcsec per pixel of the sharp bands; pixels between sources; width of a source in pixels of either grid."""
COARSE, RATIO = "coarse", 5
SHARP = ("blue", "green", "red")
WAVES = {"blue": 0.5, "green": 0.8, "red": 1.6, "coarse": 3.6}
ZERO_POINT = 23.9
TARGET = 2
COMMON, LONG = "the PSF is undersampled.", f"coarse: {'0123456789' * 40} is a word longer than any line."
LOGS = {
    "detect_sources": ["INFO done", "WARNING 3 sources <b>touch</b> the edge."],
    "prepare_psf/coarse": [f"WARNING {COMMON}", f"WARNING {COMMON}"],
    "prepare_psf/gone": ["WARNING of a band that is gone"],
    "mask_band/red": [f"WARNING {COMMON}", f"WARNING {LONG}"],
    "draw_fits": ["WARNING no picture"],
    **{f"fit_second_pass/{k}": [f"WARNING group {k} was not fitted."] for k in range(9)},
}
"""Logs by name, with their lines: warnings of jobs."""
CENTRE = (150.0, 2.0)


@dataclass(frozen=True)
class Field:
    """What was written: image size of the sharp bands, positions there, fluxes by band."""

    side: int
    y: np.ndarray
    x: np.ndarray
    flux: dict[str, np.ndarray]
    spec: dict[str, Any]


def wcs_of(band: str, side: int) -> tuple[WCS, tuple[int, int]]:
    """Return the world coordinates and the shape of a band."""
    coarse = band == COARSE
    size, scale = (side // RATIO, SCALE * RATIO) if coarse else (side, SCALE)
    wcs = WCS(naxis=2)
    wcs.wcs.crpix = (size + 1) / 2, (size + 1) / 2
    wcs.wcs.crval = CENTRE
    turn = -1.0 if coarse else 1.0
    wcs.wcs.cd = np.array([[-turn, 0.0], [0.0, turn]]) * scale / 3600.0
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.radesys = "ICRS"
    return wcs, (size, size)


def write_products(
    folder: Path, number: int = 6, bands: tuple[str, ...] = (*SHARP, COARSE), half: float = 15.0,
    spacing: int = SPACING, fluxes: np.ndarray | None = None,
) -> Field:  # fmt: skip
    """Write the products of `number` sources below `folder`/results, the images below `folder`.

    Source i (from 1) has the flux 4000 / i in every band, but none in `blue`, where the last one's is −4. The first
    source's flux is unknown in the coarse band; the second is the target; the last is a point source on a bound.
    With `fluxes` they have these. The noise of all images is 1, formal errors are 8, Monte Carlo errors 8.8. The lowest
    three rows are masked.
    """
    rng = np.random.default_rng(7)
    results, columns_of = folder / "results", int(np.ceil(np.sqrt(number)))
    side = RATIO * (columns_of * spacing // RATIO)
    grid = (np.arange(columns_of) + 0.5) * spacing
    y, x = (axis.ravel()[:number] for axis in np.meshgrid(grid, grid, indexing="ij"))
    ids = np.arange(1, number + 1)
    sky_wcs, shape = wcs_of("stack", side)
    ra, dec = pixel_to_sky(sky_wcs, y, x)
    given = 4000.0 / ids if fluxes is None else fluxes
    flux = {band: np.where(ids == number, -4.0, 0.0) if band == "blue" else given for band in bands}
    fits_flag = np.where(ids == number, int(Flag.FIT_ON_BOUND), 0)
    detected = columns(
        id=ids.astype("i4"), area=np.full(number, 80, dtype="i4"), flag=np.zeros(number, dtype="i4"), y=y, x=x, ra=ra,
        dec=dec, flux=given, flux_err=np.ones(number), snr=given, a=np.full(number, SIGMA),
        b=np.full(number, SIGMA), theta=np.zeros(number),
    )  # fmt: skip
    write_sources(results / "det_cat.fits", detected)
    segments = np.zeros(shape, dtype=int)
    light = np.zeros(shape)
    for k in range(number):
        window = (slice(int(y[k]) - 6, int(y[k]) + 7), slice(int(x[k]) - 6, int(x[k]) + 7))
        rows, cols = np.ogrid[window]
        segments[window][np.hypot(rows - y[k], cols - x[k]) < 5] = ids[k]
        template = gaussian(int(ids[k]), y[k], x[k], shape, sigma=SIGMA, half=half)
        light[template.box.slices] += given[k] * template.data
    noise = rng.normal(size=shape)
    write_image(results / "det_seg.fits", segments, wcs=sky_wcs)
    write_image(results / "det_stack.fits", light + noise, wcs=sky_wcs)
    write_image(results / "imfit/det_stack-sub.fits", noise, wcs=sky_wcs)
    write_fits(results, ids, fits_flag, y, x, ra, dec)
    catalogue: dict[str, np.ndarray] = {name: detected[name] for name in ("id", "ra", "dec", "x", "y", "area")}
    catalogue |= {"n": np.full(number, 1.0), "flag": fits_flag}
    for band in bands:
        catalogue |= write_band(folder, band, side, ids, ra, dec, flux[band], fits_flag, rng, half)
    fits, ecsv, votable = (results / f"catalogue.{ending}" for ending in ("fits", "ecsv", "vot"))
    write_catalogue(fits, ecsv, votable, catalogue, catalogue_columns.columns_of(bands), {})
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for name, seconds in (("detect_sources", 3.5), ("extract_fluxes/green", 10.0), ("extract_fluxes/gone", 99.0)):
        write_text(results / f"benchmarks/{name}.tsv", head + f"{seconds}\t0:00:03\t100\t-\t-\t-\t-\t-\t-\t2.0\n")
    for name, sentences in LOGS.items():
        lines = "".join(f"2026-11-26 10:54:08,954 {text}\n" for text in sentences)
        write_text(results / f"logs/{name}.log", lines)
    spec = {
        "order": list(bands),
        "bands": {band: {"image": str(folder / f"{band}.fits"), "wavelength_um": WAVES.get(band)} for band in bands},
        "target": {"ra": CENTRE[0], "dec": CENTRE[1]},
    }
    write_json(folder / "spec.json", spec)
    return Field(side, y, x, flux, spec)


def write_fits(
    results: Path, ids: np.ndarray, flag: np.ndarray, y: np.ndarray, x: np.ndarray, ra: np.ndarray, dec: np.ndarray
) -> None:
    """Write imfit/sersic.fits: n = 1 ± 0.1, r_e = 5 ± 0.5 pixels, chi2 1.0, 1.1, 1.2 …; the last source is a point."""
    table = np.zeros(len(ids), dtype=TABLE_DTYPE)
    table["id"], table["group"], table["flag"], table["functions"] = ids, ids, flag, "Sersic"
    table["x"], table["y"], table["ra"], table["dec"] = x + 1, y + 1, ra, dec
    table["n"], table["n_err"], table["r_e"], table["r_e_err"] = 1.0, 0.1, 5.0, 0.5
    table["r_e_arcsec"], table["ell"], table["pa"] = 5.0 * SCALE, 0.2, 30.0
    table["chi2_red"] = 1.0 + 0.1 * np.arange(len(ids))
    for name in ("n", "n_err", "r_e", "r_e_err", "r_e_arcsec", "ell", "pa"):
        table[name][-1] = np.nan
    table["functions"][-1] = "PointSource"
    if len(ids) > 1:
        table["group"][1] = ids[0]
    write_table(results / "imfit/sersic.fits", table, name="FITS")


def write_band(
    folder: Path, band: str, side: int, ids: np.ndarray, ra: np.ndarray, dec: np.ndarray, flux: np.ndarray,
    fits_flag: np.ndarray, rng: np.random.Generator, half: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Write the products of one band; return its columns of the catalogue."""
    wcs, shape = wcs_of(band, side)
    y, x = sky_to_pixel(wcs, ra, dec)
    sigma = SIGMA / (2 if band == COARSE else 1)
    templates: list[Template] = [
        gaussian(int(i), float(a), float(b), shape, sigma=sigma, half=half) for i, a, b in zip(ids, y, x, strict=True)
    ]
    noise, model = rng.normal(size=shape), np.zeros(shape)
    measured = flux.copy()
    if band == COARSE:
        measured[0] = np.nan
    for template, value in zip(templates, np.nan_to_num(measured), strict=True):
        model[template.box.slices] += value * template.data
    residual = noise.copy()
    residual[:3] = np.nan  # a masked border
    at = folder / "results/bands" / band
    write_image(folder / f"{band}.fits", model + noise + 2.0, wcs=wcs)
    write_image(at / "background.fits", np.full(shape, 0.5), wcs=wcs)
    write_image(at / "residual.fits", residual, wcs=wcs)
    write_image(at / "neighbours-removed.fits", noise, wcs=wcs, header={"TARGET": TARGET})
    write_image(at / "psf.fits", np.ones((3, 3)), header={"FWHM": 2.355 * sigma, "ORIGSUM": 0.94})
    write_templates(at / "templates.npz", templates, {int(i): "k" for i in ids})
    error = np.full(len(ids), 8.0)
    worst = np.where(ids == 1, 2, 1)
    flag = fits_flag | np.where(np.isnan(measured), int(Flag.NO_PIXELS), 0)
    table = columns(id=ids, flux=measured, flux_err=error, worst_neighbour=worst, correlation=np.full(len(ids), -0.25))
    header = {
        "BACKGR": 1.5,
        "RMS": 1.0,
        "LAG1": 0.1,
        "LEFTOUT": 0.052,
        "WIDTHS": 0.97,
        "WIDTHERR": 0.02,
        "WIDTHNUM": 5,
        "STARS": 1.01,
        "STARSERR": 0.004,
        "STARLITE": 0.99,
        "STARLERR": 0.005,
        "STARSNUM": 7,
    }
    write_table(at / "fluxes.fits", table, header=header, name="FLUXES")
    realizations = rng.normal(0.0, 8.0, (len(ids), 20))
    simulated = columns(id=ids, flux_err_sim=np.full(len(ids), 9.0), realizations=realizations)
    header = {"NCIRCLES": 20, "SCALE": 1.0, "RATIO": 1.1, "RATIOERR": 0.2}
    write_table(at / "monte_carlo.fits", simulated, header=header, name="MONTE_CARLO")
    circle = Region("circle", "image", ((shape[0] / 2, shape[1] / 2),), outer=((4.0, "pixel"), (4.0, "pixel")))
    write_regions(at / "monte_carlo.reg", [circle])
    # one source that only the coarse band shows, in pixels that count from 1
    place = {"y": np.array([7.0]), "x": np.array([9.0])} if band == COARSE else {"y": np.zeros(0), "x": np.zeros(0)}
    write_table(at / "band_only.fits", columns(**place), name="BAND_ONLY")
    write_json(at / "astrometry.json", shift_found(ids, searched=band == COARSE))
    fluxes = {"flux": measured, "flux_err": error, **{f"flux_err_{kind}": np.zeros(len(ids)) for kind in KINDS},
              "ap_flux": measured, "ap_err": error, "flux_err_isolated": error, "worst_neighbour": worst,
              "correlation": np.full(len(ids), -0.25), **{f"{kind}_arcsec": np.zeros(len(ids)) for kind in OFFSETS},
              "chi2": np.ones(len(ids)), "fracflux": np.zeros(len(ids)), "flux_err_sim": error * 1.1,
              "flag": flag}  # fmt: skip
    return band_columns(band, fluxes, scale=1.0, error_floor=0.0, zero_point_ab=ZERO_POINT)


def shift_found(ids: np.ndarray, *, searched: bool) -> dict[str, Any]:
    """Return astrometry.json: an offset of every source, and a search where there was one."""
    offsets = [-0.1, 0.0, 0.1]
    grid = {
        "offsets_arcsec": offsets, "chi2": [[9.0, 8.0, 9.0], [7.0, 5.0, 7.0], [9.0, 8.0, 9.0]],
        "best_shift_arcsec": [0.01, -0.02], "references": [1],
    }  # fmt: skip
    listed = {"id": ids.tolist(), **{name: [0.01] * len(ids) for name in ("dx_arcsec", "dy_arcsec")},
              **{name: [0.005] * len(ids) for name in ("err_dx_arcsec", "err_dy_arcsec")}}  # fmt: skip
    # a hundredth of a pixel: positions stay where the tests expect them
    field = ShiftField(1, (0.0, 0.0, 30.0, 30.0), 0.005 * np.eye(2, 3, 1), np.zeros((2, 3, 3)))
    if searched:
        listed |= {name: [0.02] * len(ids) for name in ("field_dx_arcsec", "field_dy_arcsec")}
    return {
        "shift_arcsec": [0.0, 0.0],
        "field": field.as_json() if searched else None,
        "message": None,
        "recommendation": "shift: [0.010, 0.010] fits better." if searched else None,
        "grid": grid if searched else None,
        "offsets": listed,
        "common": {"offset_arcsec": [0.01, 0.01], "error_arcsec": [0.001, 0.001], "used": len(ids)},
    }
