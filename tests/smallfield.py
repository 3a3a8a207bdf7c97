"""A small field that runs through the whole workflow in seconds: twelve Gaussian galaxies, two bands, exact PSFs.

Galaxies and PSFs are elliptical Gaussians, so that a blurred image is a sum of Gaussians again and nothing has to be
convolved. The truth (positions in the sharp image, fluxes) is known, and so is who is whose neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from astropy.io import fits
from astropy.wcs import WCS
from scipy.special import erf

SHARP, BLURRED = "sharp", "blurred"
SCALE_ARCSEC = {SHARP: 0.06, BLURRED: 0.15}
PSF_SIGMA_ARCSEC = {SHARP: 0.06, BLURRED: 0.2}
RMS = {SHARP: 0.02, BLURRED: 0.05}
TARGET = {"ra": 150.0, "dec": 2.0}
SPACING = 68
"""Pixels of the sharp image between galaxies: more than a cutout's half-size (25) and a source's reach (30)."""
BLURRED_MARGIN = 2
"""Pixels by which the blurred image is larger on each side than the sharp one."""

PAIR_OFFSET = (0.0, 13.0)
"""(dy, dx) of the companion of the brightest galaxy: inside its cutout, so that both are one fit group."""
NEAR_OFFSET = (0.0, -44.0)
"""(dy, dx) of one galaxy from another: outside its cutout and within its reach, so that their groups are neighbours."""


@dataclass(frozen=True)
class Galaxy:
    """A Gaussian galaxy: position (y, x) in pixels of the sharp image, flux, width of its axes in arcsec."""

    y: float
    x: float
    flux: float
    sigma_arcsec: tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Rows and columns of cells of the sharp image, and the galaxies in them, brightest first (ID 1, 2, 3 …)."""

    rows: int
    columns: int
    galaxies: tuple[Galaxy, ...]

    def shape(self, band: str) -> tuple[int, int]:
        """Return (ny, nx) of a band's image."""
        ny, nx = self.rows * SPACING, self.columns * SPACING
        if band == SHARP:
            return ny, nx
        ratio = SCALE_ARCSEC[SHARP] / SCALE_ARCSEC[band]
        return round(ny * ratio) + 2 * BLURRED_MARGIN, round(nx * ratio) + 2 * BLURRED_MARGIN


def cells(rows: int, columns: int) -> list[tuple[float, float]]:
    """Return the centres (y, x) of the cells."""
    return [((row + 0.5) * SPACING, (column + 0.5) * SPACING) for row in range(rows) for column in range(columns)]


def galaxy(number: int, place: tuple[float, float], flux: float) -> Galaxy:
    """Return galaxy `number` near `place`; the faint ones are a little larger."""
    size = number % 12
    return Galaxy(place[0] + 0.3, place[1] - 0.2, flux, (0.12 + 0.004 * size, 0.08 + 0.003 * size))


