"""What the page begins with: the depth of every band, how many sources there are, when the page was made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..core.flags import Flag
from ..core.types import Psf
from ..io.files import read_json
from ..io.images import read_image
from ..io.tables import read_table_header
from ..photometry.misfit import noise_area

DEPTH_SIGMA = 5.0
"""Signal-to-noise ratio of the faintest point source."""
MAG_PER_FACTOR = 2.5


def depth_of(
    folder: Path, fluxes: np.ndarray, noise: Mapping[str, Any], scale: float | None, zero_point: float | None
) -> dict[str, float | None]:
    """Return the depth of a band: flux and AB magnitude of an isolated point source of five sigma.

    The error of a point source on white noise is the noise of a pixel times the square root of the PSF's area 1/Σp²
    (King 1983, PASP 95, 163). It is multiplied by the median effect of correlated noise on the errors of the catalogue,
    and by the adopted factor of the Monte Carlo.

    Parameters
    ----------
    folder : Path
        Of the band's products.
    fluxes : structured array (n,)
        The band's fluxes.fits.
    noise : mapping
        `rms` of a pixel, image units; None where it is not known.
    scale : float or None
        The adopted factor.
    zero_point : float or None
        AB magnitude of one image unit.

    Returns
    -------
    dict
        `flux` in image units and `mag`; None where it is not known.
    """
    if noise["rms"] is None:
        return {"flux": None, "mag": None}
    data, header = read_image(str(folder / "psf.fits"))
    area = noise_area(Psf(data, (0.0, 0.0), float(header.get("OVERSAMP", 1.0))))  # type: ignore[arg-type]
    factor = scale or 1.0
    if "flux_err_white" in (fluxes.dtype.names or ()):
        good = np.isfinite(fluxes["flux_err"]) & (fluxes["flux_err_white"] > 0)
        if good.any():
            factor *= float(np.median(fluxes["flux_err"][good] / fluxes["flux_err_white"][good]))
    flux = DEPTH_SIGMA * noise["rms"] * np.sqrt(area) * factor
    mag = None if zero_point is None or not flux > 0 else round(zero_point - MAG_PER_FACTOR * float(np.log10(flux)), 2)
    return {"flux": float(f"{flux:.3g}"), "mag": mag}


COUNTS_STEP_MAG = 0.5
"""Width of the bins of the number counts."""


def number_counts(mag: np.ndarray, snr: np.ndarray, least: float) -> dict[str, Any] | None:
    """Return the number of sources in bins of magnitude, of those above a signal-to-noise ratio.

    Parameters
    ----------
    mag, snr : arrays (n,)
        AB magnitude, NaN where it is not known, and signal-to-noise ratio.
    least : float
        Signal-to-noise ratio.

    Returns
    -------
    dict or None
        `start`, the bright edge of the first bin in magnitudes, a multiple of the width `step`, and the `numbers`; None
        without any source.
    """
    shown = mag[np.isfinite(mag) & (snr > least)]
    if not shown.size:
        return None
    index = np.floor(shown / COUNTS_STEP_MAG).astype(int)
    numbers = np.bincount(index - index.min()).tolist()
    return {"start": float(index.min() * COUNTS_STEP_MAG), "step": COUNTS_STEP_MAG, "numbers": numbers}


def compared_positions(spec: Mapping[str, Any], results: Path) -> dict[str, Any] | None:
    """Return the content of reference_positions.json; None without `reference_positions` in the configuration."""
    return read_json(results / "reference_positions.json") if spec.get("reference_positions") else None


def field_counts(results: Path, catalogue: np.ndarray) -> dict[str, Any]:
    """Return when the page is made, and the numbers of point sources and of dropped candidates.

    Parameters
    ----------
    results : Path
        Folder of the products.
    catalogue : structured array (n,)
    """
    header = read_table_header(results / "det_auto_cat.fits") if (results / "det_auto_cat.fits").exists() else {}
    dropped = {name: int(header.get(card) or 0) for name, card in (("faint", "NFAINT"), ("small", "NSMALL"))}  # type: ignore[call-overload]
    points = int(np.count_nonzero(catalogue["flag"] & int(Flag.POINT_SOURCE)))
    return {"made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "points": points, **dropped}
