"""Put the bands together into the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import unblend
from unblend.field.dust_map import reddening
from unblend.field.stale_products import move_stale_bands, move_stale_tiles
from unblend.field.zero_points import adopted_zero_point
from unblend.io.catalogue_columns import columns_of
from unblend.io.catalogues import write_catalogue
from unblend.io.files import read_json, write_json
from unblend.io.sed_tables import write_lephare_keywords, write_sed, write_translation
from unblend.io.tables import read_table, read_table_header
from unblend.photometry.catalogue import KINDS, OFFSETS, band_columns
from unblend.photometry.galactic_extinction import extinction_per_reddening
from unblend.photometry.sed_columns import cigale_columns, lephare_columns, sed_columns, translation
from unblend.run.job_log import record_work, run

log = logging.getLogger(__name__)

FLUXES = (
    "flux", "flux_err", "flux_err_isolated", *(f"flux_err_{kind}" for kind in KINDS), "chi2", "fracflux", "ap_flux",
    "ap_err", "worst_neighbour", "correlation", "flag",
)  # fmt: skip
OFFSETS_ARCSEC = tuple(f"{kind}_arcsec" for kind in OFFSETS)
SHAPE = ("n", "n_err", "r_e_arcsec", "r_e_err_arcsec", "ell", "ell_err", "pa", "pa_err", "chi2_red")


def main(spec_path: str, results_dir: str, fits: str, ecsv: str, votable: str, fast: str, eazy: str, sed: str) -> None:
    """Write catalogue.fits, .ecsv, .vot and the tables of the SED codes."""
    spec, results = read_json(spec_path), Path(results_dir)
    detected, shapes = read_table(results / "det_cat.fits"), read_table(results / "imfit" / "sersic.fits")
    for sentence in spec.get("warnings", ()):
        log.warning("%s", sentence)
    columns = {name: detected[name] for name in ("id", "ra", "dec", "x", "y", "area")}
    columns |= shape_columns(shapes, detected["id"])
    columns["flag"] = detected["flag"] | aligned(shapes, detected["id"], "flag")
    header: dict[str, object] = {"VERSION": unblend.__version__, "FLOOR": spec["error_floor"]}
    settings = {name: spec[name] for name in ("error_floor", "upper_limit")}
    for number, band in enumerate(spec["order"], start=1):
        made, scale = one_band(results / "bands" / band, detected["id"])
        made["flag"] = made["flag"] | columns["flag"]
        zero_point, source = adopted_zero_point(band, spec["bands"][band])
        columns |= band_columns(band, made, **settings, scale=scale, zero_point_ab=zero_point)
        header |= {f"BAND{number}": band, f"ZP{number}": zero_point, f"ZPFR{number}": source, f"MCSCAL{number}": scale}
    if "extinction" in spec:
        add_extinction(columns, header, spec["extinction"])
    write_catalogue(fits, ecsv, votable, columns, columns_of(spec["order"]), header)
    bands = {band: spec["bands"][band] for band in spec["order"] if f"flux_{band}_ujy" in columns}
    write_sed_tables(columns, bands, {"fast": fast, "eazy": eazy, "sed": sed})
    move_stale_bands(results, spec["order"])
    for band in spec["order"]:
        move_stale_tiles(results, band, spec.get("tiles", {}).get(band, []))
    record_work("catalogue", "all")


def add_extinction(columns: dict[str, np.ndarray], header: dict[str, object], spec: dict) -> None:
    """Add the reddening of each source, and the extinction in each band; the fluxes stay as they are."""
    columns["ebv"] = spec["scale"] * reddening([each["file"] for each in spec["files"]], columns["ra"], columns["dec"])
    for band, wavelength_um in spec["wavelengths_um"].items():
        ratio = wavelength_um and extinction_per_reddening(wavelength_um, spec["law"], spec["R_V"])
        if not ratio:
            log.warning("%s: no extinction: give its wavelength, from 0.12 to 30 micrometres", band)
        columns[f"a_{band}"] = columns["ebv"] * (ratio or np.nan)
    header |= {"EXTLAW": spec["law"], "EXTRV": spec["R_V"], "EXTSCALE": spec["scale"]}


def write_sed_tables(columns: dict[str, np.ndarray], bands: dict[str, dict], paths: dict[str, str]) -> None:
    """Write the tables of the SED codes; beside them translate files, and keywords and names of filters."""
    by_code = {code: {band: b["sed"][code] for band, b in bands.items()} for code in ("lephare", "cigale")}
    table = sed_columns(columns, {band: b["filter"] for band, b in bands.items()})
    write_sed(paths["fast"], table, "microjansky: AB zero point 23.9; -99: not observed", z_spec=True)
    write_sed(paths["eazy"], table, "microjansky: PRIOR_ABZP 23.9; -99: not observed")
    for name in ("fast", "eazy"):
        write_translation(Path(paths[name]).with_suffix(".translate"), translation(columns, bands))
    folder = Path(paths["sed"]).parent
    lephare = lephare_columns(columns, {band: band for band in bands})
    write_sed(folder / "catalogue.lephare.cat", lephare, "erg/s/cm2/Hz; -99: not observed")
    write_lephare_keywords(folder / "catalogue.lephare.para", list(by_code["lephare"].values()))
    cigale = cigale_columns(columns, by_code["cigale"])
    write_sed(folder / "catalogue.cigale.txt", cigale, "mJy; nan: not observed, redshift unknown")
    write_json(paths["sed"], {band: b["sed"] for band, b in bands.items()})
    unknown = [band for band, b in bands.items() if "eazy" not in b["sed"]]
    if unknown:
        log.info("EAZY and FAST: the numbers of the filters of %s are not known; give sed_filters", ", ".join(unknown))


def shape_columns(shapes: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return the fitted parameters and their errors in the order of `ids`; angles in degrees, radii in arcsec."""
    scale = shapes["r_e_arcsec"] / np.where(shapes["r_e"] > 0, shapes["r_e"], np.nan)
    found = {name: aligned(shapes, ids, name) for name in SHAPE if name != "r_e_err_arcsec"}
    found["r_e_err_arcsec"] = aligned({"id": shapes["id"], "err": shapes["r_e_err"] * scale}, ids, "err")
    return {name: found[name] for name in SHAPE}


def one_band(folder: Path, ids: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """Return a band's fluxes and offsets in the order of `ids`, and the scale of its errors."""
    fluxes, simulated = read_table(folder / "fluxes.fits"), read_table(folder / "monte_carlo.fits")
    made = {name: aligned(fluxes, ids, name) for name in FLUXES}
    made["flux_err_sim"] = aligned(simulated, ids, "flux_err_sim")
    offsets = read_json(folder / "astrometry.json")["offsets"] or {}
    listed = {name: np.array(offsets.get(name, []), dtype=float) for name in ("id", *OFFSETS_ARCSEC)}
    made |= {name: aligned(listed, ids, name) for name in OFFSETS_ARCSEC}
    return made, float(read_table_header(folder / "monte_carlo.fits")["SCALE"])  # type: ignore[arg-type]


def aligned(table: Mapping[str, np.ndarray] | np.ndarray, ids: np.ndarray, name: str) -> np.ndarray:
    """Return a column in the order of `ids`; NaN, or 0 for flags, where the table lacks a source."""
    rows = {int(i): row for row, i in enumerate(table["id"])}
    missing = np.nan if table[name].dtype.kind == "f" else 0
    return np.array([table[name][rows[int(i)]] if int(i) in rows else missing for i in ids], dtype=table[name].dtype)


if __name__ == "__main__":
    run(main)
