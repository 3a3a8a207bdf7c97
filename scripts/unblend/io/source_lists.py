"""Lists of sources made by other programs: ID and position, in FITS tables, VOTables and text of several kinds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.angles import degrees_from_text
from ..core.errors import InputError
from .fits_files import open_fits
from .labels import MAX_ID
from .selections import split_extension
from .tables import columns

COLUMN_NAMES = {"id": ("id", "number"), "ra": ("ra", "alpha_j2000"), "dec": ("dec", "delta_j2000")}
"""Names of the columns that are read, in lower case; the first one in a table is used."""
_DEGREES = ("", "deg", "degree", "degrees")
_GZIP, _FITS = b"\x1f\x8b", b"SIMPLE"
_SEXTRACTOR_LINE = re.compile(r"#\s*\d+\s+[A-Za-z]\w*")
"""A line of the head of a SExtractor catalogue: the number and the name of a column."""
_FORMATS = {
    "ascii.ecsv": "ECSV",
    "votable": "a VOTable",
    "ascii.sextractor": "a SExtractor catalogue",
    "ascii.commented_header": "columns below a line of their names",
    "ascii.tab": "columns separated by tabs",
    "ascii.basic": "columns separated by blanks",
    "ascii.csv": "CSV",
}
"""Formats of text, and how messages call them."""
_HEAD_LINES = 1000
"""Lines from which the format is recognised; SExtractor has one for each column."""
_LISTED = 5
"""Number of IDs in a message."""


def read_source_list(name: str) -> np.ndarray:
    """Return ID and position of every source in a table, in order of ID.

    Parameters
    ----------
    name : str
        A FITS table, `file.fits` or `file.fits[EXT]` (by default the first table with the columns), a VOTable, ECSV,
        CSV, a catalogue of SExtractor (ASCII_HEAD), or columns separated by blanks or tabs below a line of their names,
        which may begin with `#`. The columns are id or number, ra or alpha_j2000, dec or delta_j2000, in upper or lower
        case. Positions are in degrees; text with colons or units is sexagesimal, the right ascension in hours.

    Returns
    -------
    structured array (n,)
        Columns id (int32), ra and dec (degrees).

    Raises
    ------
    InputError
        The file is missing, unreadable or empty or has no such columns; IDs are not unique whole numbers from 1 to
        `MAX_ID`; or positions are NaN or no angles.
    """
    found = _columns(name, ("id", "ra", "dec"))
    if not found["id"].size:
        raise InputError(f"{name} has no rows; expected one row for each source. Give another file.")
    ids = _ids(name, found["id"])
    ra, dec = _positions(name, found, ids, "for the sources")
    order = np.argsort(ids)
    return columns(id=ids[order], ra=ra[order], dec=dec[order])


def read_positions(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination (degrees) of every row of a table that `read_source_list` reads.

    No IDs are needed.

    Raises
    ------
    InputError
        As for `read_source_list`, except for what is wrong with IDs.
    """
    found = _columns(name, ("ra", "dec"))
    number = found["ra"].size
    if not number:
        raise InputError(f"{name} has no rows; expected one row for each source. Give another file.")
    return _positions(name, found, np.arange(1, number + 1), "in the rows")


