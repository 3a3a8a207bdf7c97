"""List the models by content, and the parameters of every fit."""

from __future__ import annotations

import logging
from pathlib import Path

from unblend.field.fit_field import FitField
from unblend.field.stale_products import move_stale_models
from unblend.fits.component_table import UNITS as COMPONENT_UNITS
from unblend.fits.component_table import component_table
from unblend.fits.table import fit_table, noise_warning
from unblend.io.files import file_digest, read_json, write_json
from unblend.io.fits_files import new_fits
from unblend.io.images import read_header
from unblend.io.tables import append_table
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.models")

UNITS = {"x": "pix", "y": "pix", "ra": "deg", "dec": "deg", "pa": "deg", "r_e": "pix", "r_e_arcsec": "arcsec"}


def main(spec_path: str, results_dir: str, models_path: str, table_path: str) -> None:
    """Write models.json (the digest of every model) and sersic.fits."""
    spec = read_json(spec_path)
    groups, custom = spec["groups"], set(spec["custom"])
    field = FitField(Path(results_dir))
    models, fits = {}, {}
    for group in sorted(groups, key=int):
        fits[int(group)] = field.result(group, "second")
        for source in field.groups[group]["members"]:
            path = field.model_path(source)
            models[str(source)] = {"digest": file_digest(path), "group": int(group)}
    members = {int(group): list(field.groups[group]["members"]) for group in groups}
    headers = {int(i): read_header(str(field.model_path(int(i)))) for i in models}
    table = fit_table(fits, members, custom, field.wcs, oversampling(field, headers), details(field, headers))
    warning = noise_warning(table)
    if warning:
        log.warning("%s", warning)
    components = component_table(fits, members, custom)
    with new_fits(table_path) as tables_of_fits:
        append_table(tables_of_fits, table, units=UNITS, name="FITS")
        append_table(tables_of_fits, components, units=COMPONENT_UNITS, name="COMPONENTS")
    # What lies behind the barrier is judged by this file alone: it stands for the two tables, too.
    tables = {"parameters": file_digest(table_path), "catalogue": file_digest(field.results / "det_cat.fits")}
    move_stale_models(field.results, set(map(int, models)))
    write_json(models_path, {"models": models, "tables": tables})
    record_work("models", "all")


def oversampling(field: FitField, headers: dict[int, dict[str, object]]) -> dict[int, float]:
    """Return the model pixels per detection pixel of every model, from its header."""
    scale = abs(field_scale(field))
    found = {}
    for i, header in headers.items():
        jacobian = [float(header.get(card) or 0.0) for card in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")]  # type: ignore[arg-type]
        area = abs(jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2])
        found[i] = scale / (3600.0 * area**0.5) if area > 0 else float("nan")
    return found


def details(field: FitField, headers: dict[int, dict[str, object]]) -> dict[int, tuple[float, float]]:
    """Return the flux of every detail and its error; components of a model that are free in each band are none."""
    with_detail = [i for i, header in headers.items() if header.get("DETAIL")]
    own = {i: read_header(f"{field.model_path(i)}[DETAIL]") for i in with_detail}
    return {
        i: (float(header["TOTAL"]), float(header["NOISE"]))  # type: ignore[arg-type]
        for i, header in own.items()
        if not header.get("FREE")
    }


def field_scale(field: FitField) -> float:
    """Return the pixel size of the stack in arcsec."""
    from unblend.core.coordinates import pixel_scale

    return pixel_scale(field.wcs, field.shape)


if __name__ == "__main__":
    run(main)
