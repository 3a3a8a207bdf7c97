"""The catalogue: bands put together, adopted errors, magnitudes, the columns of the SED codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.units import flux_to_mag, flux_to_ujy

NOT_OBSERVED = -99.0
"""What EAZY and FAST take for a flux that was not measured."""
MAG_PER_RELATIVE = 2.5 / np.log(10.0)
"""Magnitudes per relative error of a flux."""


def adopted_error(
    flux: np.ndarray, formal: np.ndarray, shape: np.ndarray, *, scale: float, error_floor: float
) -> np.ndarray:
    """Return the error of the catalogue.

    Parameters
    ----------
    flux, formal, shape : arrays (n,)
        Image units. `formal` honours correlated noise; `shape` is the error from the fitted shape, NaN where it
        is not known (then it counts as nothing).
    scale : float
        Monte Carlo over formal, pooled over the band, where it is significantly above one; else 1.
    error_floor : float
        Fraction of the flux.

    Returns
    -------
    array (n,)
        The parts added in quadrature; NaN where there is no flux.
    """
    parts = (scale * formal) ** 2 + np.nan_to_num(shape) ** 2 + (error_floor * np.nan_to_num(flux)) ** 2
    return np.where(np.isfinite(flux), np.sqrt(parts), np.nan)


def band_columns(
    name: str, fluxes: Mapping[str, np.ndarray], *, scale: float, error_floor: float, zero_point_ab: float | None
) -> dict[str, np.ndarray]:
    """Return the columns of one band; microjansky and magnitudes where there is a zero point.

    `fluxes` holds flux, flux_err, flux_err_shape, flux_err_sim and flag, of one length.
    """
    flux = fluxes["flux"]
    error = adopted_error(flux, fluxes["flux_err"], fluxes["flux_err_shape"], scale=scale, error_floor=error_floor)
    columns = {f"flux_{name}": flux, f"err_{name}": error, f"flag_{name}": fluxes["flag"]}
    columns[f"err_formal_{name}"] = fluxes["flux_err"]
    columns[f"err_sim_{name}"] = fluxes["flux_err_sim"]
    columns[f"err_shape_{name}"] = fluxes["flux_err_shape"]
    magnitude = np.full(len(flux), np.nan)
    if zero_point_ab is not None:
        magnitude = flux_to_mag(flux, zero_point_ab)
        columns[f"flux_{name}_ujy"] = flux_to_ujy(flux, zero_point_ab)
        columns[f"err_{name}_ujy"] = flux_to_ujy(error, zero_point_ab)
    columns[f"mag_{name}"] = magnitude
    positive = np.where(flux > 0, flux, np.nan)
    columns[f"mag_err_{name}"] = np.where(np.isfinite(magnitude), MAG_PER_RELATIVE * error / positive, np.nan)
    return columns


def column_units(columns: Mapping[str, Any]) -> dict[str, str]:
    """Return the units of the catalogue's columns by name, as FITS writes them."""
    units = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix", "area": "pix2", "r_e_arcsec": "arcsec", "pa": "deg"}
    for name in columns:
        if name.endswith("_ujy"):
            units[name] = "uJy"
        elif name.startswith("mag_"):
            units[name] = "mag"
    return units


def sed_columns(catalogue: Mapping[str, np.ndarray], filters: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return id and, per band with a zero point, F and E in microjansky (AB zero point 23.9); −99 where not observed.

    `filters` gives the name of each band in the SED code: a number makes `F205`, a word `F_word`.
    """
    columns: dict[str, np.ndarray] = {"id": catalogue["id"]}
    for band, name in filters.items():
        if f"flux_{band}_ujy" not in catalogue:
            continue
        flux, error = catalogue[f"flux_{band}_ujy"], catalogue[f"err_{band}_ujy"]
        measured = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        suffix = name if name.isdigit() else f"_{name}"
        columns[f"F{suffix}"] = np.where(measured, flux, NOT_OBSERVED)
        columns[f"E{suffix}"] = np.where(measured, error, NOT_OBSERVED)
    return columns
