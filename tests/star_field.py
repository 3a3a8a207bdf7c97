"""Drawn images with stars among galaxies, whose PSF is known exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from astropy.io import fits
from unblend.images.psf import centroid, upsampled

SCALE_ARCSEC = 0.1
FWHM = 3.0
"""FWHM of the PSFs in pixels."""
NOISE = 1.0
PARAMETERS = galsim.GSParams(maximum_fft_size=16384, folding_threshold=1e-4)


def moffat_psf() -> Any:
    """Return a round PSF, in pixels."""
    return galsim.Moffat(beta=3.0, fwhm=FWHM, gsparams=PARAMETERS)


def asymmetric_psf() -> Any:
    """Return a PSF with an elongated core and light on one side of it, in pixels."""
    core = galsim.Moffat(beta=2.8, fwhm=FWHM, gsparams=PARAMETERS).shear(e1=0.12, e2=0.08)
    return 0.75 * core + 0.25 * galsim.Gaussian(fwhm=1.1 * FWHM).shift(0.35 * FWHM, 0.2 * FWHM)


@dataclass
class StarField:
    """An image under construction, in pixels; positions are (y, x), 0-based.

    Parameters
    ----------
    psf : galsim object
    side : int
    """

    psf: Any
    side: int = 400
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def __post_init__(self) -> None:
        self.image = galsim.ImageD(self.side, self.side, xmin=0, ymin=0, scale=1.0)

    def add(self, y: float, x: float, flux: float, profile: Any = None) -> None:
        """Draw a star, or a galaxy with a profile."""
        seen = self.psf if profile is None else galsim.Convolve(profile, self.psf, gsparams=PARAMETERS)
        row, column = round(y), round(x)
        half = 60 if profile is None else 30
        box = galsim.BoundsI(column - half, column + half, row - half, row + half) & self.image.bounds
        seen.withFlux(flux).drawImage(self.image[box], add_to_image=True, center=galsim.PositionD(x, y))

    def add_stars(self, number: int, *, snr: tuple[float, float] = (50.0, 2000.0)) -> list[tuple[float, float]]:
        """Draw stars on a jittered lattice, evenly in the logarithm of the S/N, and return their positions."""
        columns = int(np.ceil(np.sqrt(number)))
        step = (self.side - 60) / columns
        places = [(30 + (i // columns + 0.5) * step, 30 + (i % columns + 0.5) * step) for i in range(number)]
        found = []
        for (y, x), ratio in zip(places, np.geomspace(snr[1], snr[0], number), strict=True):
            dy, dx = self.rng.uniform(-0.5, 0.5, 2)
            self.add(y + dy, x + dx, flux_of(ratio))
            found.append((y + dy, x + dx))
        return found

    def add_galaxies(self, number: int, stars: list[tuple[float, float]], *, away: float = 32.0) -> None:
        """Draw galaxies at random places at least `away` pixels from the stars."""
        drawn = 0
        while drawn < number:
            y, x = self.rng.uniform(10, self.side - 10, 2)
            if min(np.hypot(y - a, x - b) for a, b in stars) < away:
                continue
            profile = galsim.Exponential(half_light_radius=self.rng.uniform(1.5, 4.0)).shear(g1=0.2, g2=-0.1)
            self.add(y, x, flux_of(float(np.exp(self.rng.uniform(np.log(10), np.log(300))))), profile)
            drawn += 1

    def pixels(self, level: float = 3.0) -> np.ndarray:
        """Return the image with noise and a constant background."""
        return self.image.array + level + self.rng.normal(0.0, NOISE, (self.side, self.side))

    def write(self, path: Path, pixels: np.ndarray | None = None) -> dict[str, Any]:
        """Write the image and return the job spec of its PSF."""
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0})
        header.update({"CRVAL1": 53.0, "CRVAL2": 0.0, "CDELT1": -SCALE_ARCSEC / 3600, "CDELT2": SCALE_ARCSEC / 3600})
        fits.writeto(path, self.pixels() if pixels is None else pixels, header, overwrite=True)
        nothing = {"file": str(path.parent / "none.reg")}
        return {
            "name": "k", "kind": "effective", "sum": "unit", "centre": "centroid", "saturation": None, "weight": None,
            "image": {"file": str(path)}, "border_regions": nothing, "bad_regions": nothing,
            "stars": {"places": None, "oversampling": None, "size_arcsec": None},
        }  # fmt: skip


def flux_of(snr: float) -> float:
    """Return the flux of a star of this S/N."""
    return float(snr * NOISE * np.sqrt(4.0 * np.pi) * FWHM / 2.3548)


def true_psf(psf: Any, side: int, oversampling: int) -> np.ndarray:
    """Return the PSF with the response of the pixel, on pixels smaller by `oversampling`, of unit sum."""
    seen = galsim.Convolve(psf, galsim.Pixel(1.0), gsparams=PARAMETERS)
    drawn = seen.drawImage(nx=side, ny=side, scale=1.0 / oversampling, method="no_pixel", dtype=float).array
    return np.asarray(drawn / drawn.sum())


def encircled(data: np.ndarray, radii: np.ndarray, oversampling: int) -> np.ndarray:
    """Return the light of a PSF in circles of these radii (image pixels) around its centroid."""
    fine, factor = 8, oversampling * 8
    values = upsampled(data, fine)[4 * fine : -4 * fine, 4 * fine : -4 * fine] / fine**2
    y, x = (c * fine for c in centroid(data))
    rows, columns = np.indices(values.shape)
    distance = np.hypot(rows - y, columns - x)
    return np.array([values[distance <= radius * factor].sum() for radius in radii])
