"""What the accuracy benchmark makes of a catalogue: one row per flux, statistics with their own errors, judgements."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from accuracy_fields import REFERENCE, Scenario, match, write_true_models
from unblend.core.coordinates import offset_arcsec
from unblend.core.types import Psf
from unblend.images.psf import fwhm, prepare_psf
from unblend.io.images import read_array, read_wcs
from unblend.io.models import read_model
from unblend.io.tables import read_table
from unblend.models.templates import TemplateEngine
from unblend.photometry.correlated_noise import measure_noise
from unblend.photometry.weight_rescaling import rescale_weights
from unblend.simulation import truth as compare
from unblend.simulation.fields import BandSpec, draw_correlated_noise

BRIGHT = 20.0
FAR_PULL = 5.0
UNDETECTED = 0.5
"""Light of undetected sources under a source, over its error, above which the flux is judged apart."""

SNR_EDGES = (0.0, 3.0, 10.0, 30.0, 100.0, np.inf)
NEIGHBOUR_EDGES = (0.0, 1.0, 2.0, 4.0, 8.0, np.inf)
"""Distance to the nearest other galaxy (true ones, detected or not) over the band's FWHM."""
INDEX_EDGES = (0.0, 0.1, 0.8, 1.5, 2.5, 4.0, 7.0)
"""Sersic index; stars count as 0."""
AXES = {"snr": SNR_EDGES, "neighbour": NEIGHBOUR_EDGES, "n": INDEX_EDGES}

TARGET_BIAS = {"true": 0.005, "fits": 0.01, "noise": 0.005}
TARGET_SIGMA, TARGET_SIGMA_BIN = 0.05, 0.1
TARGET_FAR = 0.01
TARGET_SHIFT_PIXELS = 0.02

