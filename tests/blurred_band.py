"""A blurred band drawn with GalSim: points and galaxies seen through a Moffat PSF, templates included.

None of the workflow's templates is involved, except where a test asks the search for its own.
"""

from __future__ import annotations

import galsim
import numpy as np
from astropy.wcs import WCS
from unblend.core.types import Box, Psf, Template
from unblend.images.psf import prepare_psf
from unblend.models.templates import TemplateEngine
from unblend.simulation.fields import draw_correlated_noise

PIXEL_ARCSEC = 0.6
FWHM = 3.0
"""FWHM of the PSF in pixels, the response of the pixel included: about that."""
SHAPE = (90, 96)
SKY = (53.0873, -27.84)


def moffat(fwhm: float = 2.8) -> galsim.GSObject:
    """Return the PSF, without the response of the pixel, with a FWHM in pixels."""
    return galsim.Moffat(beta=4.0, fwhm=fwhm * PIXEL_ARCSEC)


def galaxy(r_e: float, n: float = 1.0, q: float = 0.7) -> galsim.GSObject:
    """Return a galaxy of unit flux with a half-light radius in pixels."""
    return galsim.Sersic(n, half_light_radius=r_e * PIXEL_ARCSEC).shear(q=q, beta=30 * galsim.degrees)


def point() -> galsim.GSObject:
    """Return a point source of unit flux."""
    return galsim.DeltaFunction()


def drawn(
    profile: galsim.GSObject,
    y: float,
    x: float,
    *,
    psf: galsim.GSObject | None = None,
    shape: tuple[int, int] = SHAPE,
) -> np.ndarray:
    """Return the image of a profile of unit flux at a pixel position, through the PSF."""
    image = galsim.ImageD(shape[1], shape[0], scale=PIXEL_ARCSEC)
    offset = galsim.PositionD(x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2)
    galsim.Convolve(profile, psf or moffat()).drawImage(image=image, offset=offset)
    return image.array


def template(number: int, profile: galsim.GSObject, y: float, x: float, half: float = 20.0) -> Template:
    """Return the template of a profile, drawn with GalSim and cut `half` pixels from its centre."""
    box = Box.around(y, x, half) & Box.of_shape(SHAPE)
    data = drawn(profile, y, x)[box.slices]
    return Template(number, box, data, float(data.sum()))


def psf() -> Psf:
    """Return the PSF of the band on its pixels, the response of the pixel included."""
    return prepare_psf(drawn(point(), 20.0, 20.0, shape=(41, 41)))


def wcs() -> WCS:
    """Return the world coordinates of the band, north up."""
    made = WCS(naxis=2)
    made.wcs.crpix = (SHAPE[1] + 1) / 2, (SHAPE[0] + 1) / 2
    made.wcs.crval = SKY
    made.wcs.cdelt = -PIXEL_ARCSEC / 3600, PIXEL_ARCSEC / 3600
    made.wcs.ctype = "RA---TAN", "DEC--TAN"
    made.wcs.radesys = "ICRS"
    return made


def engine() -> TemplateEngine:
    """Return what makes templates of the band, with a shift of (0.3, −0.6) arcsec."""
    return TemplateEngine(wcs(), SHAPE, psf(), (0.3, -0.6))


def noise(seed: int, sigma_pixels: float = 0.6) -> np.ndarray:
    """Return correlated noise of unit variance."""
    return draw_correlated_noise(np.random.default_rng(seed), SHAPE, sigma_pixels)
