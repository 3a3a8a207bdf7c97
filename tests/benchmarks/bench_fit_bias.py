"""What IMFIT's sampling of steep cores costs: bias of r_e, n and flux against n and r_e; and faint galaxies.

`make bench-fit-bias`, or `python tests/benchmarks/bench_fit_bias.py --draws 5 --faint 60 --figure out.png`. GalSim
draws the galaxies, the library fits them in two passes, without and with the refinement (`models.refine`). "Extracted"
is the flux that the linear solution gives with the exact template of the fitted shape.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from galaxy_stamps import fitting_psf, galaxy, psf_array  # noqa: E402
from unblend.core.flags import Flag  # noqa: E402
from unblend.core.statistics import robust_sigma  # noqa: E402
from unblend.core.types import Box, Psf  # noqa: E402
from unblend.fits.group_data import GroupData  # noqa: E402
from unblend.fits.passes import fit_first_pass, fit_second_pass  # noqa: E402
from unblend.models.exact_images import ExactImages  # noqa: E402
from unblend.models.sersic import Sersic, total_flux  # noqa: E402
from unblend.models.sersic_transform import load_tables  # noqa: E402

INDICES, RADII = (0.5, 1.0, 2.5, 4.0, 6.0), (1.0, 1.5, 3.0, 6.0)
SIDES = {1.0: 52, 1.5: 52, 3.0: 88, 6.0: 133}
"""Cutouts: with the PSF of 31 pixels of a size that the FFT likes."""
ELL, SNR = 0.4, 100.0


@dataclass(frozen=True)
class Deviations:
    """Relative deviations of one fit from the truth."""

    r_e: float
    n: float
    flux: float
    extracted: float

    def percent(self) -> np.ndarray:
        """Return all of them in per cent."""
        return 100.0 * np.array([self.r_e, self.n, self.flux, self.extracted])


@dataclass(frozen=True)
class Outcome:
    """IMFIT's fit of one galaxy and the refined one, and the processor time of both passes."""

    imfit: Deviations
    refined: Deviations
    seconds: float


def group_of(light: np.ndarray, rms: float, noise: np.ndarray | None) -> GroupData:
    """Return a fit group of one source."""
    image = light if noise is None else light + rms * noise
    segments = (light > 1.5 * rms).astype(int)
    return GroupData(Box.of_shape(light.shape), image, np.full(light.shape, rms), segments, (1,))


def unit_template(profile: Sersic, side: int) -> np.ndarray:
    """Return the exact template of a profile on a cutout, with the whole PSF as in a band."""
    return ExactImages(Box(0, 0, side, side), Psf(psf_array(), (30.0, 30.0))).sersic(profile)[0]


def deviations(profile: Sersic, image: np.ndarray, truth: tuple[float, float, float]) -> Deviations:
    """Return relative deviations from the true r_e, n and flux, and that of the flux extracted with the template."""
    design = np.array([unit_template(profile, image.shape[0]).ravel(), np.ones(image.size)])
    extracted = np.linalg.lstsq(design.T, image.ravel(), rcond=None)[0][0]
    r_e, n, flux = truth
    return Deviations(profile.r_e / r_e - 1, profile.n / n - 1, profile.total_flux / flux - 1, extracted / flux - 1)


def one(n: float, r_e: float, rng: np.random.Generator | None, snr: float = SNR) -> Outcome | None:
    """Return what a fit of one galaxy gives; None where it became a point or was replaced."""
    side = SIDES[r_e]
    phase = (0.3, -0.2) if rng is None else rng.uniform(-0.5, 0.5, 2)
    y, x = side // 2 + phase[0], side // 2 + phase[1]
    light = galaxy(y, x, 1.0, n, r_e, ELL, 30.0, (side, side))
    flux = snr / float(np.sqrt((light**2).sum()))
    noise = None if rng is None else rng.normal(size=light.shape)
    data = group_of(flux * light, 1.0, noise)
    began = time.process_time()
    fit = fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf()))
    seconds = time.process_time() - began
    profile, of_imfit = (found.members[0].sersic for found in (fit, fit.by_imfit or fit))
    if profile is None or of_imfit is None or fit.members[0].flags & Flag.FIT_REPLACED:
        return None
    truth = (r_e, n, flux)
    return Outcome(deviations(of_imfit, data.image, truth), deviations(profile, data.image, truth), seconds)


