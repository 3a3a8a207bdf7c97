"""The fields of the accuracy benchmark: what is drawn, the files a user would have, models drawn at the true shapes.

GalSim draws everything: galaxies, PSFs and the un-convolved models. None of the workflow's templates is involved.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits
from unblend.images.psf import centroid
from unblend.simulation import truth as compare
from unblend.simulation.example_field import hubble_psf, irac_psf
from unblend.simulation.fields import BandSpec, DrawnBand, FieldSpec, PsfChange, PsfComponent, draw_field, draw_psf
from unblend.simulation.galsim_profiles import galsim_source
from unblend.simulation.population import SimulatedSource

ROOT = Path(__file__).resolve().parents[2]
REAL_PSF = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "psf/irac_ch3_cold_psf.fits"
REAL_PSF_PIXEL_ARCSEC = 0.1

CENTRE = (53.0873, -27.84)
REFERENCE = "hst"
MARGIN_ARCSEC = 4.0
"""Around the populated square: nothing is cut by an edge, and nothing shines in from outside."""
SMALL_ARCSEC = 45.0
"""Side of the square of those fields that differ from the clean one in their bands alone."""
N_STARS = 2
FAINTEST_AB = 26.0
DEPTH_STEP = 4.0
"""Noise of the right half of the images of the scenario `depth` in units of that of the left half."""
STRUCTURED_TO_AB = 24.5
"""Galaxies brighter than this consist of parts in the scenario `structured`."""
DISTORTION_ARCSEC = 0.15
"""Amplitude of the shifts that change over the image, in the scenario `distorted`."""
GLOW_NOISES = 4.5
"""Range of the background over the image in units of the noise of a pixel, in the scenario `gradient`."""
GLOW_ORDER = 3
"""Order of the polynomial that is fitted to it. It is none: the glow of a star falls off exponentially."""
PSF_NODES = 9
"""Points along each axis of the grid of PSFs in the scenario `psfmap`: interpolation misplaces 2e-4 of the light."""
MODEL_PIXEL_ARCSEC = 0.012
MAX_HALF_SIZE = 900
"""Model pixels: a larger galaxy's model is cut there, its header says what it holds."""


@dataclass(frozen=True)
class Scenario:
    """What is drawn: number of galaxies per square arcminute on a square of `side_arcsec`, and its three bands.

    Where the PSF of a band changes over its image, the user has a grid of PSFs, with `one_psf` only that of the middle.
    Where its shift changes, a field of shifts is measured, with `one_shift` only a constant. With `glow` the background
    of every band changes (`background_glow`), and a polynomial is fitted, with `constant` only a constant.
    Galaxies brighter than `structured_to_ab` consist of parts, each with its own colour, of bulge and disc alone where
    there are no `arms`: no single model has their true shape in all bands, and the field is only run end to end.
    """

    name: str
    title: str
    density_arcmin2: float
    side_arcsec: float
    bands: tuple[BandSpec, ...]
    structured_to_ab: float | None = None
    arms: bool = True
    modes: tuple[str, ...] = ("noise", "fits", "true")
    one_psf: bool = False
    one_shift: bool = False
    glow: bool = False
    constant: bool = False

    def spec(self) -> FieldSpec:
        """Return the field as the drawer wants it."""
        galaxies = round(self.density_arcmin2 * (self.side_arcsec / 60.0) ** 2)
        return FieldSpec(
            CENTRE,
            self.bands,
            REFERENCE,
            self.side_arcsec,
            galaxies,
            N_STARS,
            FAINTEST_AB,
            structured_to_ab=self.structured_to_ab,
            arms=self.arms,
        )


def bands(side_arcsec: float) -> tuple[BandSpec, BandSpec, BandSpec]:
    """Return the plain bands: sharp (FWHM 0.18"), ground-based (0.5"), Spitzer-like (1.7"), white noise, north up."""

    def shape(pixel_arcsec: float) -> tuple[int, int]:
        return (int(np.ceil((side_arcsec + MARGIN_ARCSEC) / pixel_arcsec)),) * 2

    return (
        BandSpec(REFERENCE, 1.54, 0.06, shape(0.06), hubble_psf(0.173, 1.54), depth_ab=27.7),
        BandSpec("ground", 2.15, 0.15, shape(0.15), (PsfComponent(0.92, 0.485, beta=4.0),
                 PsfComponent(0.08, 1.2, beta=3.5)), depth_ab=25.8, phase_pixels=(0.27, -0.41),
                 shift_arcsec=(0.09, -0.06), background=1.5, psf_shape=(64, 64), psf_offset_pixels=(0.3, -0.2)),
        BandSpec("spitzer", 3.6, 0.6, shape(0.6), irac_psf(1.60, 10.0), depth_ab=25.2, phase_pixels=(-0.32, 0.18),
                 shift_arcsec=(-0.20, 0.12), psf_shape=(41, 41)),
    )  # fmt: skip


