"""Write the covariance of the fluxes of every band, and draws of the fluxes of all bands together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unblend.core.units import flux_to_ujy
from unblend.field.covariance_parts import read_parts
from unblend.io.catalogues import read_catalogue
from unblend.io.covariance_files import write_covariance, write_draws
from unblend.io.files import read_json
from unblend.io.tables import read_table_header
from unblend.photometry.adopted_covariance import adopted_covariance
from unblend.run.job_log import record_work, run


def main(spec_path: str, results_dir: str, draws_path: str) -> None:
    """Write covariance.npz and covariance.fits of each band, and the draws."""
    spec, results = read_json(spec_path), Path(results_dir)
    catalogue, header = read_catalogue(results / "catalogue.fits"), read_table_header(results / "catalogue.fits")
    draws, units = [], []
    for number, band in enumerate(spec["order"], start=1):
        folder = results / "bands" / band
        parts = read_parts(folder).in_order(catalogue["id"])
        flux, err = catalogue[f"flux_{band}"], catalogue[f"err_{band}"]
        scale = float(header[f"MCSCAL{number}"])  # type: ignore[arg-type]
        covariance, drawn = adopted_covariance(parts, flux, err, scale=scale, band=band)
        write_covariance(folder / "covariance.npz", folder / "covariance.fits", catalogue["id"], covariance, band)
        zero_point = header.get(f"ZP{number}")
        draws.append(drawn if zero_point is None else flux_to_ujy(drawn, float(zero_point)))  # type: ignore[arg-type]
        units.append((band, "image units" if zero_point is None else "uJy"))
    write_draws(draws_path, np.stack(draws, axis=2), catalogue["id"], units)
    record_work("covariance", "all")


if __name__ == "__main__":
    run(main)
