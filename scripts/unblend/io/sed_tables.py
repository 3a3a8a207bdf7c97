"""Text files that programs for spectral energy distributions read: EAZY, FAST, LePhare, CIGALE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .files import write_text


def write_sed(path: str | Path, columns: Mapping[str, np.ndarray], comment: str, *, z_spec: bool = False) -> None:
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
        columns["z_spec"] = np.full(len(next(iter(columns.values()))), -1.0)
    lines = ["# " + " ".join(columns), f"# {comment}"]
    for row in zip(*columns.values(), strict=True):
        lines.append(" ".join([str(int(row[0])), *(_number(value) for value in row[1:])]))
    write_text(path, "\n".join(lines) + "\n")


def _number(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_translation(path: str | Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Write the translate file of EAZY and FAST: a name of a column and its number in a line, (F_f160w, F205)."""
    write_text(path, "".join(f"{name} {number}\n" for name, number in pairs))


def write_lephare_keywords(path: str | Path, filters: Sequence[str]) -> None:
    """Write the keywords of LePhare that belong to its table: a file to copy from, or to append to one's own.

    Parameters
    ----------
    path : path
        Its name without the ending is that of the table, which ends with .cat.
    filters : sequence of str
        Files of the filters below LePhare's folder filt, in the order of the table.
    """
    table = Path(path).with_suffix(".cat").name
    keywords = {
        "FILTER_LIST": ",".join(filters), "CAT_IN": table, "INP_TYPE": "F", "CAT_MAG": "AB", "CAT_FMT": "MEME",
        "CAT_TYPE": "LONG", "CAT_LINES": "0,1000000000",
    }  # fmt: skip
    write_text(path, "".join(f"{name:12s} {value}\n" for name, value in keywords.items()))
