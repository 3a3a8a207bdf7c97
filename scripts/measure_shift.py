"""Measure the shift of a band by a search where asked for, and the offsets of its bright sources always."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from unblend.core.errors import UnusableBandError
from unblend.field.band_data import is_shift_measured
from unblend.field.offset_warning import offset_warning
from unblend.field.shift_measurement import measured_shift
from unblend.field.unmeasured_band import write_no_shift
from unblend.io.files import read_json, write_json
from unblend.io.images import write_image
from unblend.registration.summary import describe_offsets, describe_shift_field, shift_error
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.shift")


def main(spec_path: str, results_dir: str, shift_path: str, residual_path: str) -> None:
    """Write astrometry.json and the residual at the shift that it gives."""
    spec = read_json(spec_path)
    try:
        found = measured_shift(spec, Path(results_dir))
    except UnusableBandError as error:
        write_no_shift(spec, shift_path, residual_path, error)
        record_work("astrometry", spec["band"])
        return
    content: dict[str, Any] = {"band": spec["band"], "shift_arcsec": list(found.shift)}
    content |= {"message": found.message, "grid": found.grid, "failed": found.failed}
    content["field"] = describe_shift_field(found.band, found.field)
    if found.message:
        log.warning("%s: %s", spec["band"], found.message)
    if found.best:
        content["best_shift_arcsec"] = list(found.best)
        log.info("%s: best shift: %.4f %.4f", spec["band"], *found.best)
    offsets = found.band.offsets(found.shift, found.templates, found.solution)
    points = (
        None
        if found.field is None
        else found.band.offsets(found.shift, found.templates, found.solution, of_points=True)
    )
    content |= describe_offsets(found.band, offsets, found.shift, points)
    measured = is_shift_measured(spec) and not found.failed
    content["shift_error_arcsec"] = shift_error(content) if measured else None
    warning = offset_warning(spec, Path(results_dir), found, offsets)
    if warning:
        content["recommendation"] = warning
    if warning and "tile" not in spec:
        log.warning("%s", warning)
    write_image(residual_path, found.solution.residual, wcs=found.band.wcs)
    write_json(shift_path, content)
    record_work("astrometry", spec["band"])


if __name__ == "__main__":
    run(main)