def lonely(number: int) -> Layout:
    """Return a field of `number` galaxies, each alone: for measurements of speed."""
    columns = int(np.ceil(np.sqrt(number)))
    rows = -(-number // columns)
    places = cells(rows, columns)[:number]
    return Layout(rows, columns, tuple(galaxy(i, p, 60.0 * 0.2 ** (i / number)) for i, p in enumerate(places)))


def small() -> Layout:
    """Return the small field: 1 and 2 are one group, 3 and 4 neighbouring groups, all others alone."""
    rows, columns = 3, 4
    centres = cells(rows, columns)
    places = [centres[0], (centres[0][0] + PAIR_OFFSET[0], centres[0][1] + PAIR_OFFSET[1])]
    places += [centres[3], (centres[3][0] + NEAR_OFFSET[0], centres[3][1] + NEAR_OFFSET[1])]
    # The rest of the first row stays empty: the companion of the fourth cell needs room.
    places += centres[4:]
    return Layout(rows, columns, tuple(galaxy(i, place, 60.0 * 0.88**i) for i, place in enumerate(places)))


SMALL = small()


def empty_place() -> tuple[float, float]:
    """Return (y, x) in the sharp image where no galaxy is near: the second cell."""
    return 0.5 * SPACING, 1.55 * SPACING


def wcs_of(band: str, layout: Layout = SMALL) -> WCS:
    """Return the world coordinates of a band: north up, the centre of the field at the target."""
    wcs = WCS(naxis=2)
    ny, nx = layout.shape(band)
    wcs.wcs.crpix = (nx + 1) / 2, (ny + 1) / 2
    wcs.wcs.crval = TARGET["ra"], TARGET["dec"]
    wcs.wcs.cdelt = -SCALE_ARCSEC[band] / 3600.0, SCALE_ARCSEC[band] / 3600.0
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.radesys = "ICRS"
    return wcs


def to_band(y: float, x: float, band: str, layout: Layout = SMALL) -> tuple[float, float]:
    """Return the position (y, x) in `band` of a position in the sharp image."""
    ratio = SCALE_ARCSEC[SHARP] / SCALE_ARCSEC[band]
    (ny, nx), (my, mx) = layout.shape(SHARP), layout.shape(band)
    return (my - 1) / 2 + ratio * (y - (ny - 1) / 2), (mx - 1) / 2 + ratio * (x - (nx - 1) / 2)


def draw(band: str, seed: int, layout: Layout = SMALL) -> np.ndarray:
    """Return the image of a band with white noise."""
    image = np.random.default_rng(seed).normal(0.0, RMS[band], layout.shape(band))
    half = round(6.0 / SCALE_ARCSEC[band] / 2)
    for source in layout.galaxies:
        y, x = to_band(source.y, source.x, band, layout)
        sigma = [np.hypot(s, PSF_SIGMA_ARCSEC[band]) / SCALE_ARCSEC[band] for s in source.sigma_arcsec]
        top, left = max(round(y) - half, 0), max(round(x) - half, 0)
        window = image[top : round(y) + half + 1, left : round(x) + half + 1]
        rows, columns = in_pixels(window.shape[0], y - top, sigma[1]), in_pixels(window.shape[1], x - left, sigma[0])
        window += source.flux * np.outer(rows, columns)
    return image


def in_pixels(number: int, centre: float, sigma: float) -> np.ndarray:
    """Return the integral of a unit Gaussian over each of `number` pixels."""
    edges = (np.arange(number + 1) - 0.5 - centre) / (np.sqrt(2.0) * sigma)
    return 0.5 * np.diff(erf(edges))


def psf(band: str) -> np.ndarray:
    """Return the band's PSF, the pixel's response in it, on the band's pixels."""
    sigma = PSF_SIGMA_ARCSEC[band] / SCALE_ARCSEC[band]
    profile = in_pixels(21, 10.0, sigma)
    return np.outer(profile, profile)


def config() -> dict:
    """Return config.yaml as a dictionary: both bands, detection on the sharp one."""
    return {
        "data_dir": ".",
        "results_dir": "results",
        "target": dict(TARGET),
        "detection": {"bands": [SHARP], "conv_fwhm": 0.15, "min_snr": 10},
        "models": {"psf": SHARP, "batch_size": 4, "oversampling": 3},
        "bands": {
            band: {"image": f"{band}.fits", "psf": f"{band}-psf.fits", "zero_point": 25.0} for band in (SHARP, BLURRED)
        },
    }


def write(folder: Path, layout: Layout = SMALL) -> None:
    """Write images, PSFs, region files and config.yaml of a field into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, band in enumerate((SHARP, BLURRED), start=1):
        header = wcs_of(band, layout).to_header()
        fits.writeto(folder / f"{band}.fits", draw(band, seed, layout).astype(np.float32), header, overwrite=True)
        fits.writeto(folder / f"{band}-psf.fits", psf(band).astype(np.float32), overwrite=True)
    ra, dec = TARGET["ra"], TARGET["dec"]
    edges = "".join(f'box({ra},{dec + sign * 6.1 / 3600:.6f},20",0.3",0)\n' for sign in (-1, 1))
    (folder / "mask_border.reg").write_text("# upper and lower edge\nfk5\n" + edges)
    (folder / "config.yaml").write_text(yaml.safe_dump(config(), sort_keys=False))
