"""One page to look at: detection, bands, shifts, fits."""

from __future__ import annotations

from pathlib import Path

from unblend.extraction import nearest_source
from unblend.io.files import read_json, write_text
from unblend.io.report_sections import band_section, detection_section, fits_section, summary_section
from unblend.io.scenes import load_models
from unblend.io.tables import read_sources
from unblend.page import page
from unblend.runlog import record_work, run


def main(spec_path: str, results_dir: str, page_path: str) -> None:
    """Write index.html."""
    spec, results = read_json(spec_path), Path(results_dir)
    sources = read_sources(results / "det_cat.fits")
    target = nearest_source(load_models(results), spec["target"])
    sections = [
        ("Detection", detection_section(results, sources, target)),
        ("Summary", summary_section(results, spec["order"])),
        *((band, band_section(results, band, spec["bands"][band], sources)) for band in spec["order"]),
        ("Fits", fits_section(results)),
    ]
    lead = (
        f"{len(sources)} sources, {len(spec['order'])} bands. Black is light, brown is masked; circles are where the "
        "Monte Carlo takes its noise."
    )
    write_text(page_path, page("unblend", lead, sections))
    record_work("report", "all")


if __name__ == "__main__":
    run(main)
