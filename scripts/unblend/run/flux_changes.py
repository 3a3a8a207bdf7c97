"""What a run has changed: the fluxes of two catalogues of a field, source by source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def flux_changes(before: np.ndarray, after: np.ndarray, bands: Sequence[str]) -> list[dict[str, Any]]:
    """Return the sources whose fluxes differ, those that are new, and those that are gone; the largest change first.

    Parameters
    ----------
    before, after : structured arrays
        Catalogues: id, and flux_{band} and err_{band} of the bands that each has.
    bands : sequence of str

    Returns
    -------
    list of dict
        `id`; `state`: changed, new or gone; `sigmas`: the largest change of a flux over its error before, None of new
        sources and of those that are gone, which come first; `bands`: for each band that differs old flux, old error,
        new flux and new error, None where there is none or it is NaN.
    """
    old, new = ({int(row["id"]): row for row in table} for table in (before, after))
    found = []
    for source in sorted(old.keys() | new.keys()):
        rows = old.get(source), new.get(source)
        numbers = {band: [value for row in rows for value in _numbers(row, band)] for band in bands}
        differing = {band: values for band, values in numbers.items() if values[:2] != values[2:]}
        state = "new" if rows[0] is None else "gone" if rows[1] is None else "changed"
        if differing or state != "changed":
            sigmas = max(map(_sigmas, differing.values()), default=0.0) if state == "changed" else None
            found.append({"id": source, "state": state, "sigmas": sigmas, "bands": differing})
    return sorted(found, key=lambda one: -math.inf if one["sigmas"] is None else -float(one["sigmas"]))


def _numbers(row: np.void | None, band: str) -> list[float | None]:
    """Return flux and error of a band; None where they are not known."""
    if row is None or f"flux_{band}" not in (row.dtype.names or ()):
        return [None, None]
    values = (float(row[f"flux_{band}"]), float(row[f"err_{band}"]))
    return [value if math.isfinite(value) else None for value in values]


def _sigmas(values: Sequence[float | None]) -> float:
    """Return the change of a flux over its error before; the largest number where one of them is not known."""
    old, error, new, _ = values
    return abs(new - old) / error if old is not None and new is not None and error else 1e9
