"""Snakemake's own report: one file, made offline, with captions and categories."""

from __future__ import annotations

import zipfile

import pytest
from harness import BANDS

pytestmark = [pytest.mark.integration]


def test_snakemakes_report_holds_page_tables_and_pictures(field):
    field.run("--report", "report.zip")
    with zipfile.ZipFile(field / "report.zip") as archive:
        names = {name.rsplit("/", 1)[-1]: name for name in archive.namelist()}
        told = archive.read(names["report.html"]).decode()
        page = archive.read(names["index.html"]).decode()
    assert {"catalogue.fits", "catalogue.ecsv", "catalogue.fast.cat", "catalogue.eazy.cat"} <= set(names)
    assert {f"{band}.png" for band in BANDS} <= set(names)
    assert 'id="data"' in page
    for words in ("Catalogue", "Page", "Bands", "convolved with the PSF of every band", "image, model, residual"):
        assert words in told, f"the report lacks {words!r}"
