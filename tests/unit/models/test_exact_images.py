from __future__ import annotations

from dataclasses import replace

import galsim
import numpy as np
import pytest
from galaxy_stamps import OPTICAL, galaxy, psf_array, star
from unblend.core.types import Box, Psf
from unblend.models import exact_images
from unblend.models.exact_images import ExactImages
from unblend.models.sersic import Sersic

EFFECTIVE = Psf(psf_array(), (30.0, 30.0))
BOX = Box(10, 20, 62, 66)
"""52 × 46 pixels."""
STEPS = {"y": 0.01, "x": 0.01, "pa": 0.5, "ell": 0.002, "n": 0.01, "r_e": 0.005}


def profile(n, r_e, y=36.3, x=42.8):
    return Sersic(y, x, 30.0, 0.4, n, 1.0, r_e)


def by_galsim(p):
    return galaxy(p.y - BOX.y0, p.x - BOX.x0, 1.0, p.n, p.r_e, p.ell, p.pa, BOX.shape)


@pytest.mark.parametrize(
    ("n", "r_e"), [(0.5, 3.0), (1.0, 0.7), (2.5, 2.0), (4.0, 1.0), (4.0, 6.0), (6.0, 1.0), (6.0, 20.0)]
)
def test_a_profile_agrees_with_galsim(n, r_e):
    truth = by_galsim(profile(n, r_e))
    image, _ = ExactImages(BOX, EFFECTIVE).sersic(profile(n, r_e))
    # of which 1e-4 are light of the PSF outside its 61 pixels, and 1e-4 are GalSim's own
    assert np.abs(image - truth).max() < 4e-4 * truth.max()
    assert image.sum() == pytest.approx(truth.sum(), abs=5e-4)


@pytest.mark.parametrize(("y", "x"), [(12.3, 64.6), (61.0, 20.0)])
def test_a_source_at_the_border_of_the_box(y, x):
    p = profile(4.0, 2.0, y, x)
    image, _ = ExactImages(BOX, EFFECTIVE).sersic(p)
    truth = by_galsim(p)
    assert np.abs(image - truth).max() < 4e-4 * truth.max()
    # nothing of the bright core appears at the opposite border
    far = np.s_[-3:, :3] if y < 30 else np.s_[:3, -3:]
    # 1e-7 of the flux per pixel, of which some per cent come from the PSF outside its 61 pixels
    assert image[far] == pytest.approx(truth[far], rel=0.05)


def test_wings_do_not_come_back_from_the_other_side(monkeypatch):
    p = profile(6.0, 20.0)
    truth = by_galsim(p)[0].mean()
    assert ExactImages(BOX, EFFECTIVE).sersic(p)[0][0].mean() == pytest.approx(truth, rel=0.005)
    # a plain transform repeats the image every 144 pixels
    monkeypatch.setattr(exact_images, "MAX_LIGHT_OUTSIDE", 0.45)
    assert ExactImages(BOX, EFFECTIVE).sersic(p)[0][0].mean() > 1.1 * truth


@pytest.mark.parametrize(("n", "r_e"), [(1.0, 2.0), (4.0, 3.0)])
def test_the_derivatives_are_those_of_the_image(n, r_e):
    images, p = ExactImages(BOX, EFFECTIVE), profile(n, r_e)
    _, derivatives = images.sersic(p)
    for found, (name, step) in zip(derivatives, STEPS.items(), strict=True):
        high, low = (images.sersic(replace(p, **{name: getattr(p, name) + s}))[0] for s in (step, -step))
        expected = (high - low) / (2.0 * step)
        # the tables are interpolated linearly
        assert np.abs(found - expected).max() < 3e-3 * np.abs(expected).max(), name


def test_a_point_source_agrees_with_galsim():
    images = ExactImages(BOX, EFFECTIVE)
    image, derivatives = images.point(36.3, 42.8)
    truth = star(26.3, 22.8, 1.0, BOX.shape)
    assert np.abs(image - truth).max() < 1e-3 * truth.max()
    for found, (dy, dx) in zip(derivatives, ((0.01, 0.0), (0.0, 0.01)), strict=True):
        change = images.point(36.3 + dy, 42.8 + dx)[0] - images.point(36.3 - dy, 42.8 - dx)[0]
        assert np.abs(found - change / 0.02).max() < 1e-3 * np.abs(found).max()


def test_an_optical_psf_is_integrated_over_the_pixel():
    optical = Psf(psf_array(galsim.Convolve(OPTICAL, galsim.Gaussian(sigma=1e-3))), (30.0, 30.0), 1.0, "optical")
    p = profile(1.0, 2.0)
    image, _ = ExactImages(BOX, optical).sersic(p)
    truth = by_galsim(p)
    assert np.abs(image - truth).max() < 4e-4 * truth.max()


@pytest.mark.parametrize(("n", "r_e"), [(1.0, 3.0), (4.0, 25.0)])
def test_the_image_alone_is_that_with_derivatives(n, r_e):
    """The profile of n = 4 has light far beyond the box, so that it is drawn in two parts."""
    images = ExactImages(Box(100, 200, 141, 251), EFFECTIVE)
    profile = Sersic(120.3, 224.8, 30.0, 0.4, n, 1.0, r_e)
    alone, nothing = images.sersic(profile, derivatives=False)
    assert nothing.shape == (0, 41, 51)
    np.testing.assert_allclose(alone, images.sersic(profile)[0], rtol=0, atol=1e-12 * alone.max())
