"""Put the offsets of the bright sources of a band together from those of its tiles."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from unblend.core.coordinates import axis_scales
from unblend.field.tiled_band import TiledBand
from unblend.io.files import read_json, write_json
from unblend.io.tables import read_sources
from unblend.registration.summary import joined_offsets
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.shift")


def main(spec_path: str, results_dir: str) -> None:
    """Write astrometry.json of a band with a given shift, and the residual at it."""
    spec, results = read_json(spec_path), Path(results_dir)
    band = TiledBand(spec, results)
    found = [read_json(band.folder_of(tile) / "astrometry.json") for tile in band.tiles]
    owner = band.owners(read_sources(str(results / "det_cat.fits")))
    listed = [(k, tile["offsets"]) for k, tile in enumerate(found) if tile["offsets"]]
    middle = ((band.shape[0] - 1) / 2.0, (band.shape[1] - 1) / 2.0)
    shift = found[0]["shift_arcsec"]
    content: dict[str, Any] = {"band": spec["band"], "shift_arcsec": shift, "message": None, "grid": None,
                               "failed": False, "field": None, "shift_error_arcsec": None}  # fmt: skip
    content |= joined_offsets(listed, owner, axis_scales(band.wcs, *middle), (shift[0], shift[1]))
    if content["recommendation"]:
        log.warning("%s: %s", spec["band"], content["recommendation"])
    write_json(band.folder / "astrometry.json", content)
    band.write_mosaic("shift-sub.fits")
    record_work("astrometry", spec["band"])


if __name__ == "__main__":
    run(main)
