"""FITS tables, read and written as structured arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from .fits_files import new_fits, open_fits
from .headers import read_cards

if TYPE_CHECKING:
    import fitsio


def write_table(
    path: str | Path,
    table: np.ndarray,
    *,
    units: Mapping[str, str] | None = None,
    header: Mapping[str, object] | None = None,
    name: str = "TABLE",
) -> None:
    """Write a structured array as a FITS table, complete or not at all.

    Parameters
    ----------
    path : path
    table : structured array
    units : mapping of column name to unit, optional
        Columns may be missing.
    header : mapping, optional
        Cards of the header; those whose value is None are left out.
    name : str
        Name of the extension.
    """
    with new_fits(path) as fits:
        append_table(fits, table, units=units, header=header, name=name)


def append_table(
    fits: fitsio.FITS,
    table: np.ndarray,
    *,
    units: Mapping[str, str] | None = None,
    header: Mapping[str, object] | None = None,
    name: str = "TABLE",
) -> None:
    """Write a structured array as the next table of an open FITS file, as `write_table` does."""
    column_units = [(units or {}).get(column, "") for column in table.dtype.names or ()]
    records = [{"name": key, "value": value} for key, value in (header or {}).items() if value is not None]
    fits.write(table, extname=name, units=column_units, header=records)


def read_table(path: str | Path, names: Sequence[str] | None = None, *, extension: int = 1) -> np.ndarray:
    """Return a table of a FITS file as a structured array in native byte order.

    Parameters
    ----------
    path : path
    names : sequence of str, optional
        Columns to read, those that the table has: the others of a table of many bands take no memory.
    extension : int
        Number of the extension, from 1.

    Raises
    ------
    InputError
        The file is missing, is not a FITS file, or has no table there.
    """
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; expected a FITS table.")
    try:
        with open_fits(path) as fits:
            if len(fits) <= extension or not hasattr(fits[extension], "get_rec_dtype"):
                which = "its first extension" if extension == 1 else f"extension {extension}"
                raise InputError(f"{path} has no table in {which}; expected a FITS table.")
            hdu = fits[extension]
            kept = None if names is None else [name for name in hdu.get_colnames() if name in set(names)]
            table = hdu.read(columns=kept)
            if table is None:  # the table has no rows
                table = np.zeros(0, dtype=hdu.get_rec_dtype()[0])
    except OSError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path} cannot be read as a FITS table: {reason}. Check if the file is truncated.") from error
    return table.astype(table.dtype.newbyteorder("="), copy=False)


def read_table_header(path: str | Path) -> dict[str, object]:
    """Return the header of the first table of a FITS file."""
    with open_fits(path) as fits:
        return read_cards(fits[1])


def columns(**arrays: np.ndarray) -> np.ndarray:
    """Return a structured array of the named columns, which have the same length."""
    length = len(next(iter(arrays.values())))
    dtype = [(name, array.dtype, array.shape[1:]) for name, array in ((n, np.asarray(a)) for n, a in arrays.items())]
    table = np.zeros(length, dtype=dtype)
    for name, array in arrays.items():
        table[name] = array
    return table


def write_sources(path: str | Path, sources: np.ndarray, header: Mapping[str, object] | None = None) -> None:
    """Write a detection catalogue with x and y as 1-based pixels, as in FITS and DS9.

    Parameters
    ----------
    path : path
    sources : structured array
        Catalogue with 0-based x and y.
    header : mapping, optional
        Cards of the header.
    """
    written = sources.copy()
    written["y"] += 1.0
    written["x"] += 1.0
    units = {"x": "pix", "y": "pix", "ra": "deg", "dec": "deg", "area": "pix2", "a": "pix", "b": "pix", "theta": "deg"}
    write_table(path, written, units=units, header=header, name="SOURCES")


def read_sources(path: str | Path) -> np.ndarray:
    """Return a detection catalogue with 0-based x and y."""
    sources = read_table(path)
    sources["y"] -= 1.0
    sources["x"] -= 1.0
    return sources
