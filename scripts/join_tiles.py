"""Put the products of a band together from those of its tiles, with one background level."""

from __future__ import annotations

import logging
from dataclasses import astuple
from pathlib import Path

import numpy as np
from unblend.field.adopted_templates import TILES
from unblend.field.band_data import StoredModels
from unblend.field.band_only_sources import join_band_only, write_no_band_only
from unblend.field.band_regions import KINDS, write_proposals
from unblend.field.covariance_parts import read_parts, write_parts
from unblend.field.failed_band import failure_cards
from unblend.field.tiled_band import TiledBand, joined_rows
from unblend.io.files import read_json, write_json
from unblend.io.images import read_header
from unblend.io.regions import write_regions
from unblend.io.tables import columns, read_sources, read_table_header, write_table
from unblend.photometry.joined_tiles import BackgroundLevels, joined_parts, mean_ratio, with_common_level
from unblend.photometry.monte_carlo import adopted_scale
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.tiles")

MEDIANS = ("WSCALE", "LEFTOUT", "RMS", "LAG1", "WIDTHS", "WIDTHERR")
"""Cards of fluxes.fits whose median over the tiles is that of the band."""


def main(spec_path: str, results_dir: str) -> None:
    """Write the products of extraction, Monte Carlo and inspection into the folder of the band."""
    spec, results = read_json(spec_path), Path(results_dir)
    band = TiledBand(spec, results)
    ids = np.array(list(StoredModels(results)))
    sources = read_sources(str(results / "det_cat.fits"))
    owner = band.owners(sources)
    tile = np.array([owner.get(int(i), -1) for i in ids], dtype=int)
    failure = band.failure()
    if failure is None:
        cards: dict[str, object] = {"NOWN": join_band_only(band, sources, spec["band"])}
    else:  # what is wrong with an input in one tile is wrong in all
        log.warning("%s All fluxes of this band are NaN.", failure)
        tile[:] = -1
        write_no_band_only(band.folder, spec["band"])
        cards = {"NOWN": 0, **failure_cards(failure)}
    levels = join_fluxes(band, tile, ids, {"BAND": spec["band"], **cards})
    join_monte_carlo(band, tile, ids, {"BAND": spec["band"]})
    band.write_mosaic("residual.fits", header={"BAND": spec["band"]}, added=-levels.differences())
    band.write_mosaic("weight.fits", header={"BAND": spec["band"]})
    target = read_header(str(band.folder_of(band.tiles[0]) / "neighbours-removed.fits"))["TARGET"]
    band.write_mosaic("neighbours-removed.fits", header={"BAND": spec["band"], "TARGET": target})
    parts = [read_parts(band.folder_of(each)) for each in band.tiles]
    owned = [ids[tile == k] for k in range(len(band.tiles))]
    write_parts(band.folder, joined_parts(parts, owned, ids))
    places = {each.name: {"window": list(astuple(each.window)), "sources": sources.tolist()}
              for each, sources in zip(band.tiles, owned, strict=True)}  # fmt: skip
    write_json(band.folder / TILES, places)
    proposed = {kind: band.folder / f"proposed-{kind}.reg" for kind in KINDS}
    write_proposals(proposed, {kind: band.regions(path.name) for kind, path in proposed.items()}, spec["names"])
    record_work("join", spec["band"])


def join_fluxes(band: TiledBand, tile: np.ndarray, ids: np.ndarray, header: dict[str, object]) -> BackgroundLevels:
    """Write fluxes.fits, with the background level of all tiles, and return the levels."""
    cards = [read_table_header(band.folder_of(each) / "fluxes.fits") for each in band.tiles]
    names = ("BACKGR", "BACKGERR", "BGCORE", "BGCOREER")
    levels = BackgroundLevels.of(*(np.array([_number(card.get(name)) for card in cards]) for name in names))
    rows = with_common_level(joined_rows(band.tables("fluxes.fits"), tile, ids), tile, levels)
    header |= {"BACKGR": levels.level, "BACKGERR": _known(levels.error)}
    if np.isfinite(levels.error):
        header |= {"BGORDER": 0, "BGC00": levels.level, "BGE00": levels.error}
    header |= {name: _median([_number(card.get(name)) for card in cards]) for name in MEDIANS}
    header["WIDTHNUM"] = sum(int(card.get("WIDTHNUM", 0)) for card in cards)  # type: ignore[call-overload]
    write_table(band.folder / "fluxes.fits", rows, header=header, name="FLUXES")
    log.info("%s: background %.6g +- %.2g, by tile %s", header["BAND"], levels.level, levels.error,
             " ".join(f"{value:.6g}" for value in levels.fitted))  # fmt: skip
    return levels


def join_monte_carlo(band: TiledBand, tile: np.ndarray, ids: np.ndarray, header: dict[str, object]) -> None:
    """Write monte_carlo.fits with the ratio of all tiles, and the circles."""
    tables = band.tables("monte_carlo.fits")
    most = max(table["realizations"].reshape(len(table), -1).shape[1] for table in tables)
    rows = joined_rows([padded(table, most) for table in tables], tile, ids)
    cards = [read_table_header(band.folder_of(each) / "monte_carlo.fits") for each in band.tiles]
    ratio, error = mean_ratio(*([_number(card.get(name)) for card in cards] for name in ("RATIO", "RATIOERR")))
    circles = sum(int(card["NCIRCLES"]) for card in cards)  # type: ignore[call-overload]
    header |= {"NCIRCLES": circles, "SCALE": adopted_scale(ratio, error)}
    header |= {"RATIO": _known(ratio), "RATIOERR": _known(error)}
    write_table(band.folder / "monte_carlo.fits", rows, header=header, name="MONTE_CARLO")
    write_regions(band.folder / "monte_carlo.reg", band.regions("monte_carlo.reg"), color="yellow")


def padded(table: np.ndarray, most: int) -> np.ndarray:
    """Return a table of realizations with `most` of them, NaN beyond those of the tile."""
    found = table["realizations"].reshape(len(table), -1)
    realizations = np.full((len(table), most), np.nan)
    realizations[:, : found.shape[1]] = found
    return columns(id=table["id"], flux_err_sim=table["flux_err_sim"], realizations=realizations)


def _number(value: object) -> float:
    return np.nan if value is None else float(value)  # type: ignore[arg-type]


def _median(values: list[float]) -> float | None:
    """Return the median of the values that are known; None without any."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else None


def _known(value: float) -> float | None:
    """Return a number, or None for NaN, which no card can hold."""
    return float(value) if np.isfinite(value) else None


if __name__ == "__main__":
    run(main)
