"""A measured catalogue against a known truth: who is who, what was missed, are fluxes and errors right."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core.coordinates import offset_arcsec
from ..core.flags import Flag
from ..core.statistics import ROBUST_SIGMA_ERROR, robust_sigma

NOT_COUNTED = Flag.NO_PIXELS | Flag.PARTLY_MASKED | Flag.ON_EDGE | Flag.NO_MODEL
"""A flux with one of these flags says itself that it is not the whole source."""

SNR_EDGES = (0.0, 3.0, 10.0, 20.0, 50.0, 100.0, np.inf)
SNR_BRIGHT = 20.0
MAG_CAP = 3.0
"""A flux that is wrong, negative or NaN counts as this many magnitudes off: position decides then."""

MEDIAN_ERROR = 1.2533
"""Error of a median over that of a mean, Gaussian: sqrt(pi/2)."""


@dataclass(frozen=True)
class Deviations:
    """Deviations of `number` fluxes: `bias` = median (f − t)/t with its error, pulls (f − t)/err; NaN for no flux."""

    number: int
    bias: float
    bias_err: float
    pull_sigma: float
    pull_sigma_err: float
    pull_rms: float


@dataclass(frozen=True)
class BandCheck:
    """One band: all counted fluxes, those of true flux over error above 20, S/N bins; arrays per counted flux."""

    band: str
    left_out: int
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
    """Return for each true source the index of its measured one, −1 for none; nobody is taken twice.

    Both are (ra, dec, flux). Of all pairs within the radius, the one of least
    (distance / 0.1")² + (magnitude difference / 0.5)² is taken first: a faint neighbour does
    not steal a bright galaxy by being 0.05" nearer.
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
        np.sum((here[i] - there[j]) ** 2) / 0.01 + _mag_gap(truth[2][i], measured[2][j]) ** 2 / 0.25 for i, j in pairs
    ]
    taken: set[int] = set()
    for k in np.argsort(scores, kind="stable"):
        i, j = pairs[k]
        if matched[i] < 0 and j not in taken:
            matched[i] = j
            taken.add(j)
    return matched


def is_expected(truth: np.ndarray, reference: str, snr: float = SNR_BRIGHT) -> np.ndarray:
    """Return which rows of the truth a detection must find: galaxies on the reference image above `snr`.

    A galaxy cut by the edge has no position of its own: the centre must lie one r_e and 0.3", the radius of the match,
    inside.
    """
    whole = truth["edge_arcsec"] > np.maximum(truth["r_e_arcsec"], 0.3)
    return whole & ~truth["is_star"] & (truth[f"snr_{reference}"] > snr)


def scatter(flux: np.ndarray, err: np.ndarray, true_flux: np.ndarray) -> Deviations:
    """Return bias and pulls of measured fluxes; all NaN for an empty set, widths NaN below three."""
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
    """Compare one band's fluxes of the matched sources with the truth.

    S/N is the true flux over the measured error: binning in the measured flux would select on the deviation itself.
    Fluxes that are NaN, have no positive error, or a flag of `NOT_COUNTED`, are left out and counted.
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
        return scatter(flux[chosen], err[chosen], true_flux[chosen])

    edges = pairwise(SNR_EDGES)
    return BandCheck(
        band=band,
        left_out=int(np.sum(~good)),
        overall=part(snr >= 0),
        bright=part(snr > SNR_BRIGHT),
        bins=tuple((low, high, part((snr >= low) & (snr < high))) for low, high in edges),
        index=rows,
        snr=snr,
        deviation=(flux - true_flux) / true_flux,
        pull=(flux - true_flux) / err,
    )


def band_names(columns: tuple[str, ...], truth_columns: tuple[str, ...]) -> list[str]:
    """Return the bands that both tables hold, in the order of the truth."""
    names = [c.removeprefix("flux_") for c in truth_columns if c.startswith("flux_")]
    return [n for n in names if all(f"{kind}_{n}" in columns for kind in ("flux", "err", "flag"))]


def report_lines(check: BandCheck, truth: np.ndarray, *, worst: int = 3) -> list[str]:
    """Return the lines of text that sum up one band, the `worst` pulls last."""
    lines = [
        f"{check.band}: {check.overall.number} fluxes ({check.left_out} not counted: masked, cut or missing)",
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
    lines.append(f"  worst pulls, by the truth's id: {', '.join(named)}")
    return lines


def _mag_gap(true_flux: float, flux: float) -> float:
    """Magnitude difference, at most `MAG_CAP`."""
    if not (np.isfinite(flux) and flux > 0 and true_flux > 0):
        return MAG_CAP
    return min(abs(2.5 * np.log10(flux / true_flux)), MAG_CAP)
