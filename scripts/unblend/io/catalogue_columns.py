"""Units, UCDs and descriptions of the columns of the catalogue, from catalogue_columns.yaml; the page about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_suffix(".yaml")
HEAD = """# The columns of the catalogue

Made by `make docs` from `scripts/unblend/io/catalogue_columns.yaml`; do not edit this page. The same units,
descriptions and UCDs are in `catalogue.fits` (`TUNIT`, `TCOMM`, `TUCD`), `catalogue.ecsv` and `catalogue.vot`. `{band}`
is the name of a band. Image units are those of the band's image, whose AB zero point is in the header (`BAND1`, `ZP1`,
and in `ZPFR1` what it is from). The bits of the flags are in [flags.md](flags.md).

| column | unit | UCD | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Column:
    """A column: its name, in which {band} may stand for a band, unit in FITS notation, UCD and description."""

    name: str
    unit: str
    ucd: str
    description: str


def catalogue_columns() -> list[Column]:
    """Return all columns that the catalogue may have, in its order."""
    import yaml

    return [Column(**row) for row in yaml.safe_load(TABLE.read_text(encoding="utf-8"))]


def columns_of(bands: Iterable[str]) -> dict[str, Column]:
    """Return the columns that the catalogue of these bands may have, by their names in it."""
    described = {}
    for band in ("", *bands):
        for column in catalogue_columns():
            if ("{band}" in column.name) == bool(band):
                described[column.name.format(band=band)] = column
    return described


def markdown() -> str:
    """Return the content of docs/columns.md."""
    rows = [f"| `{c.name}` | {c.unit} | `{c.ucd}` | {c.description} |" for c in catalogue_columns()]
    return HEAD + "\n".join(rows) + "\n"
