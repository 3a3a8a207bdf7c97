"""Draw the first figure of the README from the results of the example: see `make figures`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from unblend.core.coordinates import nearest, offset_arcsec
from unblend.field.fitted_background import fitted_background
from unblend.io.catalogues import read_catalogue
from unblend.io.files import atomic_path
from unblend.io.images import read_array, read_wcs
from unblend.plan.checks import jobs_of
from unblend.plan.config import load_config
from unblend.plan.config_text import read_config_file
from unblend.plan.jobs import known_wavelength_um
from unblend.report.galaxy_figure import SedPoint, galaxy_figure, in_colour, noise_of, north_up
from unblend.report.sections import colour_scales
from unblend.run.commands import in_folder
from unblend.run.job_log import run

SIDE_ARCSEC = 11.0


def main(folder: str, colours: str, band: str, out_path: str) -> None:
    """Write the figure of the target; `colours` are three bands with commas between, the shortest wavelength first."""
    config = in_folder(load_config(read_config_file(Path(folder) / "config.yaml")), Path(folder))
    jobs, results = jobs_of(config, Path(__file__).resolve().parent), Path(config.results_dir)
    catalogue = read_catalogue(results / "catalogue.fits")
    row = catalogue[nearest(catalogue["ra"], catalogue["dec"], config.target.model_dump())]
    centre = float(row["ra"]), float(row["dec"])
    east, north = offset_arcsec(catalogue["ra"], catalogue["dec"], *centre)
    beside = np.flatnonzero((np.maximum(abs(east), abs(north)) < SIDE_ARCSEC / 2) & (catalogue["id"] != row["id"]))
    marks = [(0.0, 0.0), *zip(east[beside].tolist(), north[beside].tolist(), strict=True)]

    def stamp(path: str, *below: np.ndarray) -> tuple[np.ndarray, float]:
        image = read_array(path) - sum(below)
        return north_up(image, read_wcs(path), centre, SIDE_ARCSEC), noise_of(image)

    sharp, images = colours.split(","), {name: jobs.inputs.image(each) for name, each in config.bands.items()}
    stamps, sigmas = zip(*(stamp(images[name], *levels(results, name)) for name in sharp), strict=True)
    data, sigma = stamp(images[band], *levels(results, band))
    removed, _ = stamp(str(results / "bands" / band / "neighbours-removed.fits"), levels(results, band)[1])
    sed = [
        SedPoint(name, wavelength, float(row[f"flux_{name}_ujy"]), float(row[f"err_{name}_ujy"]))
        for name, each in config.bands.items()
        if (wavelength := known_wavelength_um(each)) is not None
    ]
    colour = in_colour(stamps, sigmas, colour_scales(catalogue, sharp))
    figure = galaxy_figure(colour, (band, data, removed, sigma), marks, sed, SIDE_ARCSEC)
    # tests/integration/test_example.py compares what is shown with the catalogue of the day
    shown = {"id": int(row["id"]), "sources": len(catalogue), "sed": {p.band: [p.flux_ujy, p.err_ujy] for p in sed}}
    with atomic_path(out_path) as temporary:
        figure.savefig(temporary, dpi=90, metadata={"Software": None, "Description": json.dumps(shown)})


def levels(results: Path, band: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what is below the sources of a band: the moving background, and the one fitted with the fluxes."""
    folder = results / "bands" / band
    moving = read_array(str(folder / "background.fits"))
    return moving, fitted_background(folder, moving.shape)


if __name__ == "__main__":
    run(main)
