"""Writing of the catalogue as FITS, ECSV and VOTable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .catalogue_columns import Column, plain_names
from .files import atomic_path
from .fits_files import new_fits
from .tables import append_table, read_table, read_table_header
from .tables import columns as as_table

if TYPE_CHECKING:
    from astropy.table import Table

MAX_COLUMNS = 999
"""Of a FITS table (FITS standard 4.0, section 7.3.1: TFIELDS)."""
TABLES = "NTABLES"
"""Card with the number of tables of a catalogue."""


def write_catalogue(
    fits_path: str | Path,
    ecsv_path: str | Path,
    votable_path: str | Path,
    columns: Mapping[str, np.ndarray],
    described: Mapping[str, Column],
    header: Mapping[str, object],
) -> None:
    """Write a catalogue as FITS, as ECSV and as VOTable, the last with the names of `plain_names`.

    Parameters
    ----------
    fits_path, ecsv_path, votable_path : path
    columns : mapping of name to array
        All columns have the same length.
    described : mapping of column name to Column
        Units, UCDs and descriptions; columns may be missing, and more may be given.
    header : mapping
        Cards of the FITS header, and the metadata of the ECSV file.
    """
    from astropy.table import Table

    _write_fits(fits_path, columns, described, header)
    table = Table(dict(columns), meta=dict(header))
    for name in [name for name in columns if name in described]:
        table[name].unit = described[name].unit or None
        table[name].description = described[name].description
        table[name].meta["ucd"] = described[name].ucd
    with atomic_path(ecsv_path) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)
    with atomic_path(votable_path) as temporary:
        _write_votable(temporary, table)


def _write_fits(
    path: str | Path, columns: Mapping[str, np.ndarray], described: Mapping[str, Column], header: Mapping[str, object]
) -> None:
    """Write a catalogue as FITS, whose tables have 999 columns at most.

    Those of many bands go on in extensions CATALOGUE2, CATALOGUE3 …, each with the IDs, the same rows and whole bands.
    `read_catalogue` puts them together.
    """
    units = {name: described[name].unit for name in columns if name in described}
    parts = columns_by_table(list(columns), described)
    if len(parts) > 1:
        header = {**header, TABLES: len(parts)}
    with new_fits(path) as fits:
        for number, names in enumerate(parts, start=1):
            cards: dict[str, object] = dict(header) if number == 1 else {}
            for place, name in enumerate(names, start=1):
                if name in described:
                    cards |= {f"TCOMM{place}": described[name].description, f"TUCD{place}": described[name].ucd}
            table = as_table(**{name: columns[name] for name in names})
            append_table(
                fits, table, units=units, header=cards, name="CATALOGUE" if number == 1 else f"CATALOGUE{number}"
            )


def columns_by_table(names: Sequence[str], described: Mapping[str, Column]) -> list[list[str]]:
    """Return the columns of each FITS table of a catalogue: all in one, or else whole bands and the IDs in each."""
    starts = [i for i, name in enumerate(names) if name in described and described[name].name == "flux_{band}"]
    blocks = [list(names[a:b]) for a, b in zip([0, *starts], [*starts, len(names)], strict=True)]
    parts: list[list[str]] = [[]]
    for block in blocks:
        if len(parts[-1]) + len(block) > MAX_COLUMNS:
            parts.append(["id"])
        parts[-1] += block
    return parts


def read_catalogue(path: str | Path, names: Sequence[str] | None = None) -> np.ndarray:
    """Return the catalogue in a FITS file, whose columns may be in several tables, as one structured array.

    Parameters
    ----------
    path : path
    names : sequence of str, optional
        Columns to read, those that the catalogue has; the IDs are always read where there are several tables.

    Raises
    ------
    InputError
        The file is missing, is not a FITS file, or lacks a table.
    """
    number = int(read_table_header(path).get(TABLES, 1)) if Path(path).exists() else 1  # type: ignore[call-overload]
    if number == 1:
        return read_table(path, names)
    wanted = None if names is None else ["id", *names]
    parts = [read_table(path, wanted, extension=extension) for extension in range(1, number + 1)]
    return as_table(**{name: part[name] for part in parts for name in part.dtype.names or ()})


def _write_votable(path: Path, table: Table) -> None:
    """Write a table as VOTable, with plain names and the UCDs of its columns, and its metadata as parameters."""
    from astropy.io.votable.tree import Param, VOTableFile

    plain = plain_names(table.colnames)
    table.rename_columns(list(plain), list(plain.values()))
    votable = VOTableFile.from_table(table, table_id="catalogue")
    first = votable.get_first_table()
    for field in first.fields:
        field.ucd = table[field.name].meta.get("ucd")
    for key, value in table.meta.items():
        if isinstance(value, str):
            first.params.append(Param(votable, name=key, datatype="char", arraysize="*", value=value))
        elif isinstance(value, int | float):
            first.params.append(Param(votable, name=key, datatype="double", value=float(value)))
    votable.to_xml(str(path))
