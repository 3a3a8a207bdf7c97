"""A page to look at: the field, every source, every band, the fits, the time it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import unblend
from unblend.field.page_size import needs_files, page_megapixels
from unblend.io.files import atomic_folder, atomic_path, read_json, write_json, write_text
from unblend.io.tables import read_table_header
from unblend.report.assets import FILE_PROGRAMS, PROGRAMS, read_programs, read_style
from unblend.report.content import read_field
from unblend.report.page import page
from unblend.report.page_folder import FOLDER, PageFolder
from unblend.report.survey import write_survey
from unblend.run.job_log import record_work, run
from unblend.run.product_record import product_record


def main(spec_path: str, results_dir: str, page_path: str, provenance_path: str) -> None:
    """Write index.html, and beside it index_files and {band}.png; and what made all products."""
    spec, results = read_json(spec_path), Path(results_dir)
    images: dict[str, bytes] = {}
    with atomic_folder(Path(page_path).with_name(FOLDER)) as folder:
        if large := is_large(spec, results):
            content, pictures = write_survey(spec, results, PageFolder(folder))
        else:
            content, images, pictures = read_field(spec, results)
    content["version"] = unblend.__version__
    programs = read_programs(FILE_PROGRAMS if large else PROGRAMS)
    write_text(page_path, page("unblend: report", content, images, read_style(), programs))
    for band, picture in pictures.items():
        with atomic_path(Path(page_path).with_name(f"{band}.png")) as temporary:
            temporary.write_bytes(picture)
    write_json(provenance_path, product_record(results, unblend.__version__))
    record_work("report", "all")


def is_large(spec: dict[str, Any], results: Path) -> bool:
    """Return whether the pixels and numbers of the page are in files beside it."""
    files = {band: settings["image"] for band, settings in spec["bands"].items()}
    number = int(read_table_header(results / "catalogue.fits")["NAXIS2"])  # type: ignore[call-overload]
    return needs_files(number, page_megapixels(str(results / "det_stack.fits"), files, spec["order"]))


if __name__ == "__main__":
    run(main)