def with_depth_step(band: BandSpec) -> BandSpec:
    """Return a band whose noise is larger by `DEPTH_STEP` in the right half of the image."""
    return replace(band, noisy_columns=(band.shape[1] // 2, band.shape[1], DEPTH_STEP))


def scenarios() -> dict[str, Scenario]:
    """Return the scenarios by name; the one with a measured PSF only where its file is."""
    hst, ground, spitzer = bands(SMALL_ARCSEC)
    smoothed = (
        replace(hst, noise_sigma_pixels=0.6),
        replace(ground, noise_sigma_pixels=0.7),
        replace(spitzer, noise_sigma_pixels=0.6),
    )
    turned = (
        replace(hst, rotation_deg=-20.0),
        replace(ground, rotation_deg=31.0),
        replace(spitzer, rotation_deg=172.0, flipped=True, psf_oversampling=3, psf_shape=(123, 123)),
    )
    stepped = (
        with_depth_step(hst),
        with_depth_step(ground),
        with_depth_step(spitzer),
    )
    made = [
        Scenario("clean", "60 galaxies per square arcminute", 60.0, 60.0, bands(60.0)),
        Scenario("crowded", "400 galaxies per square arcminute", 400.0, 30.0, bands(30.0)),
        Scenario("correlated", "correlated noise in all bands", 60.0, SMALL_ARCSEC, smoothed),
        Scenario("rotated", "rotated and flipped grids", 60.0, SMALL_ARCSEC, turned),
        Scenario("depth", "rms maps with a step of 4 in all bands", 60.0, SMALL_ARCSEC, stepped),
        Scenario(
            "structured",
            "galaxies of bulge, disc, arms and knots, each of its own colour",
            60.0,
            60.0,
            bands(60.0),
            structured_to_ab=STRUCTURED_TO_AB,
            modes=("fits",),
        ),
        Scenario(
            "bulges",
            "galaxies of bulge and disc, each of its own colour",
            60.0,
            60.0,
            bands(60.0),
            structured_to_ab=STRUCTURED_TO_AB,
            arms=False,
            modes=("fits",),
        ),
    ]
    changing = (
        replace(hst, psf_change=PsfChange()),
        replace(ground, psf_change=PsfChange()),
        replace(spitzer, psf_change=PsfChange(), psf_oversampling=3, psf_shape=(123, 123)),
    )
    for name, title, one in (
        ("psfmap", "PSFs that change by 15 % in FWHM and turn over the image", False),
        ("psfmap-one", "the same, measured with the PSF of the middle", True),
    ):
        modes = ("fits", "true")
        made.append(Scenario(name, title, 60.0, SMALL_ARCSEC, changing, modes=modes, one_psf=one))
    for name, title, one in (
        ("distorted", "shifts that change over the image by 0.3 arcsec", False),
        ("distorted-one", "the same, measured with one shift", True),
    ):
        warped = tuple(
            replace(b, distortion_arcsec=0.0 if b.name == REFERENCE else DISTORTION_ARCSEC) for b in bands(60.0)
        )
        modes = ("fits", "true")
        made.append(Scenario(name, title, 60.0, 60.0, warped, modes=modes, one_shift=one))
    for name, title, constant in (
        ("gradient", "a gradient and the glow of a star, measured with polynomials", False),
        ("gradient-one", "the same, measured with a constant", True),
    ):
        made.append(
            Scenario(name, title, 60.0, 60.0, bands(60.0), modes=("fits", "true"), glow=True, constant=constant)
        )
    if REAL_PSF.exists():
        psf = np.asarray(fits.getdata(REAL_PSF), dtype=float)
        real = replace(spitzer, wavelength_um=5.8, measured_psf=psf, psf_shape=psf.shape,
                       measured_centre=centroid(psf),
                       psf_oversampling=round(spitzer.pixel_arcsec / REAL_PSF_PIXEL_ARCSEC))  # fmt: skip
        made.append(Scenario("psf", "a measured PSF, even-sized, off centre", 60.0, SMALL_ARCSEC, (hst, ground, real)))
    return {scenario.name: scenario for scenario in made}


def draw(folder: Path, scenario: Scenario, seed: int) -> None:
    """Draw a field and write images, PSFs, truth, true models and both configurations into `folder`."""
    number = sum(map(ord, scenario.name.removesuffix("-one")))  # the same field, measured in two ways
    field = draw_field(scenario.spec(), np.random.default_rng([seed, number]))
    folder.mkdir(parents=True, exist_ok=True)
    for name, band in field.bands.items():
        header = band.wcs.to_header()
        glow = background_glow(band) if scenario.glow else 0.0
        fits.writeto(folder / f"{name}.fits", (band.image + glow).astype(np.float32), header, overwrite=True)
        if band.spec.noisy_columns:
            fits.writeto(folder / f"{name}-rms.fits", band.rms.astype(np.float32), header, overwrite=True)
        if band.spec.psf_change is not None and not scenario.one_psf:
            write_psf_grid(folder / f"{name}-psf.fits", band)
        else:
            fits.writeto(folder / f"{name}-psf.fits", band.psf.astype(np.float32), overwrite=True)
        # For noise drawn again: what the band would be without any, and the noise of each pixel.
        np.savez(folder / f"{name}-light.npz", light=band.light + level(band) + glow, rms=band.rms)
    for mode, custom in (("fits", "none"), ("true", "custom_models")):
        settings = configuration(scenario.bands, f"results-{mode}", custom, one_shift=scenario.one_shift)
        if scenario.glow and not scenario.constant:
            for band in settings["bands"].values():
                band["background"] = {"order": GLOW_ORDER}
        (folder / f"{mode}.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    fits.BinTableHDU(field.truth).writeto(folder / "truth.fits", overwrite=True)
    shutil.rmtree(folder / "true_models", ignore_errors=True)
    if "true" in scenario.modes:
        write_true_models(folder, field.truth)


def write_psf_grid(path: Path, band: DrawnBand) -> None:
    """Draw the PSFs of a band on a grid over its image and write them as STPSF does."""
    rows, columns = (np.linspace(0.0, side - 1.0, PSF_NODES) for side in band.spec.shape)
    places = [(float(y), float(x)) for y in rows for x in columns]
    header = fits.Header({"OVERSAMP": band.spec.psf_oversampling})
    header.update({f"DET_YX{k}": f"({y!r}, {x!r})" for k, (y, x) in enumerate(places)})
    psfs = np.array([draw_psf(band.spec, band.wcs, place) for place in places])
    fits.writeto(path, psfs.astype(np.float32), header, overwrite=True)


def level(band: DrawnBand) -> float:
    """Return the constant of a drawn band."""
    return float(band.spec.background * band.rms.min())


def background_glow(band: DrawnBand) -> np.ndarray:
    """Return a plane, and the glow of a star beyond a corner, which falls off exponentially; together `GLOW_NOISES`."""
    y, x = (np.linspace(0.0, 1.0, side) for side in band.spec.shape)
    distance = np.hypot(*np.meshgrid(y + 0.1, x + 0.1, indexing="ij"))
    glow = np.exp(-distance / 0.3) + 0.4 * (np.add.outer(y, 0.5 * x))
    return np.asarray(GLOW_NOISES * band.rms.min() * (glow - glow.min()) / np.ptp(glow))


def configuration(
    specs: tuple[BandSpec, ...], results_dir: str, custom_dir: str, *, one_shift: bool = False
) -> dict[str, Any]:
    """Return config.yaml as a dictionary: detection on the sharp band, the shifts of the others searched."""
    made = {
        spec.name: {"image": f"{spec.name}.fits", "psf": f"{spec.name}-psf.fits", "zero_point": spec.zero_point_ab,
                    "psf_oversampling": float(spec.psf_oversampling)}
        for spec in specs
    }  # fmt: skip
    for spec in specs:
        if spec.noisy_columns:
            made[spec.name]["weight"] = {"file": f"{spec.name}-rms.fits", "kind": "rms"}
    for spec in specs:
        if spec.name != REFERENCE:
            made[spec.name]["shift"] = {"field": "auto"} if spec.distortion_arcsec and not one_shift else "auto"
    return {
        "data_dir": ".",
        "results_dir": results_dir,
        "target": dict(zip(("ra", "dec"), CENTRE, strict=True)),
        "detection": {"bands": [REFERENCE]},
        "models": {"psf": REFERENCE, "custom_dir": custom_dir},
        "bands": made,
    }


def match(truth: np.ndarray, found: np.ndarray, column: str) -> np.ndarray:
    """Return for each true source the index of the found one, −1 for none; `column` holds the found flux."""
    true_columns = (truth["ra"], truth["dec"], truth[f"flux_{REFERENCE}"])
    return compare.match_positions(true_columns, (found["ra"], found["dec"], found[column]))


def write_true_models(folder: Path, truth: np.ndarray) -> None:
    """Draw the un-convolved model of every source at its true place and shape: true_models/{id of the truth}.fits."""
    target = folder / "true_models"
    target.mkdir(exist_ok=True)
    for row in truth:
        path = target / f"{row['id']}.fits"
        if not path.exists():
            shape: dict[str, Any] = {name: float(row[name]) for name in ("ra", "dec", "n", "r_e_arcsec", "q")}
            write_true_model(path, SimulatedSource(**shape, pa_deg=float(row["pa"])))


def give_true_models(folder: Path, truth: np.ndarray, detected: np.ndarray) -> int:
    """Copy the true model of every detected source to custom_models/{id of the detection}.fits; return how many."""
    target = folder / "custom_models"
    target.mkdir(exist_ok=True)
    matched = match(truth, detected, "flux")
    rows = np.flatnonzero(matched >= 0)
    names = {f"{detected['id'][matched[row]]}.fits": folder / f"true_models/{truth['id'][row]}.fits" for row in rows}
    for old in target.glob("*.fits"):
        if old.name not in names:
            old.unlink()
    for name, path in names.items():
        if not (target / name).exists() or (target / name).read_bytes() != path.read_bytes():
            shutil.copy(path, target / name)
    return len(rows)


def write_true_model(path: Path, source: SimulatedSource) -> None:
    """Draw one source, north up; the header says what light it holds, as that of `models/{id}.fits` does."""
    data = np.ones((1, 1)) if source.is_star else integrated(source)
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = source.ra, source.dec
    header["CRPIX1"], header["CRPIX2"] = (data.shape[1] + 1) / 2.0, (data.shape[0] + 1) / 2.0
    step = MODEL_PIXEL_ARCSEC / 3600.0
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -step, 0.0, 0.0, step
    header["RADESYS"] = "ICRS"
    header["TOTAL"], header["HELD"], header["PIXINT"] = 1.0, float(data.sum()), not source.is_star
    fits.writeto(path, data.astype(np.float32), header, overwrite=True)


def integrated(source: SimulatedSource, *, samples: int = 2, cores: tuple = ((20, 12), (4, 64))) -> np.ndarray:
    """Return a galaxy's light per model pixel: the mean of `samples`² points of GalSim's profile in each pixel.

    In the innermost 2 k + 1 pixels, where a profile is steep, of as many more as `cores` says: pairs (k, samples).
    """
    radius = 20.0 * source.r_e_arcsec / MODEL_PIXEL_ARCSEC
    half = int(np.clip(np.ceil(radius), 60, MAX_HALF_SIZE))
    profile = galsim_source(source)
    data = binned(profile, half, samples)
    for core, more in cores:
        middle = slice(half - core, half + core + 1)
        data[middle, middle] = binned(profile, core, more)
    return data


def binned(profile: object, half: int, samples: int) -> np.ndarray:
    """Sample a profile at an even number of points per pixel and axis (none falls on its centre), and sum them."""
    import galsim

    side = 2 * half + 1
    # the image's X runs west: so do GalSim's world axes here
    image = galsim.Image(side * samples, side * samples, dtype=float, scale=MODEL_PIXEL_ARCSEC / samples)
    profile.drawImage(image=image, method="no_pixel")  # type: ignore[attr-defined]
    return image.array.reshape(side, samples, side, samples).sum(axis=(1, 3))
