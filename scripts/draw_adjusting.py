"""Draw the figures of docs/adjusting.md from the example: see `make figures`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from unblend.core.errors import InputError
from unblend.field.fit_field import FitField
from unblend.fits.exact_model import ExactModel
from unblend.fits.fit_settings import DEFAULTS
from unblend.fits.group_data import group_pixels
from unblend.fits.overrides import parse_override
from unblend.fits.passes import fit_first_pass, fit_second_pass
from unblend.fits.refinement import exact_image
from unblend.io.files import atomic_path
from unblend.io.tables import read_table
from unblend.report.adjusting_figures import before_and_after, chi2_figure, summary
from unblend.run.job_log import run


def main(results_dir: str, override_path: str, out_dir: str) -> None:
    """Fit the override's source with and without it, write both figures, print the numbers."""
    table = read_table(Path(results_dir) / "imfit/sersic.fits")
    save(chi2_figure(table["chi2_red"], table["flag"], DEFAULTS.poor_chi2), f"{out_dir}/adjusting-chi2.png")
    sys.stdout.write(summary(table["chi2_red"], table["flag"]) + "\n")
    source = int(re.findall(r"\d+", Path(override_path).stem)[-1])
    override = parse_override(Path(override_path).read_text(), override_path)
    field = FitField(Path(results_dir))
    group = next((name for name, g in field.groups.items() if source in g["members"]), None)
    if group is None or override is None:
        raise InputError(f"{override_path}: there is no such source in {results_dir}, or the file is empty.")
    data = field.less_neighbours(field.data(group, {}), group, {})
    pixels, psf = group_pixels(data), field.psf_of(group)
    models = {}
    for title, words in (("one Sersic, automatic", {}), ("with the override", {source: override})):
        fit = fit_second_pass(data, psf, fit_first_pass(data, psf, words))
        models[title] = exact_image(fit, ExactModel(pixels, psf))
        sys.stdout.write(f"{title}: reduced chi2 {fit.member(source).chi2_segment:.2f}, group {fit.reduced_chi2:.2f}\n")
    segment = np.asarray(data.segments == source)
    figure = before_and_after(pixels.image, pixels.error, pixels.mask, models, segment)
    save(figure, f"{out_dir}/adjusting-{source}.png")


def save(figure, path: str) -> None:  # type: ignore[no-untyped-def]
    """Write a figure without the time and the version in it."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    run(main)
