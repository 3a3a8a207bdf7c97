"""Synthetic fields of any number of sources: galaxies of realistic sizes, 180 per square arcminute, correlated noise.

Templates are drawn as Moffat profiles, which is quick: their pixels, boxes and overlaps are what the cost depends on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from unblend.core.types import Box, ModelOutline, Psf, Template
from unblend.photometry.correlated_noise import draw_noise, positive_definite
from unblend.photometry.linear_system import model_image

PER_SQUARE_ARCMIN = 180.0
DETECTION_PIXEL_ARCSEC = 0.06
MEDIAN_R_E_ARCSEC, R_E_SCATTER_DEX = 0.25, 0.22
TARGET = (150.0, 2.0)


@dataclass(frozen=True)
class BandKind:
    """Pixel and PSF FWHM in arcsec, and half the side of a template in pixels."""

    pixel: float
    fwhm: float
    half: int


KINDS = {"irac": BandKind(0.6, 1.7, 27), "ks": BandKind(0.15, 0.5, 40), "f160w": BandKind(0.06, 0.18, 50)}


@dataclass(frozen=True)
class ScalingField:
    """One band: image and weight, true templates and fluxes, positions, PSF, and the table of the fitted shapes."""

    image: np.ndarray
    weight: np.ndarray
    templates: list[Template]
    flux: np.ndarray
    positions: np.ndarray
    wcs: WCS
    psf: Psf
    models: dict[int, ModelOutline]
    shapes: np.ndarray
    correlation: np.ndarray


def moffat(shape: tuple[int, int], y: float, x: float, fwhm: float, beta: float = 2.5) -> np.ndarray:
    """Return a Moffat profile of unit total flux at (y, x), FWHM in pixels."""
    core = fwhm / 2.0 / np.sqrt(2.0 ** (1.0 / beta) - 1.0)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    r2 = ((rows - y) ** 2 + (columns - x) ** 2) / core**2
    return np.asarray((1.0 + r2) ** -beta * (beta - 1.0) / (np.pi * core**2))


def scaling_field(number: int, kind: BandKind, seed: int = 1) -> ScalingField:
    """Return a field of `number` galaxies seen in one band."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(number / PER_SQUARE_ARCMIN) * 60.0 / kind.pixel)
    positions = rng.uniform(0.0, side - 1.0, (number, 2))
    r_e = MEDIAN_R_E_ARCSEC * 10.0 ** rng.normal(0.0, R_E_SCATTER_DEX, number)
    flux = 10.0 ** (1.0 + rng.exponential(0.4, number))
    templates = [
        _template(k + 1, (y, x), np.hypot(kind.fwhm, 1.5 * r_e[k]) / kind.pixel, kind.half, side)
        for k, (y, x) in enumerate(positions.tolist())
    ]
    rows, columns = np.mgrid[-7:8, -7:8]
    correlation = positive_definite(np.exp(-(rows**2 + columns**2) / (4 * 0.7**2)))
    image = model_image(templates, flux, (side, side), 0.3) + draw_noise(correlation, (side, side), rng)
    wcs = tangent_plane(side, kind.pixel)
    sky = wcs.wcs_pix2world(positions[:, ::-1], 0)
    to_sky = DETECTION_PIXEL_ARCSEC / 5.0 * np.array([[0.0, -1.0], [1.0, 0.0]])
    models = {k + 1: ModelOutline((ra, dec), to_sky, flux[k], flux[k]) for k, (ra, dec) in enumerate(sky.tolist())}
    psf_side = 2 * kind.half + 1
    psf = moffat((psf_side, psf_side), kind.half, kind.half, kind.fwhm / kind.pixel)
    return ScalingField(
        image, np.ones(image.shape), templates, flux, positions, wcs,
        Psf(psf / psf.sum(), (float(kind.half), float(kind.half))), models, fitted_shapes(r_e, flux), correlation,
    )  # fmt: skip


def tangent_plane(side: int, pixel: float) -> WCS:
    """Return a tangent plane with north up, centred on the target."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = TARGET, [side / 2.0, side / 2.0]
    wcs.wcs.cdelt = [-pixel / 3600.0, pixel / 3600.0]
    return wcs


def fitted_shapes(r_e_arcsec: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Return rows as in sersic.fits, with errors of the shapes that fall with the flux."""
    names = ("pa", "ell", "n", "r_e", "oversampling")
    shapes = np.zeros(len(flux), [("id", "i8"), *((name, "f8") for name in names), ("covariance", "f8", (6, 6))])
    shapes["id"], shapes["pa"], shapes["ell"], shapes["n"] = np.arange(1, len(flux) + 1), 30.0, 0.3, 1.5
    shapes["r_e"], shapes["oversampling"] = r_e_arcsec / DETECTION_PIXEL_ARCSEC, 5.0
    sigma = np.array([0.1, 0.1, 5.0, 0.05, 0.2, 0.3]) * (10.0 / flux)[:, None]
    shapes["covariance"] = sigma[:, :, None] * sigma[:, None, :] * np.eye(6)
    return shapes


def _template(number: int, place: tuple[float, float], fwhm: float, half: int, side: int) -> Template:
    (y, x), box = place, Box.around(*place, half)
    inside = box & Box.of_shape((side, side))
    whole = moffat(box.shape, y - box.y0, x - box.x0, fwhm)
    data = whole[inside.within(box)].astype(np.float32)
    return Template(number, inside, data, float(data.sum() / whole.sum()))
