"""Small images of galaxies drawn by GalSim, and their fit groups: the independent truth of the fit tests."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import galsim
import numpy as np
from unblend.core.types import Box, Psf
from unblend.fits.fit_psf import fit_psf
from unblend.fits.group_data import GroupData

OPTICAL = galsim.Moffat(beta=3.0, fwhm=3.0)
SEEN = galsim.Convolve(OPTICAL, galsim.Pixel(1.0))
BOX = Box(100, 200, 152, 252)  # 52 + 3 × 31 − 1 = 144: a size the FFT likes


def psf_array(profile: galsim.GSObject = SEEN, side: int = 61) -> np.ndarray:
    return profile.drawImage(nx=side, ny=side, scale=1.0, method="no_pixel").array.astype(float)


@functools.cache
def fitting_psf() -> np.ndarray:
    """The effective PSF made ready for IMFIT."""
    return fit_psf(Psf(psf_array(), (30.0, 30.0)), max_flux_loss=1e-3)


def galaxy(
    y: float, x: float, flux: float, n: float, r_e: float, ell: float, pa: float, shape: tuple[int, int] = BOX.shape
) -> np.ndarray:
    """A Sersic profile in IMFIT's parameters (pixels of the stamp, 0-based) as the detector sees it."""
    # GalSim's radius is that of the circle of equal area, its angle counts from +x
    profile = galsim.Sersic(n=n, half_light_radius=r_e * np.sqrt(1 - ell), flux=flux)
    profile = profile.shear(q=1 - ell, beta=(pa + 90.0) * galsim.degrees)
    offset = (x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2)
    drawn = galsim.Convolve(profile, OPTICAL).drawImage(nx=shape[1], ny=shape[0], scale=1.0, offset=offset)
    return drawn.array.astype(float)


def star(y: float, x: float, flux: float, shape: tuple[int, int] = BOX.shape) -> np.ndarray:
    offset = (x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2)
    return (SEEN * flux).drawImage(nx=shape[1], ny=shape[0], scale=1.0, offset=offset, method="no_pixel").array * 1.0


def group(
    lights: Sequence[np.ndarray],
    rms: float = 1.0,
    seed: int = 1,
    members: tuple[int, ...] | None = None,
    **more: Any,
) -> GroupData:
    """A fit group of noisy light: each pixel above 1.5 rms belongs to the brightest source there."""
    lights_array = np.array(lights)
    image = lights_array.sum(axis=0) + np.random.default_rng(seed).normal(0.0, rms, lights_array.shape[1:])
    segments = np.where(lights_array.max(axis=0) > 1.5 * rms, lights_array.argmax(axis=0) + 1, 0)
    ids = tuple(range(1, len(lights) + 1)) if members is None else members
    return GroupData(BOX, image, np.full(image.shape, rms), segments, ids, **more)
