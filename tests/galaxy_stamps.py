"""Small images of galaxies drawn by GalSim, and their fit groups: the independent truth of the fit tests."""

from __future__ import annotations

import functools

import galsim
import numpy as np
from unblend.core.types import Box, Psf
from unblend.fits.fit_psf import fit_psf
from unblend.fits.group_data import GroupData

OPTICAL = galsim.Moffat(beta=3.0, fwhm=3.0)
SEEN = galsim.Convolve(OPTICAL, galsim.Pixel(1.0))
BOX = Box(100, 200, 152, 252)  # 52 + 3 × 31 − 1 = 144: a size the FFT likes


def psf_array(profile=SEEN, side=61):
    return profile.drawImage(nx=side, ny=side, scale=1.0, method="no_pixel").array.astype(float)


@functools.cache
def fitting_psf():
    """The effective PSF made ready for IMFIT."""
    return fit_psf(Psf(psf_array(), (30.0, 30.0)), max_flux_loss=1e-3)


def galaxy(y, x, flux, n, r_e, ell, pa, shape=BOX.shape):
    """A Sersic profile in IMFIT's parameters (pixels of the stamp, 0-based) as the detector sees it."""
    # GalSim's radius is that of the circle of equal area, its angle counts from +x
    profile = galsim.Sersic(n=n, half_light_radius=r_e * np.sqrt(1 - ell), flux=flux)
    profile = profile.shear(q=1 - ell, beta=(pa + 90.0) * galsim.degrees)
    offset = (x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2)
    drawn = galsim.Convolve(profile, OPTICAL).drawImage(nx=shape[1], ny=shape[0], scale=1.0, offset=offset)
    return drawn.array.astype(float)


def star(y, x, flux, shape=BOX.shape):
    offset = (x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2)
    return (SEEN * flux).drawImage(nx=shape[1], ny=shape[0], scale=1.0, offset=offset, method="no_pixel").array * 1.0


def group(lights, rms=1.0, seed=1, members=None, **more):
    """A fit group of noisy light: each pixel above 1.5 rms belongs to the brightest source there."""
    lights = np.array(lights)
    image = lights.sum(axis=0) + np.random.default_rng(seed).normal(0.0, rms, lights.shape[1:])
    segments = np.where(lights.max(axis=0) > 1.5 * rms, lights.argmax(axis=0) + 1, 0)
    ids = tuple(range(1, len(lights) + 1)) if members is None else members
    return GroupData(BOX, image, np.full(image.shape, rms), segments, ids, **more)
