"""The names of common filters in SED codes, from sed_filters.yaml."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".yaml")


@cache
def _table() -> list[tuple[frozenset[str], dict[str, Any]]]:
    import yaml

    rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return [(frozenset(str(name).split()), row) for row in rows for name in row["names"]]


def names_in_codes(*names: str) -> dict[str, Any]:
    """Return what SED codes call a filter, by code: `eazy`, the number (also that of FAST), and `prospector`.

    Parameters
    ----------
    *names : str
        Names by which a user calls the filter, such as `hst-f160w` or `irac-ch1`; the first that is known counts. A
        whole number is that of EAZY.

    Returns
    -------
    dict
        Empty where no name is known.
    """
    for name in names:
        if name.isdigit():
            return {"eazy": int(name)}
        words = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
        fitting = [(len(needed), row) for needed, row in _table() if needed <= words]
        if fitting:
            row = max(fitting, key=lambda pair: pair[0])[1]
            return {code: row[code] for code in ("eazy", "prospector") if code in row}
    return {}
