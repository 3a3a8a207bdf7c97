"""FITS tables: structured arrays in, structured arrays out. Small and fast: jobs read and write many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import fitsio
import numpy as np

from ..core.errors import InputError
from .files import atomic_path


def write_table(
    path: str | Path,
    table: np.ndarray,
    *,
    units: Mapping[str, str] | None = None,
    header: Mapping[str, object] | None = None,
    name: str = "TABLE",
) -> None:
    """Write a structured array as a FITS table, whole or not at all; `units` by column name."""
    column_units = [(units or {}).get(column, "") for column in table.dtype.names or ()]
    records = [{"name": key, "value": value} for key, value in (header or {}).items() if value is not None]
    with atomic_path(path) as temporary, fitsio.FITS(str(temporary), "rw", clobber=True) as fits:
        fits.write(table, extname=name, units=column_units, header=records)


def read_table(path: str | Path) -> np.ndarray:
    """Return the first table of a FITS file as a structured array in native byte order.

    Raises
    ------
    InputError
        The file is missing, is not FITS, or holds no table.
    """
    if not Path(path).exists():
        raise InputError(f"{path} does not exist: expected a FITS table.")
    try:
        with fitsio.FITS(str(path), "r") as fits:
            if len(fits) < 2 or not hasattr(fits[1], "get_rec_dtype"):
                raise InputError(f"{path} holds no table in its first extension: expected one.")
            table = fits[1].read()
            if table is None:  # a table without rows
                table = np.zeros(0, dtype=fits[1].get_rec_dtype()[0])
    except OSError as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as a FITS table: {said}; is the file cut short?") from error
    return table.astype(table.dtype.newbyteorder("="))


def read_table_header(path: str | Path) -> dict[str, object]:
    """Return the header of the first table of a FITS file."""
    with fitsio.FITS(str(path), "r") as fits:
        return {r["name"]: r["value"] for r in fits[1].read_header().records() if r["name"]}


def columns(**arrays: np.ndarray) -> np.ndarray:
    """Return a structured array of the named columns, all of one length."""
    length = len(next(iter(arrays.values())))
    dtype = [(name, array.dtype, array.shape[1:]) for name, array in ((n, np.asarray(a)) for n, a in arrays.items())]
    table = np.zeros(length, dtype=dtype)
    for name, array in arrays.items():
        table[name] = array
    return table


def write_sources(path: str | Path, sources: np.ndarray, header: Mapping[str, object] | None = None) -> None:
    """Write a detection catalogue: x, y become 1-based pixels, as FITS and DS9 count them."""
    written = sources.copy()
    written["y"] += 1.0
    written["x"] += 1.0
    units = {"x": "pix", "y": "pix", "ra": "deg", "dec": "deg", "area": "pix2", "a": "pix", "b": "pix", "theta": "deg"}
    write_table(path, written, units=units, header=header, name="SOURCES")


def read_sources(path: str | Path) -> np.ndarray:
    """Return a detection catalogue with 0-based x, y."""
    sources = read_table(path)
    sources["y"] -= 1.0
    sources["x"] -= 1.0
    return sources