ROW = np.dtype(
    [("scenario", "U16"), ("seed", "i4"), ("mode", "U5"), ("band", "U8"), ("id", "i4"), ("true_id", "i4")]
    + [(name, "f8") for name in ("true", "flux", "err", "formal", "shape", "sim", "white", "isolated", "correlation")]
    + [(name, "f8") for name in ("snr", "neighbour", "n", "r_e", "q", "fit_n", "fit_r_e", "chi2", "undetected")]
    + [("flag", "i8"), ("counted", "?")]
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A measured number, its own statistical error, and the range it should lie in."""

    value: float
    error: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`met`, `open` (outside, by less than two of its own errors) or `missed`."""
        if not np.isfinite(self.value):
            return ""
        outside = max(self.low - self.value, self.value - self.high)
        if outside <= 0:
            return "met"
        return "open" if outside <= 2.0 * self.error else "missed"


@dataclass(frozen=True)
class Summary:
    """Median of (f − t)/t above S/N 20 (of how many), robust sigma of pulls, fraction beyond 5 of `number` fluxes."""

    number: int
    bright: int
    bias: Figure
    sigma: Figure
    far: Figure
    median_pull: Figure


def rows_of(folder: Path, scenario: Scenario, seed: int, mode: str) -> np.ndarray:
    """Return one row (of `ROW`) per matched source and band of one finished run."""
    truth, results = read_table(folder / "truth.fits"), folder / f"results-{mode}"
    catalogue = read_table(results / "catalogue.fits")
    matched = match(truth, catalogue, f"flux_{REFERENCE}")
    rows = np.flatnonzero(matched >= 0)
    found, true = catalogue[matched[rows]], truth[rows]
    made: list[np.ndarray] = []
    for spec in scenario.bands:
        part = np.zeros(len(rows), dtype=ROW)
        extra = read_table(results / "bands" / spec.name / "fluxes.fits")
        extra = extra[np.searchsorted(extra["id"], found["id"])]
        part["scenario"], part["seed"], part["mode"], part["band"] = scenario.name, seed, mode, spec.name
        part["id"], part["true_id"], part["true"] = found["id"], true["id"], true[f"flux_{spec.name}"]
        for name in ("flux", "err", "flag"):
            part[name] = found[f"{name}_{spec.name}"]
        for name in ("formal", "shape", "sim"):
            part[name] = found[f"err_{name}_{spec.name}"]
        part["white"], part["isolated"] = extra["flux_err_white"], extra["flux_err_isolated"]
        part["correlation"] = extra["correlation"]
        part["neighbour"] = true["neighbour_arcsec"] / fwhm_arcsec(folder / f"results-{mode}", spec.name)
        part["n"], part["r_e"], part["q"] = np.where(true["is_star"], 0.0, true["n"]), true["r_e_arcsec"], true["q"]
        part["fit_n"], part["fit_r_e"], part["chi2"] = found["n"], found["r_e_arcsec"], found["chi2_red"]
        with np.errstate(invalid="ignore", divide="ignore"):
            # the whole error depends on the fit: a source whose error is too small would be in a higher bin
            part["snr"] = part["true"] / part["formal"]
            seeing = fwhm_arcsec(results, spec.name)
            part["undetected"] = undetected_light(truth, matched, rows, spec.name, seeing) / part["err"]
        good = np.isfinite(part["flux"]) & np.isfinite(part["err"]) & (part["err"] > 0)
        part["counted"] = good & ((part["flag"] & int(compare.NOT_COUNTED)) == 0)
        made.append(part)
    return np.concatenate(made)


def redrawn(folder: Path, scenario: Scenario, seed: int, number: int) -> np.ndarray:
    """Return the rows of `number` fresh draws of every band's noise (three times as many of the coarse bands).

    Templates of all true sources, at their true shapes and the true shift; solution and errors by the functions that
    extract_fluxes calls. Errors are formal.
    """
    truth = read_table(folder / "truth.fits")
    write_true_models(folder, truth)
    models = {int(i): read_model(folder / f"true_models/{i}.fits") for i in truth["id"]}
    made: list[np.ndarray] = []
    for spec in scenario.bands:
        drawn, rng = np.load(folder / f"{spec.name}-light.npz"), np.random.default_rng([seed, len(made), number])
        psf = prepare_psf(read_array(str(folder / f"{spec.name}-psf.fits")), oversampling=float(spec.psf_oversampling))
        engine = TemplateEngine(read_wcs(str(folder / f"{spec.name}.fits")), spec.shape, psf, spec.shift_arcsec)
        templates = [engine.template(i, model) for i, model in models.items()]
        seeing = fwhm(psf) / psf.oversampling
        weight, part = drawn["rms"] ** -2.0, rows_of_truth(truth, scenario, seed, spec.name, width(psf, spec))
        for _ in range(number * (1 if spec.name == REFERENCE else 3)):
            image = drawn["light"] + drawn["rms"] * draw_correlated_noise(rng, spec.shape, spec.noise_sigma_pixels)
            rescaled = rescale_weights(image, weight, templates, fwhm=seeing, noise_origin="map", name=spec.name)
            rows = part.copy()
            rows["flux"] = rescaled.solution.flux
            rows["err"] = rows["formal"] = measure_noise(rescaled, templates, name=spec.name).err
            rows["white"], rows["snr"] = rescaled.solution.err, rows["true"] / rows["err"]
            made.append(rows)
    return np.concatenate(made)


def rows_of_truth(truth: np.ndarray, scenario: Scenario, seed: int, band: str, seeing: float) -> np.ndarray:
    """Return rows of all true sources, without fluxes, mode "noise"."""
    part = np.zeros(len(truth), dtype=ROW)
    part["scenario"], part["seed"], part["mode"], part["band"] = scenario.name, seed, "noise", band
    part["id"] = part["true_id"] = truth["id"]
    part["true"], part["neighbour"] = truth[f"flux_{band}"], truth["neighbour_arcsec"] / seeing
    part["n"] = np.where(truth["is_star"], 0.0, truth["n"])
    part["r_e"], part["q"], part["counted"] = truth["r_e_arcsec"], truth["q"], True
    return part


def width(psf: Psf, spec: BandSpec) -> float:
    """Return the FWHM of a PSF in arcsec."""
    return fwhm(psf) / psf.oversampling * spec.pixel_arcsec


def fwhm_arcsec(results: Path, band: str) -> float:
    """Return the FWHM of a band's PSF, as the workflow has measured it."""
    from astropy.io import fits

    header = fits.getheader(results / f"bands/{band}/psf.fits")
    return float(header["FWHM"]) * pixel_arcsec(results, band)


def pixel_arcsec(results: Path, band: str) -> float:
    """Return the pixel scale of a band."""
    from astropy.io import fits
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    return float(3600.0 * proj_plane_pixel_scales(WCS(fits.getheader(results / f"bands/{band}/mask.fits")))[0])


def undetected_light(truth: np.ndarray, matched: np.ndarray, rows: np.ndarray, band: str, seeing: float) -> np.ndarray:
    """Return how much of the light of undetected sources a fit of each source would take: Gaussians, to be rough.

    Two point sources at distance d share exp(−d²/4σ²) of their light in a matched filter; sizes are added in squares.
    """
    lost = np.flatnonzero(matched < 0)
    if not len(lost):
        return np.zeros(len(rows))
    east, north = offset_arcsec(truth["ra"], truth["dec"], float(truth["ra"][0]), float(truth["dec"][0]))
    distance2 = (east[rows][:, None] - east[lost]) ** 2 + (north[rows][:, None] - north[lost]) ** 2
    size = truth["r_e_arcsec"] / 1.18
    mine, theirs = (seeing / 2.355) ** 2 + size[rows][:, None] ** 2, (seeing / 2.355) ** 2 + size[lost] ** 2
    share = 2.0 * mine / (mine + theirs) * np.exp(-0.5 * distance2 / (mine + theirs))
    return np.asarray(share @ truth[f"flux_{band}"][lost])


def summary(rows: np.ndarray, mode: str, *, sigma_tolerance: float, rng: np.random.Generator) -> Summary:
    """Return the statistics of counted rows; errors are bootstrapped over sources, all draws of one together."""
    pull = (rows["flux"] - rows["true"]) / rows["err"]
    _, source = np.unique(rows[["scenario", "seed", "true_id"]], return_inverse=True)
    bright, number = rows["snr"] > BRIGHT, len(rows)
    far = float(np.mean(np.abs(pull) > FAR_PULL)) if number else np.nan
    far_error = float(np.sqrt(max(far * (1 - far), 1.0 / number) / number)) if number else np.nan
    sigma, sigma_error = bootstrap(pull, source, spread, rng)
    median, median_error = bootstrap(pull, source, np.median, rng)
    bias, bias_error = bootstrap((rows["flux"] / rows["true"] - 1.0)[bright], source[bright], np.median, rng)
    return Summary(
        number, int(bright.sum()),
        Figure(bias, bias_error, -TARGET_BIAS[mode], TARGET_BIAS[mode]),
        Figure(sigma, sigma_error, 1.0 - sigma_tolerance, 1.0 + sigma_tolerance),
        Figure(far, far_error, 0.0, TARGET_FAR),
        Figure(median, median_error, -np.inf, np.inf),
    )  # fmt: skip


def spread(values: np.ndarray) -> float:
    """Return the robust sigma, 1.4826 MAD."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def bootstrap(
    values: np.ndarray, source: np.ndarray, statistic: Callable, rng: np.random.Generator, draws: int = 200
) -> tuple[float, float]:
    """Return a statistic and its error from drawing sources with replacement; NaN below five sources."""
    names, source = np.unique(source, return_inverse=True)
    number = len(names)
    if number < 5:
        return np.nan, np.nan
    again = []
    for _ in range(draws):
        counts = np.bincount(rng.integers(0, number, number), minlength=number)
        again.append(statistic(np.repeat(values, counts[source])))
    return float(statistic(values)), float(np.std(again))


def in_bins(rows: np.ndarray, axis: str) -> list[tuple[str, np.ndarray]]:
    """Return (label, rows) of the bins of one axis of `AXES`."""
    made = []
    for low, high in pairwise(AXES[axis]):
        inside = (rows[axis] >= low) & (rows[axis] < high)
        label = f"> {low:g}" if np.isinf(high) else f"{low:g}–{high:g}"
        made.append(("stars" if axis == "n" and low == 0 else label, rows[inside]))
    return made


def shift_errors(folder: Path, scenario: Scenario, mode: str) -> list[dict]:
    """Return for each band whose shift was searched the error of the shift along X and Y, in its pixels."""
    made: list[dict] = []
    for spec in scenario.bands:
        if spec.name == REFERENCE:
            continue
        found = json.loads((folder / f"results-{mode}/bands/{spec.name}/astrometry.json").read_text())
        off = (np.array(found["shift_arcsec"]) - np.array(spec.shift_arcsec)) / spec.pixel_arcsec
        error = np.array(found["common"]["error_arcsec"]) / spec.pixel_arcsec if found.get("common") else [np.nan] * 2
        made.append({"band": spec.name, "off_pixels": off.tolist(), "error_pixels": list(map(float, error))})
    return made
