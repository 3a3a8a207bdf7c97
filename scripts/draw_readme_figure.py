"""Draw the figure of the README from the results of the example: see `make figures`."""

from __future__ import annotations

from pathlib import Path

from unblend.field.fitted_background import fitted_background
from unblend.images.masks import circles
from unblend.io.files import atomic_path
from unblend.io.images import read_array, read_labels, read_wcs
from unblend.io.regions import read_regions
from unblend.report.plots import band_figure
from unblend.run.job_log import run


def main(results_dir: str, band: str, image_path: str, out_path: str) -> None:
    """Write image, model and residual of a band side by side."""
    folder = Path(results_dir) / "bands" / band
    image = read_array(image_path) - read_array(str(folder / "background.fits"))
    residual, mask = read_array(str(folder / "residual.fits")), read_labels(str(folder / "mask.fits")) != 0
    drawn = circles(read_regions(folder / "monte_carlo.reg"), read_wcs(image_path))
    fitted = fitted_background(folder, image.shape)
    figure = band_figure(band, image - fitted, residual, mask, background=0.0, circles=drawn)
    with atomic_path(out_path) as temporary:
        figure.savefig(temporary, dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    run(main)
