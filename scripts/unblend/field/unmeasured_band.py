"""The products of a band without any usable pixel: all fluxes are NaN, so that the catalogue has the other bands."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UnusableBandError
from ..core.flags import Flag
from ..io.files import read_json, write_json
from ..io.images import read_shape, read_wcs, write_image
from ..io.regions import write_regions
from ..io.tables import columns, write_table
from ..photometry.adopted_covariance import CovarianceParts
from .band_data import is_shift_measured
from .band_only_sources import write_no_band_only
from .covariance_parts import write_parts
from .failed_band import failure_cards

log = logging.getLogger(__name__)

UNKNOWN = (
    *("flux", "flux_err", "flux_err_white", "flux_err_isolated", "background_response"),
    *("flux_err_shape", "flux_err_shift", "flux_err_psf", "flux_err_misfit"),
    *("ap_flux", "ap_err", "ap_fraction"),
    *("chi2", "fracflux", "detail_amplitude", "detail_amplitude_err"),
    *("first_component", "first_component_err"),
)
"""Columns of fluxes.fits that are NaN."""


def write_no_fluxes(
    spec: Mapping[str, Any], results: Path, paths: Mapping[str, str], error: UnusableBandError, flags: int
) -> None:
    """Write fluxes.fits with NaN and the flag NO_PIXELS for every source, no weight, an unknown residual.

    The band has no sources of its own.

    Parameters
    ----------
    spec : mapping
        The job spec: `band`, `image`.
    results : Path
        Folder of the products.
    paths : mapping
        `fluxes`, `weight` and `residual`.
    error : UnusableBandError
        Why nothing is measured; the log gets it as a warning.
    flags : int
        Flags of all sources of the band.
    """
    if "tile" in spec:  # a corner of a mosaic that was not observed, or join_tiles warns for all tiles at once
        log.info("%s", error)
    else:
        log.warning("%s All fluxes of this band are NaN.", error)
    ids = _sources(results)
    unknown = dict.fromkeys(UNKNOWN, np.full(ids.size, np.nan))
    zero = np.zeros(ids.size, dtype=int)
    flag = np.full(ids.size, int(Flag.NO_PIXELS) | flags)
    table = columns(id=ids, **unknown, worst_neighbour=zero, correlation=0.0 * zero, flag=flag)
    header = {"BAND": spec["band"], "BACKGR": 0.0, "WSCALE": 1.0, "LEFTOUT": 1.0, "NOWN": 0, **failure_cards(error)}
    write_table(paths["fluxes"], table, header=header, name="FLUXES")
    wcs, shape = _grid(spec)
    write_image(paths["weight"], np.zeros(shape), wcs=wcs, header={"BAND": spec["band"]})
    write_image(paths["residual"], np.full(shape, np.nan), wcs=wcs, header={"BAND": spec["band"]})
    write_no_band_only(results / "bands" / spec["band"], spec["band"])
    write_parts(results / "bands" / spec["band"], CovarianceParts.unknown(ids))


def write_no_realizations(spec: Mapping[str, Any], results: Path, realizations: str, regions: str) -> None:
    """Write monte_carlo.fits with NaN for every source, and no circles.

    Parameters
    ----------
    spec : mapping
        Settings of the job.
    results : Path
        Folder of the results.
    realizations, regions : str
        Paths of monte_carlo.fits and monte_carlo.reg.
    """
    ids = _sources(results)
    unknown = np.full(ids.size, np.nan)
    table = columns(id=ids, flux_err_sim=unknown, realizations=unknown.reshape(-1, 1))
    write_table(realizations, table, header={"BAND": spec["band"], "NCIRCLES": 0, "SCALE": 1.0}, name="MONTE_CARLO")
    write_regions(regions, [], color="yellow")


def write_no_shift(spec: Mapping[str, Any], shift: str, residual: str, error: UnusableBandError) -> None:
    """Write astrometry.json with the shift that was given, 0 for `auto`, and an unknown residual.

    Parameters
    ----------
    spec : mapping
        Settings of the job.
    shift, residual : str
        Paths of astrometry.json and shift-sub.fits.
    error : UnusableBandError
        Why the band cannot be measured.
    """
    automatic = is_shift_measured(spec)
    given = [0.0, 0.0] if automatic else [float(value) for value in spec["shift"]]
    wcs, shape = _grid(spec)
    write_image(residual, np.full(shape, np.nan), wcs=wcs)
    unknown = dict.fromkeys(("grid", "offsets", "common", "recommendation", "shift_error_arcsec"))
    content = {"band": spec["band"], "shift_arcsec": given, "message": str(error), "failed": automatic}
    write_json(shift, content | unknown)


def _sources(results: Path) -> np.ndarray:
    """Return the IDs of all sources with a model, in the order of the templates."""
    return np.array(sorted(map(int, read_json(results / "imfit" / "models.json")["models"])))


def _grid(spec: Mapping[str, Any]) -> tuple[Any, tuple[int, int]]:
    return read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"])