def bias_table(draws: int, seed: int) -> dict[tuple[float, float], list[Outcome]]:
    """Print the table of biases and return the outcomes; `draws` of 0: noiseless."""
    kind = f"S/N {SNR:g}, median of {draws}" if draws else "noiseless"
    print(f"{kind}; found - true in per cent, r_e / n / flux of the fit | extracted flux: IMFIT | refined")
    load_tables()
    table = {}
    for n in INDICES:
        for r_e in RADII:
            found = [one(n, r_e, np.random.default_rng([seed, k]) if draws else None) for k in range(max(draws, 1))]
            kept = [outcome for outcome in found if outcome is not None]
            table[n, r_e] = kept
            if not kept:
                print(f"| {n:g}, {r_e:g} | a point source |")
                continue
            parts = [np.median([getattr(o, name).percent() for o in kept], axis=0) for name in ("imfit", "refined")]
            words = [f"{r:+.1f} / {i:+.1f} / {f:+.2f} | {e:+.2f}" for r, i, f, e in parts]
            print(f"| {n:g}, {r_e:g} | {words[0]} | {words[1]} |", flush=True)
    every = [outcome.seconds for outcomes in table.values() for outcome in outcomes]
    print(f"{np.mean(every):.3f} s of processor time per galaxy")
    return table


def faint_table(count: int, seed: int) -> None:
    """Print flux and pulls of galaxies of S/N 8 … 20 in their segments, n 0.5 … 4."""
    rng = np.random.default_rng(seed)
    ratios: list[float] = []
    pulls: list[float] = []
    fixed: list[bool] = []
    while len(ratios) < count:
        n, r_e = np.exp(rng.uniform(np.log([0.5, 1.2]), np.log([4.0, 5.0])))
        place, shape = 25 + rng.uniform(-0.5, 0.5, 2), (rng.uniform(0, 0.75), rng.uniform(0, 180))
        flux = float(np.exp(rng.uniform(np.log(60), np.log(400))))
        light = galaxy(place[0], place[1], flux, n, r_e, *shape, (52, 52))
        data = group_of(light, 1.0, rng.normal(size=light.shape))
        area = int(data.segments.sum())
        if area < 10 or not 8 < (data.image * data.segments).sum() / np.sqrt(area) < 20:
            continue
        member = fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf())).members[0]
        if member.sersic is None or not member.covariance:
            continue
        ratios.append(member.sersic.total_flux / flux)
        pulls.append((member.sersic.total_flux - flux) / flux_error(member.sersic, np.array(member.covariance)))
        fixed.append(bool(member.flags & Flag.SHAPE_FIXED))
    print(f"{count} faint galaxies, {sum(fixed)} with a prior on n: flux {np.median(ratios) - 1:+.3f}, robust sigma "
          f"{robust_sigma(np.array(ratios)):.3f}; pulls: robust sigma {robust_sigma(np.array(pulls)):.2f}, "
          f"rms {np.sqrt(np.mean(np.square(pulls))):.2f}")  # fmt: skip


def flux_error(profile: Sersic, covariance: np.ndarray) -> float:
    """Return the error of the total flux from the covariance of X0, Y0, PA, ell, n, I_e, r_e."""
    values = np.array([profile.ell, profile.n, profile.i_e, profile.r_e])

    def total(v: np.ndarray) -> float:
        return total_flux(v[1], v[3], v[0], v[2])

    steps = 1e-4 * np.maximum(values, 0.01)
    gradient = [(total(values + h) - total(values - h)) / (2 * h.max()) for h in np.diag(steps)]
    part = covariance[3:, 3:]
    return float(np.sqrt(np.array(gradient) @ part @ gradient))


def draw(table: dict[tuple[float, float], list[Outcome]], path: str) -> None:
    """Draw the noiseless biases against n, one line a radius; dashed: before the refinement."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained", sharex=True)
    titles = {"r_e": "half-light radius", "n": "Sersic index", "flux": "flux of the fit", "extracted": "flux extracted"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for k, r_e in enumerate(RADII):
            cells = [(n, table[n, r_e][0]) for n in INDICES if table.get((n, r_e))]
            before = [(n, 100 * getattr(outcome.imfit, name)) for n, outcome in cells]
            points = [(n, 100 * getattr(outcome.refined, name)) for n, outcome in cells]
            axis.plot(*zip(*before, strict=True), "--", color=f"C{k}", lw=0.8)
            axis.plot(*zip(*points, strict=True), "osD^"[k] + "-", label=f"$r_e$ = {r_e:g} pixel", ms=5, lw=1.2)
        axis.axhline(0.0, color="0.6", lw=0.8, zorder=0)
        axis.set(title=title, xlabel="Sersic index n", xticks=range(1, 7))
    axes[0].set_ylabel("found − true, per cent")
    for axis in axes[2:]:
        axis.set_ylim(-9.0, 2.0)
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5, help="noisy draws per cell; 0: noiseless only")
    parser.add_argument("--faint", type=int, default=60, help="faint galaxies; 0: none")
    parser.add_argument("--figure", help="where to draw the noiseless biases")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    table = bias_table(0, asked.seed)
    if asked.figure:
        draw(table, asked.figure)
    if asked.draws:
        bias_table(asked.draws, asked.seed)
    if asked.faint:
        faint_table(asked.faint, asked.seed)


if __name__ == "__main__":
    main()
