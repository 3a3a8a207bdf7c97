"""Detail: the residual of a galaxy, deconvolved from the PSF of the stack, in the templates of other bands."""

from __future__ import annotations

from dataclasses import replace

import galsim
import numpy as np
import pytest
from template_battery import SKY, Grid, wcs_of
from unblend.core.coordinates import pixel_to_sky, sky_jacobian
from unblend.core.types import Model, Psf
from unblend.models.detail import deconvolved
from unblend.models.rendering import sersic_model
from unblend.models.templates import TemplateEngine

STACK, BAND = Grid(scale=0.06, side=101), Grid(scale=0.15, side=61, rotation=20.0, phase=(0.3, -0.4))
KNOTS = ((0.0, 0.0, 50.0), (0.3, 0.25, 30.0), (-0.4, 0.1, 25.0), (0.1, -0.5, -20.0))
"""East and north of the middle in arcsec, and flux; one knot is a dust lane."""
TOTAL = sum(flux for *_, flux in KNOTS)


def blur(fwhm: float) -> galsim.GSObject:
    return galsim.Moffat(beta=3.0, fwhm=fwhm)


def seen(grid: Grid, fwhm: float) -> np.ndarray:
    """Return the knots as GalSim draws them through a PSF on the pixels of a grid."""
    to_sky = sky_jacobian(wcs_of(grid), grid.side // 2 + grid.phase[0], grid.side // 2 + grid.phase[1])
    image = np.zeros((grid.side, grid.side))
    for east, north, flux in KNOTS:
        knot = galsim.Gaussian(sigma=0.05, flux=flux)
        dy, dx = np.linalg.solve(to_sky, [east, north])
        # from arcsec to pixels, with the rotation and parity of the grid: these profiles are round
        profile = galsim.Convolve(knot, blur(fwhm)).dilate(1.0 / grid.scale)
        centre = (grid.side // 2 + grid.phase[1] + dx, grid.side // 2 + grid.phase[0] + dy)
        stamp = galsim.ImageD(grid.side, grid.side, xmin=0, ymin=0)
        profile.drawImage(stamp, scale=1.0, center=galsim.PositionD(*centre))
        image += stamp.array
    return image


def psf_of(grid: Grid, fwhm: float) -> Psf:
    """Return the PSF on the pixels of a grid, without the response of the pixel."""
    image = blur(fwhm).dilate(1.0 / grid.scale).drawImage(nx=61, ny=61, scale=1.0, method="no_pixel").array
    return Psf(image.astype(float) / image.sum(), (30.0, 30.0), 1.0, "optical")


@pytest.fixture(scope="module")
def detail() -> Model:
    """Return the knots as the detail that is made from the stack."""
    wcs, image = wcs_of(STACK), seen(STACK, 0.18)
    data, (top, left) = deconvolved(image, psf_of(STACK, 0.18))
    middle = STACK.side // 2
    ra, dec = pixel_to_sky(wcs, np.array([float(middle)]), np.array([float(middle)]))
    centre, sky = (float(top + middle), float(left + middle)), (float(ra[0]), float(dec[0]))
    return Model(data, centre, sky, sky_jacobian(wcs, middle, middle), float(image.sum()), noise=2.0)


@pytest.fixture(scope="module")
def smooth() -> Model:
    """Return the profile that carries the detail: a compact galaxy of flux 1000."""
    to_sky = sky_jacobian(wcs_of(STACK), STACK.side // 2, STACK.side // 2)
    return sersic_model(n=1.0, r_e=4.0, ell=0.3, pa=20.0, flux=1000.0, sky=SKY, pixel_to_sky=to_sky, oversampling=5)


def template_image(grid: Grid, fwhm: float, model: Model) -> np.ndarray:
    engine = TemplateEngine(wcs_of(grid), (grid.side, grid.side), psf_of(grid, fwhm))
    template, image = engine.template(1, model), np.zeros((grid.side, grid.side))
    image[template.box.slices] = template.data
    return image * model.flux


def test_deconvolution_keeps_the_sum(detail):
    assert detail.data.sum() == pytest.approx(TOTAL, rel=1e-3) == detail.total


@pytest.mark.parametrize(("grid", "fwhm"), [(STACK, 0.18), (STACK, 0.4), (BAND, 0.5), (BAND, 0.9)])
def test_a_band_sees_the_knots_through_its_own_psf(grid, fwhm, detail, smooth):
    both = template_image(grid, fwhm, replace(smooth, detail=detail))
    knots = both - template_image(grid, fwhm, smooth)
    truth = seen(grid, fwhm)
    # 1 % is what the regularisation takes from the highest frequencies in the PSF of the stack itself
    assert np.abs(knots - truth).max() < 0.01 * truth.max()


def test_the_template_has_unit_flux(detail, smooth):
    model = replace(smooth, detail=detail)
    assert model.flux == pytest.approx(1000.0 + TOTAL, rel=1e-3)
    engine = TemplateEngine(wcs_of(BAND), (BAND.side, BAND.side), psf_of(BAND, 0.5))
    assert engine.template(1, model).data.sum() == pytest.approx(1.0, abs=5e-3)


def test_a_sharper_band_gets_little_noise():
    noise = np.random.default_rng(1).normal(0.0, 1.0, (61, 61))
    data, _ = deconvolved(noise, psf_of(STACK, 0.18))
    seen_by_sharper = np.fft.ifft2(np.fft.fft2(data) * _response(data.shape, 0.12)).real
    # 1 for the stack itself
    assert seen_by_sharper.std() < 2.0


def _response(shape: tuple[int, int], fwhm: float) -> np.ndarray:
    from unblend.images.psf import transform

    return transform(psf_of(STACK, fwhm), np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]))
