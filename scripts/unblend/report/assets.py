"""The CSS and JavaScript files of the report's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "page_files"
STYLE = "style.css"
PROGRAMS = (
    "base.js",
    "summary.js",
    "plots.js",
    "overview.js",
    "cards.js",
    "table.js",
    "bands.js",
    "edit.js",
    "main.js",
)
"""JavaScript files in the order in which the page executes them."""
FILE_PROGRAMS = (*PROGRAMS[:-1], "files.js", "viewer.js", PROGRAMS[-1])
"""Those of a large page, whose pixels and numbers are in files beside it."""


def read_style() -> str:
    """Return the page's CSS."""
    return (FOLDER / STYLE).read_text(encoding="utf-8")


def read_programs(names: Sequence[str] = PROGRAMS) -> list[tuple[str, str]]:
    """Return JavaScript files of the page as (name, text)."""
    return [(name, (FOLDER / name).read_text(encoding="utf-8")) for name in names]
