"""Compare the positions of the detected sources with those of a table, such as Gaia's."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict

import numpy as np
from unblend.core.coordinates import pixel_scale
from unblend.io.files import read_json, write_json
from unblend.io.images import read_wcs
from unblend.io.source_lists import read_positions
from unblend.io.tables import read_table
from unblend.registration.reference_positions import compare_positions, position_warning
from unblend.run.job_log import record_work, run

log = logging.getLogger(__name__)


def main(spec_path: str, table_path: str, stack_path: str, found_path: str) -> None:
    """Write reference_positions.json: numbers of sources, offset, error and scatter toward east and north, arcsec."""
    name = read_json(spec_path)["positions"]["file"]
    sources = read_table(table_path)
    found = compare_positions(np.asarray(sources["ra"]), np.asarray(sources["dec"]), *read_positions(name))
    log.info("%s: %d sources matched, %d used, offset %s arcsec", name, found.matched, found.used, found.offset)
    warning = position_warning(found, name, pixel_scale(read_wcs(stack_path)))
    if warning:
        log.warning("%s", warning)
    pairs = {
        key: [v if math.isfinite(v) else None for v in getattr(found, key)] for key in ("offset", "error", "scatter")
    }
    numbers = {key: value for key, value in asdict(found).items() if key not in pairs}
    write_json(found_path, {"file": name, **numbers, **{f"{key}_arcsec": value for key, value in pairs.items()}})
    record_work("positions", "all")


if __name__ == "__main__":
    run(main)
