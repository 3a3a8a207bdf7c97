from __future__ import annotations

from pathlib import Path

from unblend.plan.config import config_schema
from unblend.plan.config_docs import SECTIONS, markdown, schema_text

ROOT = Path(__file__).resolve().parents[3]
RENEW = "is not up to date: run `make docs`"


def test_the_schema_is_up_to_date():
    path = "workflow/schemas/config.schema.yaml"
    assert (ROOT / path).read_text() == schema_text(), f"{path} {RENEW}"


def test_the_page_of_the_keys_is_up_to_date():
    assert (ROOT / "docs/config.md").read_text() == markdown(), f"docs/config.md {RENEW}"


def test_the_page_has_every_section_and_key():
    assert set(SECTIONS.values()) == set(config_schema()["$defs"])
    rows = [line for line in markdown().splitlines() if line.startswith("| `")]
    sections = [config_schema(), *config_schema()["$defs"].values()]
    assert len(rows) == sum(len(section["properties"]) for section in sections)
    assert all(row.count("|") == 6 for row in rows)


def test_a_row_says_default_values_unit_and_meaning():
    assert (
        "| `timeout` | `600` | a number above 0 | s | Processor time allowed for each pass of the fit of one group. |"
        in markdown()
    )
    assert "| `psf` | needed | text |" in markdown()
