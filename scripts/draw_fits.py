"""Draw a picture of every fit group, or of the worst ones of a large field, and the sheet of them, worst first."""

from __future__ import annotations

import logging
from pathlib import Path

from unblend.core.large_field import is_large
from unblend.field.fit_field import FitField
from unblend.field.stored_fits import PICTURE
from unblend.io.files import read_json, write_text
from unblend.report.fit_descriptions import badness
from unblend.report.fit_sheet import sheet
from unblend.run.draw_pictures import draw_group
from unblend.run.job_log import run
from unblend.run.second_pass import passes_by_group

log = logging.getLogger("unblend.draw_fits")

WORST = 200
"""Number of groups of a large field that are drawn."""


def main(spec_path: str, results_dir: str, sheet_path: str) -> None:
    """Write imfit/{main}/fit.png of every group whose picture would look different now, and sheet.html.

    In a large field the groups with the worst fits alone are drawn, and IMFIT's files written for them.
    """
    spec, field = read_json(spec_path), FitField(Path(results_dir))
    groups = list(field.groups)
    if is_large(field.shape):
        groups = worst(field, WORST)
        log.info("the %d worst of %d groups are drawn; the others by ./unblend open", len(groups), len(field.groups))
        # the files of a fit are deleted with its picture, which is drawn after them
        new = [group for group in groups if not (field.folder / group / PICTURE).exists()]
        for group, second in passes_by_group(FitField(field.results, spec["gain"]), new).items():
            second.write_again(group)
    cards = [draw_group(field, group, spec["drawing"]) for group in groups]
    write_text(sheet_path, sheet(cards, len(field.groups)))


def worst(field: FitField, number: int) -> list[str]:
    """Return the groups with the worst fits: those that failed, then the largest reduced chi2."""
    order = {}
    for group in field.groups:
        failed, chi2 = badness(field.result(group, "second"))
        order[group] = (-failed, -chi2, int(group))
    return sorted(order, key=order.__getitem__)[:number]


if __name__ == "__main__":
    run(main)
