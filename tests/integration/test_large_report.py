"""The report of a field that is large because the limit is low: its folder is a product like others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import Field

pytestmark = [pytest.mark.integration]

REPORT = {"report all"}


@pytest.fixture
def field(field: Field) -> Field:
    """The field with a page of files, of which nothing is to be done."""
    field = field.with_own_program()
    field.edit_code("unblend/field/page_size.py", "PAGE_SOURCES = 2000", "PAGE_SOURCES = 5")
    assert folders(field) == []
    field.redo(REPORT)
    field.redo(set())
    return field


def folders(field: Field) -> list[Path]:
    """Return what is beside the page, but for the time that Snakemake notes in a folder."""
    found = (field / "results/report/index_files").iterdir()
    return [path for path in found if path.name != ".snakemake_timestamp"]


def made(field: Field) -> str:
    """Return the name of the folder that the page names."""
    (folder,) = folders(field)
    assert f'"folder":"{folder.name}"' in (field / "results/report/index.html").read_text()
    assert (folder / "cards/0.js").exists() and (folder / "images/stack/0/0-0.js").exists()
    return folder.name


def test_the_files_of_a_large_page_follow_the_products(field: Field) -> None:
    before = made(field)
    shutil.rmtree(field / "results/report/index_files")
    field.redo(REPORT)
    assert made(field) == before, "the same products make the same files"
    (field / "results/report/index.html").unlink()
    field.redo(REPORT)
    assert made(field) == before
    field.edit_config(lambda config: config["target"].update(dec=config["target"]["dec"] + 2.0 / 3600.0))
    work = field.run().work
    assert work >= REPORT and not any(name.startswith("extract") for name in work)
    made(field)
    # small again: nothing of the large page stays
    field.edit_code("unblend/field/page_size.py", "PAGE_SOURCES = 5", "PAGE_SOURCES = 2000")
    field.redo(REPORT)
    assert folders(field) == []
    assert "png:stack:image" in (field / "results/report/index.html").read_text()
