"""Units, UCDs and descriptions of the columns of the catalogue, from catalogue_columns.yaml; the page about them."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_suffix(".yaml")
HEAD = """# The columns of the catalogue

Made by `make docs` from `scripts/unblend/io/catalogue_columns.yaml`; do not edit this page. The same units,
descriptions and UCDs are in `catalogue.fits` (`TUNIT`, `TCOMM`, `TUCD`), `catalogue.ecsv` and `catalogue.vot`. `{band}`
is the name of a band. Image units are those of the band's image, whose AB zero point is in the header (`BAND1`, `ZP1`,
and in `ZPFR1` what it is from). The bits of the flags are in [flags.md](flags.md).

A table in FITS has 999 columns at most. Where a field has more (about 37 bands), whole bands follow in the extensions
`CATALOGUE2`, `CATALOGUE3` …, with the same rows and their `id`; `catalogue.ecsv` and `catalogue.vot` have all columns.

In `catalogue.vot` the columns have names that SQL and ADQL take without quotes, as in `SELECT flux_irac_ch1`: `_`
stands for every `-`, `.` and `+` in the name of a band, and `area` is called `segment_area`. If two
bands would then have the same columns, these keep their names, and need quotes.

| column | unit | UCD | meaning |
|---|---|---|---|
"""

RESERVED = {"area": "segment_area"}
"""Columns whose names are words of ADQL, and what they are called where these need quotes."""


@dataclass(frozen=True)
class Column:
    """A column: its name, in which {band} may stand for a band, unit in FITS notation, UCD and description."""

    name: str
    unit: str
    ucd: str
    description: str


@functools.cache
def catalogue_columns() -> tuple[Column, ...]:
    """Return all columns that the catalogue may have, in its order."""
    import yaml

    return tuple(Column(**row) for row in yaml.safe_load(TABLE.read_text(encoding="utf-8")))


def columns_of(bands: Iterable[str]) -> dict[str, Column]:
    """Return the columns that the catalogue of these bands may have, by their names in it."""
    described = {}
    for band in ("", *bands):
        for column in catalogue_columns():
            if ("{band}" in column.name) == bool(band):
                described[column.name.format(band=band)] = column
    return described


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each column a name that SQL and ADQL take without quotes: letters, digits and underscores.

    Parameters
    ----------
    names : iterable of str
        As in the catalogue. Each begins with a letter.

    Returns
    -------
    dict
        Columns whose new names would be equal, in upper or lower case, keep their own.
    """
    plain = {name: RESERVED.get(name, re.sub(r"\W", "_", name, flags=re.ASCII)) for name in names}
    number = Counter(new.lower() for new in plain.values())
    return {name: new if number[new.lower()] == 1 else name for name, new in plain.items()}


def markdown() -> str:
    """Return the content of docs/columns.md."""
    rows = [f"| `{c.name}` | {c.unit} | `{c.ucd}` | {c.description} |" for c in catalogue_columns()]
    return HEAD + "\n".join(rows) + "\n"
