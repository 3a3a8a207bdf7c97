"""Comparison of a measured catalogue with the true sources: matching, completeness, bias and pulls of fluxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core.coordinates import offset_arcsec
from ..core.flags import Flag
from ..core.statistics import ROBUST_SIGMA_ERROR, robust_sigma

NOT_COUNTED = Flag.NO_PIXELS | Flag.PARTLY_MASKED | Flag.ON_EDGE | Flag.NO_MODEL
"""Fluxes with one of these flags are not compared: they do not include the whole source."""

SNR_EDGES = (0.0, 3.0, 10.0, 20.0, 50.0, 100.0, np.inf)
"""Edges of the bins in true flux over measured error."""
SNR_BRIGHT = 20.0
"""True flux over error above which a source is bright."""
MAX_MAG_DIFFERENCE = 3.0
"""Largest magnitude difference of a match; a negative or NaN flux has this difference, so that position decides."""

MEDIAN_ERROR = 1.2533
"""Ratio of the error of a median to that of a mean for a Gaussian: sqrt(pi/2)."""


@dataclass(frozen=True)
class Deviations:
    """Deviations of measured from true fluxes.

    Parameters
    ----------
    number : int
        Number of fluxes; if it is 0 everything else is NaN.
    bias, bias_err : float
        Median of (f − t) / t and its error.
    pull_sigma, pull_sigma_err : float
        Robust sigma of the pulls (f − t) / err and its error.
    pull_rms : float
    """

    number: int
    bias: float
    bias_err: float
    pull_sigma: float
    pull_sigma_err: float
    pull_rms: float


@dataclass(frozen=True)
class BandCheck:
    """Comparison of the fluxes of one band.

    Parameters
    ----------
    band : str
    not_counted : int
        Number of matched sources without a usable flux.
    overall, bright : Deviations
        All fluxes, and those with true flux over error above 20.
    bins : tuple of (low, high, Deviations)
        Fluxes in bins of true flux over error.
    index, snr, deviation, pull : arrays (n,)
        Row of the truth, true flux over error, (f − t) / t and (f − t) / err of each flux.
    """

    band: str
    not_counted: int
    overall: Deviations
    bright: Deviations
    bins: tuple[tuple[float, float, Deviations], ...]
    index: np.ndarray
    snr: np.ndarray
    deviation: np.ndarray
    pull: np.ndarray


def match_positions(
    truth: tuple[np.ndarray, np.ndarray, np.ndarray],
    measured: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    radius_arcsec: float = 0.3,
) -> np.ndarray:
    """Return the index of the measured source for each true source, or −1; each measured source is used once.

    Of all pairs within the radius those with the smallest (distance / 0.1")² + (magnitude difference / 0.5)² are
    matched first, so that a bright galaxy is not matched with a faint neighbour that is slightly closer.

    Parameters
    ----------
    truth, measured : tuples of arrays (ra, dec, flux)
        Degrees; fluxes in the same unit.
    radius_arcsec : float
        Largest distance of a match.
    """
    from scipy.spatial import cKDTree

    matched = np.full(len(truth[0]), -1)
    if len(truth[0]) == 0 or len(measured[0]) == 0:
        return matched
    centre = float(truth[0][0]), float(truth[1][0])
    here = np.column_stack(offset_arcsec(truth[0], truth[1], *centre))
    there = np.column_stack(offset_arcsec(measured[0], measured[1], *centre))
    pairs = [
        (i, j) for i, near in enumerate(cKDTree(there).query_ball_point(here, radius_arcsec)) for j in sorted(near)
    ]
    scores = [
        np.sum((here[i] - there[j]) ** 2) / 0.01 + _mag_offset(truth[2][i], measured[2][j]) ** 2 / 0.25
        for i, j in pairs
    ]
    taken: set[int] = set()
    for k in np.argsort(scores, kind="stable"):
        i, j = pairs[k]
        if matched[i] < 0 and j not in taken:
            matched[i] = j
            taken.add(j)
    return matched


def is_expected(truth: np.ndarray, reference: str, snr: float = SNR_BRIGHT) -> np.ndarray:
    """Return True for true galaxies on the reference image that must be detected.

    The centre must be inside the image by at least one r_e and by the matching radius of 0.3", since the position of a
    galaxy that is cut by the edge cannot be measured.

    Parameters
    ----------
    truth : structured array (n,)
    reference : str
        Name of the reference band.
    snr : float
        Lower limit of the true signal-to-noise ratio.
    """
    whole = truth["edge_arcsec"] > np.maximum(truth["r_e_arcsec"], 0.3)
    return whole & ~truth["is_star"] & (truth[f"snr_{reference}"] > snr)


def flux_deviations(flux: np.ndarray, err: np.ndarray, true_flux: np.ndarray) -> Deviations:
    """Return bias and pulls of measured fluxes.

    Parameters
    ----------
    flux, err, true_flux : arrays (n,)
        Same unit. Without fluxes all results are NaN, with fewer than three the widths are NaN.
    """
    number = len(flux)
    if number == 0:
        return Deviations(0, *[float("nan")] * 5)
    deviation, pull = (flux - true_flux) / true_flux, (flux - true_flux) / err
    sigma, width = (robust_sigma(pull), robust_sigma(deviation)) if number > 2 else (float("nan"), float("nan"))
    return Deviations(
        number,
        float(np.median(deviation)),
        MEDIAN_ERROR * width / np.sqrt(number),
        sigma,
        ROBUST_SIGMA_ERROR * sigma / np.sqrt(number),
        float(np.sqrt(np.mean(pull**2))),
    )


def check_band(truth: np.ndarray, catalogue: np.ndarray, matched: np.ndarray, band: str) -> BandCheck:
    """Compare the fluxes of the matched sources in one band with the true fluxes.

    S/N is the true flux divided by the measured error: bins in the measured flux would select by the deviation. Fluxes
    that are NaN, have no positive error, or have a flag of `NOT_COUNTED` are not compared.

    Parameters
    ----------
    truth, catalogue : structured arrays
    matched : array (n,)
        Row of the catalogue for each true source, −1 for none.
    band : str
    """
    rows = np.flatnonzero(matched >= 0)
    measured = catalogue[matched[rows]]
    flux, err = (np.asarray(measured[f"{name}_{band}"], dtype=float) for name in ("flux", "err"))
    good = np.isfinite(flux) & np.isfinite(err) & (err > 0)
    good &= (np.asarray(measured[f"flag_{band}"], dtype=int) & int(NOT_COUNTED)) == 0
    rows, flux, err = rows[good], flux[good], err[good]
    true_flux = np.asarray(truth[f"flux_{band}"][rows], dtype=float)
    snr = true_flux / err

    def part(chosen: np.ndarray) -> Deviations:
        """Return the deviations of some of the fluxes."""
        return flux_deviations(flux[chosen], err[chosen], true_flux[chosen])

    edges = pairwise(SNR_EDGES)
    return BandCheck(
        band=band,
        not_counted=int(np.sum(~good)),
        overall=part(snr >= 0),
        bright=part(snr > SNR_BRIGHT),
        bins=tuple((low, high, part((snr >= low) & (snr < high))) for low, high in edges),
        index=rows,
        snr=snr,
        deviation=(flux - true_flux) / true_flux,
        pull=(flux - true_flux) / err,
    )


def band_names(columns: tuple[str, ...], truth_columns: tuple[str, ...]) -> list[str]:
    """Return the bands in both tables, in the order of the truth."""
    names = [c.removeprefix("flux_") for c in truth_columns if c.startswith("flux_")]
    return [n for n in names if all(f"{kind}_{n}" in columns for kind in ("flux", "err", "flag"))]


def report_lines(check: BandCheck, truth: np.ndarray, *, worst: int = 3) -> list[str]:
    """Return lines of text that summarise one band.

    Parameters
    ----------
    check : BandCheck
    truth : structured array (n,)
    worst : int
        Number of sources with the largest pulls, which are listed at the end.
    """
    lines = [
        f"{check.band}: {check.overall.number} fluxes ({check.not_counted} not counted: masked, cut or missing)",
        f"  {'true S/N':>12} {'N':>4} {'median (f-t)/t':>18} {'pull sigma':>14} {'pull rms':>9}",
    ]
    parts = [(f"{low:g}-{high:g}", part) for low, high, part in check.bins]
    for name, part in [*parts, ("all", check.overall), (f"> {SNR_BRIGHT:g}", check.bright)]:
        if part.number:
            bias = f"{100 * part.bias:+7.2f} +- {100 * part.bias_err:5.2f} %"
            sigma = f"{part.pull_sigma:6.2f} +- {part.pull_sigma_err:4.2f}"
            lines.append(f"  {name:>12} {part.number:4d} {bias:>18} {sigma:>14} {part.pull_rms:9.2f}")
    order = np.argsort(-np.abs(check.pull))[:worst]
    worst_rows = truth[check.index[order]]
    named = [
        f"{row['id']} ({row['kind']}) {pull:+.1f}" for row, pull in zip(worst_rows, check.pull[order], strict=True)
    ]
    lines.append(f"  largest pulls, by ID of the true source: {', '.join(named)}")
    return lines


def _mag_offset(true_flux: float, flux: float) -> float:
    """Return the absolute magnitude difference, at most `MAX_MAG_DIFFERENCE`."""
    if not (np.isfinite(flux) and flux > 0 and true_flux > 0):
        return MAX_MAG_DIFFERENCE
    return min(abs(2.5 * np.log10(flux / true_flux)), MAX_MAG_DIFFERENCE)
