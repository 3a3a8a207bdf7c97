"""The columns of the catalogue that SED codes read: fluxes and errors of the bands with a zero point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

NOT_OBSERVED = -99.0
"""Value that EAZY, FAST and LePhare read as a flux that was not measured."""
CGS_PER_UJY = 1e-29
"""erg/s/cm²/Hz in a microjansky."""


def sed_columns(catalogue: Mapping[str, np.ndarray], filters: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return id and, for each band with a zero point, F and E in microjansky (AB zero point 23.9), for EAZY and FAST.

    `filters` gives the name of each band in the SED code: a number becomes `F205`, a word `F_word`. A flux that was not
    measured is −99.
    """
    columns: dict[str, np.ndarray] = {"id": catalogue["id"]}
    for band, flux, error, measured in _measured(catalogue, filters):
        columns[f"F{suffix(filters[band])}"] = np.where(measured, flux, NOT_OBSERVED)
        columns[f"E{suffix(filters[band])}"] = np.where(measured, error, NOT_OBSERVED)
    return columns


def suffix(name: str) -> str:
    """Return what follows F and E in the names of the columns of a filter: `205`, `_word`."""
    return name if name.isdigit() else f"_{name}"


def translation(catalogue: Mapping[str, np.ndarray], bands: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the names of columns in the tables of EAZY and FAST, each with its number: (F_f160w, F205).

    Parameters
    ----------
    catalogue : mapping
    bands : mapping of band to mapping
        `filter`, and under `sed` the number `eazy`. Bands without one are left out, and those whose columns have it.
    """
    found, used = [], Counter(settings["filter"] for settings in bands.values())
    for band, settings in bands.items():
        number, name = str(settings["sed"].get("eazy", "")), suffix(settings["filter"])
        if f"flux_{band}_ujy" in catalogue and number and name != number:
            # EAZY takes a filter twice where a letter follows its number
            letter = chr(ord("a") + used[number] - 1) if used[number] else ""
            used[number] += 1
            found += [(f"{column}{name}", f"{column}{number}{letter}") for column in "FE"]
    return found


def lephare_columns(catalogue: Mapping[str, np.ndarray], filters: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return LePhare's long format: id, flux and error of each band in erg/s/cm²/Hz, context, redshift, a word.

    The context is the sum of 2^k over the bands k that were measured, from 0. A redshift that is not known, and a flux
    that was not measured, are −99.
    """
    columns: dict[str, np.ndarray] = {"id": catalogue["id"]}
    context = np.zeros(len(catalogue["id"]), dtype=np.int64)
    for k, (band, flux, error, measured) in enumerate(_measured(catalogue, filters)):
        columns[f"f_{filters[band]}"] = np.where(measured, flux * CGS_PER_UJY, NOT_OBSERVED)
        columns[f"ferr_{filters[band]}"] = np.where(measured, error * CGS_PER_UJY, NOT_OBSERVED)
        context += measured.astype(np.int64) << k
    columns["context"], columns["zspec"] = context, np.full(len(context), NOT_OBSERVED)
    columns["string_input"] = np.full(len(context), "unblend")
    return columns


def cigale_columns(catalogue: Mapping[str, np.ndarray], filters: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the columns of CIGALE: id, redshift (unknown: NaN), flux and error of each band in mJy (missing: NaN)."""
    columns: dict[str, np.ndarray] = {"id": catalogue["id"], "redshift": np.full(len(catalogue["id"]), np.nan)}
    for band, flux, error, measured in _measured(catalogue, filters):
        columns[filters[band]] = np.where(measured, flux / 1e3, np.nan)
        columns[f"{filters[band]}_err"] = np.where(measured, error / 1e3, np.nan)
    return columns


def _measured(
    catalogue: Mapping[str, np.ndarray], filters: Mapping[str, str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield name, fluxes and errors in microjansky of the bands with a zero point, and which sources were measured."""
    for band in filters:
        if f"flux_{band}_ujy" in catalogue:
            flux, error = catalogue[f"flux_{band}_ujy"], catalogue[f"err_{band}_ujy"]
            yield band, flux, error, np.isfinite(flux) & np.isfinite(error) & (error > 0)
