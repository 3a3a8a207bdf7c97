"""The catalogue: adopted errors, magnitudes and fluxes of all bands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.units import flux_to_mag, flux_to_ujy

MAG_PER_RELATIVE_ERROR = 2.5 / np.log(10.0)
"""Error of a magnitude for a relative flux error of one."""


KINDS = ("shape", "shift", "psf", "misfit")
"""The errors of a flux besides its formal one, each a column `flux_err_{kind}` of fluxes.fits."""

OFFSETS = ("dx", "dy", "err_dx", "err_dy")
"""The offset of a source from its model along X and Y and its errors, each `{kind}_arcsec` in astrometry.json."""


def adopted_error(
    flux: np.ndarray, formal: np.ndarray, others: Mapping[str, np.ndarray], *, scale: float, error_floor: float
) -> np.ndarray:
    """Return the flux errors of the catalogue: all contributions added in quadrature.

    Parameters
    ----------
    flux, formal : arrays (n,)
        Image units. `formal` includes correlated noise.
    others : mapping of str to array (n,)
        For each of `KINDS`, image units: the errors from the uncertain shape in the detection image, from the uncertain
        shift of the band and from the uncertain width of its PSF, and that from the misfit in the band; NaN where they
        are not known (then taken as zero). The misfit is what a wrong shape, shift or PSF leaves in the residual, so
        that either it counts or the sum of these three in quadrature, whichever is larger.
    scale : float
        Factor on the formal errors: the Monte Carlo over the formal error of the band where this ratio is
        significantly above 1, else 1.
    error_floor : float
        Fraction of the flux.

    Returns
    -------
    array (n,)
        Image units; NaN where there is no flux.
    """
    known = {kind: np.nan_to_num(others[kind]) ** 2 for kind in KINDS}
    model = np.maximum(known["shape"] + known["shift"] + known["psf"], known["misfit"])
    variance = (scale * formal) ** 2 + model + (error_floor * np.nan_to_num(flux)) ** 2
    return np.where(np.isfinite(flux), np.sqrt(variance), np.nan)


UPPER_LIMIT = 3.0
"""Flux over its error below which a source counts as not detected in a band."""


def band_columns(
    name: str,
    fluxes: Mapping[str, np.ndarray],
    *,
    scale: float,
    error_floor: float,
    zero_point_ab: float | None,
    upper_limit: float = UPPER_LIMIT,
) -> dict[str, np.ndarray]:
    """Return the catalogue columns of one band by name, with fluxes in microjansky where there is a zero point.

    Parameters
    ----------
    name : str
        Name of the band: part of each column's name.
    fluxes : mapping of name to array (n,)
        The columns flux, flux_err, flux_err_isolated, flux_err_sim, those of `KINDS`, ap_flux, ap_err, chi2, fracflux,
        worst_neighbour, correlation and flag, in image units; and those of `OFFSETS` in arcsec.
    scale, error_floor : float
        As for `adopted_error`.
    zero_point_ab : float or None
        AB magnitude of one image unit; without it all magnitudes are NaN.
    upper_limit : float
        Below this ratio of flux and error, the magnitude has an upper limit: as many errors above the flux, or above
        zero for a negative flux.
    """
    flux = fluxes["flux"]
    others = {kind: fluxes[f"flux_err_{kind}"] for kind in KINDS}
    error = adopted_error(flux, fluxes["flux_err"], others, scale=scale, error_floor=error_floor)
    columns = {f"flux_{name}": flux, f"err_{name}": error, f"flag_{name}": fluxes["flag"]}
    columns[f"err_formal_{name}"] = fluxes["flux_err"]
    columns[f"err_alone_{name}"] = fluxes["flux_err_isolated"]
    columns[f"err_sim_{name}"] = fluxes["flux_err_sim"]
    columns |= {f"err_{kind}_{name}": others[kind] for kind in KINDS}
    columns[f"ap_flux_{name}"], columns[f"ap_err_{name}"] = fluxes["ap_flux"], scale * fluxes["ap_err"]
    columns[f"chi2_{name}"], columns[f"fracflux_{name}"] = fluxes["chi2"], fluxes["fracflux"]
    columns[f"neighbour_{name}"], columns[f"corr_{name}"] = fluxes["worst_neighbour"], fluxes["correlation"]
    columns |= {f"{kind}_{name}": fluxes[f"{kind}_arcsec"] for kind in OFFSETS}
    magnitude = np.full(len(flux), np.nan)
    if zero_point_ab is not None:
        magnitude = flux_to_mag(flux, zero_point_ab)
        columns[f"flux_{name}_ujy"] = flux_to_ujy(flux, zero_point_ab)
        columns[f"err_{name}_ujy"] = flux_to_ujy(error, zero_point_ab)
    columns[f"mag_{name}"] = magnitude
    positive = np.where(flux > 0, flux, np.nan)
    columns[f"mag_err_{name}"] = np.where(np.isfinite(magnitude), MAG_PER_RELATIVE_ERROR * error / positive, np.nan)
    columns[f"snr_{name}"] = flux / np.where(error > 0, error, np.nan)
    limit = np.where(columns[f"snr_{name}"] < upper_limit, np.maximum(flux, 0.0) + upper_limit * error, np.nan)
    unknown = np.full(len(flux), np.nan)
    columns[f"mag_limit_{name}"] = unknown if zero_point_ab is None else flux_to_mag(limit, zero_point_ab)
    return columns
