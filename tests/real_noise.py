"""Fluxes of a finished run compared with its own image: aperture photometry, the noise's correlation, a Monte Carlo.

Nothing is known of the truth here: an aperture, whose light the template says in full, is a second opinion on a flux.
`PYTHONPATH=scripts python tests/real_noise.py RESULTS BAND`, from the folder of the run, prints what the tests of real
data check.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from unblend.core.types import Box, Template
from unblend.field.band_data import BandData, load_band_data
from unblend.field.band_only_sources import band_only_light
from unblend.images.masks import project_mask
from unblend.io.files import read_json
from unblend.io.images import read_array, read_labels, read_wcs
from unblend.io.tables import read_table
from unblend.io.template_store import read_templates
from unblend.photometry import linear_system
from unblend.photometry.monte_carlo import monte_carlo, place_circles, pooled_ratio
from unblend.photometry.weight_rescaling import near_sources

MAX_LAG = 8
"""Pixels of the plain measurement of the noise's correlation."""
ISOLATED = 0.1
"""Neighbours' light in the aperture over the source's own, at most."""


@dataclass
class Measured:
    """One band of a finished run, as the solution saw it. `weight` agrees with the scatter of the data."""

    data: BandData
    fluxes: np.ndarray
    templates: list[Template]
    weight: np.ndarray
    solution: linear_system.LinearSolution
    segments: np.ndarray

    @property
    def noise(self) -> float:
        """Median noise of a usable pixel."""
        return float(np.median(self.weight[self.weight > 0]) ** -0.5)

    @property
    def near(self) -> np.ndarray:
        """True where the models shine, shape (ny, nx)."""
        return near_sources(self.solution, self.templates, self.weight)


def measured(results: Path, band: str) -> Measured:
    """Read a band of a finished run; paths in its job specs are relative to where it ran."""
    folder = results / "bands" / band
    data = load_band_data(read_json(results / f"specs/extract_fluxes/{band}/spec.json"), results)
    data = replace(data, image=data.image - band_only_light(folder, data.image.shape))
    templates, _ = read_templates(folder / "templates.npz")
    weight = read_array(str(folder / "weight.fits"))
    path = str(results / "det_seg.fits")
    segments = project_mask(read_labels(path) > 0, read_wcs(path), data.wcs, data.image.shape)
    solution = linear_system.solve_fluxes(data.image, weight, templates)
    return Measured(data, read_table(folder / "fluxes.fits"), templates, weight, solution, segments)


def plain_correlation(band: Measured, lags: int = MAX_LAG) -> np.ndarray:
    """Return the mean product of source-free residual pixels (in units of their noise) at each lag, 1 at none.

    Plain sums over pairs of pixels; shape (2 lags + 1, 2 lags + 1).
    """
    values = band.solution.residual * np.sqrt(band.weight)
    values = np.where((band.weight > 0) & ~band.near & (np.abs(values) < 4.0), values, np.nan)
    values = np.pad(values - np.nanmean(values), lags, constant_values=np.nan)
    ny, nx = values.shape
    core = values[lags : ny - lags, lags : nx - lags]
    found = np.zeros((2 * lags + 1, 2 * lags + 1))
    for dy in range(-lags, lags + 1):
        for dx in range(-lags, lags + 1):
            moved = values[lags + dy : ny - lags + dy, lags + dx : nx - lags + dx]
            found[dy + lags, dx + lags] = np.nanmean(core * moved)
    return found / found[lags, lags]


def correlated(field: np.ndarray, correlation: np.ndarray) -> float:
    """Return Σ_pq z_p R_pq z_q of a field z."""
    from scipy.signal import fftconvolve

    return float(np.sum(field * fftconvolve(field, correlation, mode="same")))


def predicted_factor(band: Measured, correlation: np.ndarray) -> np.ndarray:
    """Return for each source the correlated error over the white one, were it alone: √(tᵀ R t / tᵀ t), t = T √w."""
    factors = np.full(len(band.templates), np.nan)
    lag = len(correlation) // 2
    for k in band.solution.active:
        template = band.templates[k]
        stamp = np.pad(np.sqrt(band.weight[template.box.slices]) * template.data, lag)
        factors[k] = np.sqrt(correlated(stamp, correlation) / np.sum(stamp**2))
    return factors


