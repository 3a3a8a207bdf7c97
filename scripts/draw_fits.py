"""Draw a picture of every fit group, and the sheet of all of them, worst first."""

from __future__ import annotations

from pathlib import Path

from unblend.field.fit_field import FitField
from unblend.io.files import read_json, write_text
from unblend.report.fit_sheet import sheet
from unblend.run.draw_pictures import draw_group
from unblend.run.job_log import run


def main(spec_path: str, results_dir: str, sheet_path: str) -> None:
    """Write imfit/{main}/fit.png of every group whose picture would look different now, and sheet.html."""
    spec, field = read_json(spec_path), FitField(Path(results_dir))
    cards = [draw_group(field, group, spec["drawing"]) for group in field.groups]
    write_text(sheet_path, sheet(cards))


if __name__ == "__main__":
    run(main)