def _positions(
    name: str, found: Mapping[str, np.ndarray], numbers: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns ra and dec in degrees; an error names the rows by `numbers`, `where` says what these are."""
    ra, dec = (_degrees(name, axis, found[axis], numbers) for axis in ("ra", "dec"))
    outside = (ra < -180.0) | (ra > 360.0) | (np.abs(dec) > 90.0)
    if outside.any():
        raise InputError(
            f"{name} has positions outside the sky {where} {listed(numbers[outside])}; expected ra from 0 to 360 "
            "and dec from -90 to 90 degrees. Correct the columns."
        )
    return ra % 360.0, dec


def listed(ids: np.ndarray | Sequence[int]) -> str:
    """Return IDs as text: the first few, and how many there are if there are more."""
    text = ", ".join(str(i) for i in ids[:_LISTED])
    return text if len(ids) <= _LISTED else f"{text} … ({len(ids)} in all)"


def _columns(name: str, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the needed columns as the table has them, masked values filled with NaN or empty text."""
    path, extension = split_extension(name)
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; expected a table of sources. Correct its name in config.yaml.")
    with Path(path).open("rb") as stream:
        start = stream.read(len(_FITS))
    if start == _FITS or start.startswith(_GZIP):
        return _fits_columns(path, extension, needed)
    return _text_columns(path, *_text_format(path), needed)


def _fits_columns(path: str, extension: str | None, needed: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with open_fits(path) as fits:
            tables = [hdu for hdu in fits if hasattr(hdu, "get_rec_dtype")]
            if extension is not None:
                tables = [hdu for hdu in tables if extension in (hdu.get_extname(), str(hdu.get_extnum()))]
            if not tables:
                which = f"no table in extension {extension!r}" if extension else "no table"
                raise InputError(f"{path} has {which}; expected a table of sources. Give another file or extension.")
            names = [_selected(hdu.get_colnames(), needed) for hdu in tables]
            number = next((i for i, selected in enumerate(names) if len(selected) == len(needed)), 0)
            hdu, selected = tables[number], _complete(path, tables[number].get_colnames(), needed)
            header = hdu.read_header()
            units = {n: str(header.get(f"TUNIT{hdu.get_colnames().index(c) + 1}", "")) for n, c in selected.items()}
            found = {n: np.asarray(hdu.read_column(c)) for n, c in selected.items()} if hdu.get_nrows() else None
    except OSError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path} cannot be read as a FITS table: {reason}. Check if the file is truncated.") from error
    if found is None:
        return dict.fromkeys(selected, np.zeros(0))
    _check_units(path, found, units)
    return found


def _text_format(path: str) -> tuple[str, dict[str, Any]]:
    """Return the format of a table that is text, by its first lines, and further arguments of the reader."""
    with Path(path).open(encoding="utf-8", errors="replace") as stream:
        lines = [line.strip() for line in itertools.islice(stream, _HEAD_LINES) if line.strip()]
    first = lines[0] if lines else ""
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    if first.startswith("# %ECSV"):
        return "ascii.ecsv", {}
    if first.lower().startswith(("<?xml", "<votable")):
        return "votable", {}
    if _SEXTRACTOR_LINE.match(first):
        return "ascii.sextractor", {}
    places = ("ra", "dec")
    names = [number for number, line in enumerate(comments) if len(_selected(line.strip("# ").split(), places)) == 2]
    if names:
        return "ascii.commented_header", {"header_start": names[-1]}
    if not comments and "," not in first and len(first.split()) > 1:
        return ("ascii.tab" if "\t" in first else "ascii.basic"), {}
    return "ascii.csv", {}


def _text_columns(path: str, format_: str, options: dict[str, Any], needed: Sequence[str]) -> dict[str, np.ndarray]:
    from astropy.table import Table

    try:
        table = Table.read(path, format=format_, **options)
    except Exception as error:  # the readers raise errors of many kinds, those of YAML among them
        reason = str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path} cannot be read as {_FORMATS[format_]}: {reason}. Give a FITS table, a VOTable, ECSV, or "
            "CSV with the names of the columns in its first line."
        ) from error
    selected = _complete(path, table.colnames, needed)
    found = {n: _filled(table[c]) for n, c in selected.items()}
    _check_units(path, found, {n: str(table[c].unit or "") for n, c in selected.items()})
    return found


def _filled(column: Any) -> np.ndarray:
    """Return a column of a table without mask: missing numbers as NaN, missing text as empty text."""
    if not isinstance(column, np.ma.MaskedArray):
        return np.asarray(column)
    return np.ma.filled(column, "") if column.dtype.kind in "US" else np.ma.filled(column.astype(float), np.nan)


def _selected(names: Sequence[str], needed: Sequence[str]) -> dict[str, str]:
    """Return the columns of a table that have ID and position, as far as there are any."""
    known = {name.strip("# ").lower(): name for name in reversed(names)}
    return {
        column: known[next(alias for alias in aliases if alias in known)]
        for column, aliases in COLUMN_NAMES.items()
        if column in needed and any(alias in known for alias in aliases)
    }


def _complete(path: str, names: Sequence[str], needed: Sequence[str]) -> dict[str, str]:
    selected = _selected(names, needed)
    missing = [" or ".join(COLUMN_NAMES[column]) for column in needed if column not in selected]
    if missing:
        raise InputError(
            f"{path} has no column {' and no column '.join(missing)}; "
            f"{'its columns are ' + ', '.join(names)[:200] if any(names) else 'it is empty'}. "
            f"Rename the columns of {'ID and ' if 'id' in needed else ''}position."
        )
    return selected


def _check_units(path: str, found: Mapping[str, np.ndarray], units: Mapping[str, str]) -> None:
    for axis in ("ra", "dec"):
        unit = units[axis].strip()
        if found[axis].dtype.kind not in "USO" and unit.lower() not in _DEGREES:
            raise InputError(f"{path} has the column {axis} in units of {unit!r}; expected degrees. Convert it.")


def _ids(name: str, column: np.ndarray) -> np.ndarray:
    try:
        values = column.astype(float)
    except ValueError:
        values = np.full(column.shape, np.nan)
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= 1) & (values <= MAX_ID) & (values == np.rint(values)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{name} has the ID {_text(column[row])!r} in row {row + 1} (rows like it: {np.count_nonzero(wrong)}); "
            f"expected whole numbers from 1 to {MAX_ID}. Correct the column."
        )
    ids, count = np.unique(values.astype(np.int32), return_counts=True)
    if (count > 1).any():
        raise InputError(
            f"{name} has several rows for the IDs {listed(ids[count > 1])}; expected one row for each source. Remove "
            "or renumber the others."
        )
    return values.astype(np.int32)


def _degrees(name: str, axis: str, column: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return a column of angles in degrees."""
    if column.dtype.kind in "USO":
        angles = [degrees_from_text(_text(value), hours=axis == "ra") for value in column]
    else:
        angles = column.astype(float).tolist()
    for i, angle in zip(ids, angles, strict=True):
        if not (isinstance(angle, float) and np.isfinite(angle)):
            raise InputError(
                f"{name} has {axis} = {angle!r} for source {i}; expected an angle in degrees, or sexagesimal text. "
                "Correct or remove this row."
            )
    return np.array(angles)


def _text(value: Any) -> str:
    return value.decode(errors="replace").strip() if isinstance(value, bytes) else str(value).strip()
