"""Writing of the catalogue as FITS and ECSV, and as ASCII tables for FAST and EAZY."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .files import atomic_path, write_text
from .tables import columns as as_table
from .tables import write_table


def write_catalogue(
    fits_path: str | Path,
    ecsv_path: str | Path,
    columns: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    header: Mapping[str, object],
) -> None:
    """Write a catalogue both as FITS and as ECSV.

    Parameters
    ----------
    fits_path, ecsv_path : path
    columns : mapping of name to array
        All columns have the same length.
    units : mapping of column name to unit
        Units in the notation of FITS.
    header : mapping
        Cards of the FITS header, and the metadata of the ECSV file.
    """
    from astropy.table import Table

    write_table(fits_path, as_table(**columns), units=units, header=header, name="CATALOGUE")
    table = Table(dict(columns), meta=dict(header))
    for name, unit in units.items():
        if name in table.colnames:
            table[name].unit = unit
    with atomic_path(ecsv_path) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


def write_sed(path: str | Path, columns: Mapping[str, np.ndarray], comment: str, *, z_spec: bool) -> None:
    """Write an ASCII table of fluxes for a program that fits spectral energy distributions.

    Parameters
    ----------
    path : path
    columns : mapping of name to array
        The first column is the integer `id`. The names form the first line, after a `#`.
    comment : str
        Second line of the file.
    z_spec : bool
        Add a column `z_spec` of -1, the unknown redshifts that FAST expects.
    """
    columns = dict(columns)
    if z_spec:
        columns["z_spec"] = np.full(len(columns["id"]), -1.0)
    lines = ["# " + " ".join(columns), f"# {comment}"]
    for row in zip(*columns.values(), strict=True):
        lines.append(" ".join([str(int(row[0])), *(f"{value:.6g}" for value in row[1:])]))
    write_text(path, "\n".join(lines) + "\n")
