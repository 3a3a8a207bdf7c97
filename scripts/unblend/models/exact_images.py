"""Exact images of Sersic profiles and point sources, with their derivatives, on a box of the detection image.

An image is the continuous profile convolved with the PSF, pixel response included, and sampled at the centres of the
pixels. It is computed from the transform of the profile (`sersic_transform`) times that of the PSF, so that the core of
a steep profile needs no subdivided pixels.

A discrete transform of P pixels repeats the image every P pixels. Where that matters the profile is divided into its
convolution with a broad, smooth window and the rest. The rest is confined to a few widths of the window, for which the
margin of P around the box is sufficient. The smooth part has low frequencies only, and these are sampled `WING_PERIODS`
times more finely.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..core.types import Box, Psf, SersicShape
from ..images.psf import transform
from .sersic import Sersic, b_n
from .sersic_transform import sersic_derivatives, sersic_image_transform

WINDOW_SIGMA = 6.0
"""Pixels, sigma of the Gaussian G of the window 2 G − G ⊗ G. Beyond 6 sigma the rest of a profile of n = 4 has less
than 1e-3 of its brightness."""
WINDOW_SIGMAS = 6.0
"""Margin around the box for the rest, in units of `WINDOW_SIGMA`, besides the half side of the PSF."""
WING_PERIODS = 4
"""Distance at which the smooth part repeats, in units of P."""
MAX_LIGHT_OUTSIDE = 1e-4
"""Fraction of the flux beyond P/2 from the centre from which a profile is divided: less changes no pixel noticeably."""
_WINDOW_LIMIT = 1e-6
"""Value of the window below which the frequencies of the smooth part end."""


class ExactImages:
    """Images of profiles of unit flux on a box, and their derivatives.

    Parameters
    ----------
    box : Box
        The part of the detection grid to draw.
    psf : Psf
        The pixel response is included if the PSF is optical. Its light outside the array does not exist.
    """

    def __init__(self, box: Box, psf: Psf):
        from scipy.fft import next_fast_len

        self.box, self.psf = box, psf
        margin = int(np.ceil(max(psf.data.shape) / psf.oversampling / 2.0 + WINDOW_SIGMAS * WINDOW_SIGMA))
        self.sides = tuple(next_fast_len(side + margin, real=True) for side in box.shape)

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frequencies along y and x of the transform of `sides` pixels, and the transform of the PSF there."""
        ky, kx = np.fft.fftfreq(self.sides[0]), np.fft.rfftfreq(self.sides[1])
        return ky, kx, transform(self.psf, ky, kx)

    @cached_property
    def _wing_grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Low frequencies along y and x, and the transform of the PSF times the window there, integrated over x ≷ 0."""
        limit = np.sqrt(np.log(2.0 / _WINDOW_LIMIT) / 2.0) / (np.pi * WINDOW_SIGMA)
        periods = [WING_PERIODS * side for side in self.sides]
        highest = [int(np.ceil(limit * period)) for period in periods]
        ky, kx = np.arange(-highest[0], highest[0] + 1) / periods[0], np.arange(highest[1] + 1) / periods[1]
        weight = np.where(kx > 0, 2.0, 1.0) / (periods[0] * periods[1])
        return ky, kx, transform(self.psf, ky, kx) * _window(ky, kx) * weight

    @cached_property
    def _rest(self) -> np.ndarray:
        """One minus the window, on the frequencies of `_grid`."""
        return np.asarray(1.0 - _window(*self._grid[:2]))

    def sersic(self, profile: Sersic, *, derivatives: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return the image of a Sersic profile of unit flux, and its derivatives.

        Parameters
        ----------
        profile : Sersic
            In pixels of the detection image. Its brightness is not used.
        derivatives : bool
            False: the image alone, in a fifth of the time.

        Returns
        -------
        image : array (ny, nx)
        derivatives : array (6, ny, nx)
            With respect to y, x, pa (in degrees), ell, n and r_e; of shape (0, ny, nx) without derivatives.
        """
        ky, kx, psf = self._grid
        divided = self._light_outside(profile)
        spectra = _spectra(profile, ky, kx, derivatives=derivatives)
        images = self._inverse(spectra, psf * self._rest if divided else psf, profile.y, profile.x)
        if divided:
            images = images + self._smooth_part(profile, derivatives=derivatives)
        return images[0], images[1:]

    def point(self, y: float, x: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the image of a point source of unit flux, and its derivatives with respect to y and x."""
        ky, kx, psf = self._grid
        ones = np.ones((len(ky), len(kx)))
        images = self._inverse(np.array([ones, -2j * np.pi * ky[:, None] * ones, -2j * np.pi * kx * ones]), psf, y, x)
        return images[0], images[1:]

    def _light_outside(self, profile: Sersic) -> bool:
        """Return whether a profile has noticeable light beyond half a period of the transform."""
        radius = (b_n(profile.n, 1.0 - MAX_LIGHT_OUTSIDE) / b_n(profile.n)) ** profile.n * profile.r_e
        return radius > min(self.sides) / 2.0

    def _inverse(self, spectra: np.ndarray, psf: np.ndarray, y: float, x: float) -> np.ndarray:
        """Return the images of transforms about the origin, times that of the PSF, with the origin moved to (y, x)."""
        from scipy.fft import irfft2

        ky, kx, _ = self._grid
        seen = psf * np.exp(-2j * np.pi * (y - self.box.y0) * ky)[:, None]
        seen *= np.exp(-2j * np.pi * (x - self.box.x0) * kx)
        rows, columns = self.box.shape
        return np.asarray(irfft2(spectra * seen, self.sides)[:, :rows, :columns])

    @cached_property
    def _wing_waves(self) -> tuple[np.ndarray, np.ndarray]:
        """Waves of `_wing_grid` on the rows, complex (ny, my), and on the columns, cos and −sin, (2 mx, nx)."""
        ky, kx, _ = self._wing_grid
        rows, columns = (np.arange(side) for side in self.box.shape)
        along_x = 2.0 * np.pi * np.outer(kx, columns)
        return np.exp(2j * np.pi * np.outer(rows, ky)), np.stack([np.cos(along_x), -np.sin(along_x)], 1).reshape(
            -1, len(columns)
        )

    def _smooth_part(self, profile: Sersic, *, derivatives: bool) -> np.ndarray:
        """Return the convolution of a profile with the window and the PSF, and derivatives, (1 or 7, ny, nx)."""
        ky, kx, psf = self._wing_grid
        on_rows, on_columns = self._wing_waves
        seen = psf * np.exp(-2j * np.pi * (profile.y - self.box.y0) * ky)[:, None]
        seen *= np.exp(-2j * np.pi * (profile.x - self.box.x0) * kx)
        spectra = np.moveaxis(_spectra(profile, ky, kx, derivatives=derivatives) * seen, 0, 1)
        lines = on_rows @ np.ascontiguousarray(spectra).reshape(len(ky), -1)
        # the real part alone, of complex numbers taken as pairs: half the products
        images = lines.view(float).reshape(-1, 2 * len(kx)) @ on_columns
        return np.moveaxis(images.reshape(len(on_rows), -1, self.box.shape[1]), 1, 0)


def _spectra(profile: Sersic, ky: np.ndarray, kx: np.ndarray, *, derivatives: bool) -> np.ndarray:
    """Return the transform of a profile of unit flux at the origin, and its derivatives, shape (1 or 7, my, mx)."""
    p = profile
    if not derivatives:
        return sersic_image_transform(ky, kx, np.eye(2), SersicShape(n=p.n, r_e=p.r_e, ell=p.ell, pa=p.pa))[None]
    s, slopes = sersic_derivatives(ky, kx, np.eye(2), pa=p.pa, ell=p.ell, n=p.n, r_e=p.r_e)
    return np.concatenate([s[None], slopes])


def _window(ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
    """Return the transform 2 g − g² of the window, where g is that of a Gaussian of `WINDOW_SIGMA`."""
    scale = -2.0 * (np.pi * WINDOW_SIGMA) ** 2
    g = np.outer(np.exp(scale * ky**2), np.exp(scale * kx**2))
    return np.asarray(2.0 * g - g**2)