def apertures(band: Measured, correlation: np.ndarray, radius_arcsec: float, pixel_arcsec: float) -> np.ndarray:
    """Return aperture fluxes of isolated sources with S/N > 5, corrected by what the template holds in the aperture.

    Rows of id, flux, aperture flux, its error (correlated noise and the shape's error), the neighbours' share.
    """
    from photutils.aperture import CircularAperture, aperture_photometry

    shape, light = (
        band.data.image.shape,
        linear_system.model_image(band.templates, band.solution.flux, band.weight.shape),
    )
    usable = ~band.data.mask
    weight = np.where(band.weight > 0, band.weight, np.where(usable, band.noise**-2.0, np.inf))
    image = np.where(usable, band.data.image, 0.0) - band.solution.background * usable
    rows = []
    for k in band.solution.active:
        flux, template = band.solution.flux[k], band.templates[k]
        y, x = centroid(template)
        circle = CircularAperture((x, y), radius_arcsec / pixel_arcsec)
        inside = circle.to_mask(method="exact").to_image(shape)
        if not flux > 5.0 * band.fluxes["flux_err"][k] or inside is None or (inside * ~usable).any():
            continue
        own = float(np.sum(inside[template.box.slices] * template.data))
        others = abs(float(np.sum(inside * light)) - flux * own) / (flux * own)
        if others > ISOLATED:
            continue
        found = float(aperture_photometry(image, circle, method="exact")["aperture_sum"][0]) / own
        noise = np.sqrt(correlated(inside / np.sqrt(weight), correlation)) / own
        shape_error = np.nan_to_num(band.fluxes["flux_err_shape"][k])
        rows.append((band.solution.ids[k], flux, found, np.hypot(noise, shape_error), others))
    return np.array(rows)


def centroid(template: Template) -> tuple[float, float]:
    """Return the (y, x) of a template's light in the image."""
    box: Box = template.box
    rows, columns = np.arange(box.y0, box.y1), np.arange(box.x0, box.x1)
    total = template.data.sum()
    return float(template.data.sum(axis=1) @ rows / total), float(template.data.sum(axis=0) @ columns / total)


def monte_carlo_ratio(band: Measured, radius_fwhm: float) -> tuple[int, float, float]:
    """Return the number of circles of this radius, Monte Carlo over formal errors, and the error of that."""
    light = linear_system.model_image(band.templates, band.solution.flux, band.weight.shape)
    radius = radius_fwhm * band.data.fwhm
    placed = place_circles(
        light,
        band.weight == 0,
        band.segments,
        radius=radius,
        fwhm=0.5 * radius,
        faint_level=0.1 * band.noise,
        bright_level=band.noise,
    )  # fmt: skip
    changes = monte_carlo(
        band.solution.residual, band.data.mask, band.templates, band.solution, band.weight, placed.circles
    )
    return len(placed.circles), *pooled_ratio(changes, band.fluxes["flux_err"])


def main(results: str, name: str, pixel_arcsec: float = 0.2) -> None:
    """Print everything."""

    def say(*words: object) -> None:
        sys.stdout.write(" ".join(map(str, words)) + "\n")

    band = measured(Path(results), name)
    correlation = plain_correlation(band)
    lag = len(correlation) // 2
    say("correlation along x:", np.round(correlation[lag, lag:], 2))
    factors, made = predicted_factor(band, correlation), band.fluxes["flux_err"] / band.fluxes["flux_err_white"]
    alone = np.abs(band.fluxes["correlation"]) < 0.3
    say(f"correlated / white: predicted {np.nanmedian(factors[alone]):.2f}, made {np.nanmedian(made[alone]):.2f}, "
          f"{alone.sum()} sources, ratio scatters by {np.nanstd((made / factors)[alone]):.2f}")  # fmt: skip
    for radius in (0.6, 0.8, 1.0):
        rows = apertures(band, correlation, radius, pixel_arcsec)
        pull = (rows[:, 2] - rows[:, 1]) / rows[:, 3]
        say(f"apertures of {radius} arcsec: {len(rows)} sources, median difference "
              f"{100 * np.median(rows[:, 2] / rows[:, 1] - 1):+.1f} %, pulls: median {np.median(pull):+.2f}, "
              f"rms {np.sqrt(np.mean(pull**2)):.2f}, largest {pull[np.argmax(np.abs(pull))]:+.1f}")  # fmt: skip
        say("  " + ", ".join(f"{int(r[0])}: {100 * (r[2] / r[1] - 1):+.0f} ± {100 * r[3] / r[1]:.0f} %" for r in rows))
    for radius in (1.2, 1.5, 2.0, 2.5):
        number, ratio, error = monte_carlo_ratio(band, radius)
        say(f"Monte Carlo / formal, {number} circles of {radius} FWHM: {ratio:.2f} ± {error:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
