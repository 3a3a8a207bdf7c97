"""Writing of the catalogue as FITS, ECSV and VOTable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .catalogue_columns import Column, plain_names
from .files import atomic_path
from .tables import columns as as_table
from .tables import write_table

if TYPE_CHECKING:
    from astropy.table import Table


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

    units = {name: described[name].unit for name in columns if name in described}
    cards: dict[str, object] = {}
    for number, name in enumerate(columns, start=1):
        if name in described:
            cards |= {f"TCOMM{number}": described[name].description, f"TUCD{number}": described[name].ucd}
    write_table(fits_path, as_table(**columns), units=units, header={**header, **cards}, name="CATALOGUE")
    table = Table(dict(columns), meta=dict(header))
    for name in units:
        table[name].unit = units[name] or None
        table[name].description = described[name].description
        table[name].meta["ucd"] = described[name].ucd
    with atomic_path(ecsv_path) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)
    with atomic_path(votable_path) as temporary:
        _write_votable(temporary, table)


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
