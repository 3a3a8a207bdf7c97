"""One page to look at: the field, every source, every band, the fits, the time it took."""

from __future__ import annotations

from pathlib import Path

import unblend
from unblend.io.files import atomic_path, read_json, write_json, write_text
from unblend.report.assets import read_programs, read_style
from unblend.report.content import read_field
from unblend.report.page import page
from unblend.run.job_log import record_work, run
from unblend.run.product_record import product_record


def main(spec_path: str, results_dir: str, page_path: str, provenance_path: str) -> None:
    """Write index.html, and beside it {band}.png; and what made all products."""
    content, images, pictures = read_field(read_json(spec_path), Path(results_dir))
    content["version"] = unblend.__version__
    write_text(page_path, page("unblend: report", content, images, read_style(), read_programs()))
    for band, picture in pictures.items():
        with atomic_path(Path(page_path).with_name(f"{band}.png")) as temporary:
            temporary.write_bytes(picture)
    write_json(provenance_path, product_record(Path(results_dir), unblend.__version__))
    record_work("report", "all")


if __name__ == "__main__":
    run(main)
