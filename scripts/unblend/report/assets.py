"""The CSS and JavaScript files of the report's page."""

from __future__ import annotations

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


def read_style() -> str:
    """Return the page's CSS."""
    return (FOLDER / STYLE).read_text(encoding="utf-8")


def read_programs() -> list[tuple[str, str]]:
    """Return the page's JavaScript files as (name, text)."""
    return [(name, (FOLDER / name).read_text(encoding="utf-8")) for name in PROGRAMS]
