"""The noise that stands for the structure of galaxies."""

from __future__ import annotations

from dataclasses import replace

import galsim
import numpy as np
import pytest
from galaxy_stamps import OPTICAL, fitting_psf, galaxy
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.group_data import GroupData, group_pixels
from unblend.fits.imfit import Pixels
from unblend.fits.passes import evaluate_members, fit_first_pass, fit_second_pass, with_structure
from unblend.fits.sky_level import SkyLevel
from unblend.fits.structure_noise import MAX_FRACTION, structure_noise

SIDE = 81


@pytest.fixture
def smooth() -> np.ndarray:
    return galaxy(40.0, 40.0, 20000.0, 1.0, 8.0, 0.2, 30.0, shape=(SIDE, SIDE))


def pixels_of(image: np.ndarray) -> Pixels:
    return Pixels(Box(0, 0, *image.shape), image, np.ones(image.shape), np.zeros(image.shape, dtype=bool))


def test_noise_alone_has_no_structure(smooth):
    rng, segments = np.random.default_rng(1), (smooth > 1.5).astype(int)
    for _ in range(20):
        pixels = pixels_of(smooth + 5.0 + rng.normal(0.0, 1.0, smooth.shape))
        assert not structure_noise(segments, pixels, {1: smooth}, 5.0).any()


def test_structure_within_the_noise_is_that_of_a_source_whose_model_is_known_to_be_wrong(smooth):
    rng, segments = np.random.default_rng(1), (smooth > 1.5).astype(int)
    # an excess of chi2 of 2.5 times its scatter
    fraction = np.sqrt(2.5 * np.sqrt(2.0 * segments.sum()) / (smooth[segments > 0] ** 2).sum())
    pixels = pixels_of((1.0 + fraction) * smooth + rng.normal(0.0, 1.0, smooth.shape))
    assert not structure_noise(segments, pixels, {1: smooth}, 0.0).any()
    noise = structure_noise(segments, pixels, {1: smooth}, 0.0, only=[1])
    assert noise == pytest.approx(fraction * smooth, rel=0.4)
    assert not structure_noise(segments, pixels, {1: smooth}, 0.0, only=[2]).any()


def test_structure_is_a_fraction_of_the_brightness(smooth):
    rng, segments = np.random.default_rng(2), (smooth > 1.5).astype(int)
    image = smooth * (1.0 + 0.2 * rng.normal(size=smooth.shape)) + rng.normal(0.0, 1.0, smooth.shape)
    noise = structure_noise(segments, pixels_of(image), {1: smooth}, 0.0)
    assert noise == pytest.approx(0.2 * smooth, rel=0.1)


def test_each_source_has_its_own_structure(smooth):
    other = np.roll(smooth, 30, axis=1)
    segments = np.where(smooth + other < 1.5, 0, np.where(smooth > other, 1, 2))
    image = smooth * 1.1 + other + np.random.default_rng(3).normal(0.0, 1.0, smooth.shape)
    noise = structure_noise(segments, pixels_of(image), {1: smooth, 2: other}, 0.0)
    total, outside = smooth + other, segments == 0
    assert noise[segments == 1] == pytest.approx(0.1 * total[segments == 1], rel=0.15)
    # only the wings of the smooth galaxy lie in the segment of the other
    assert noise[outside] == pytest.approx(0.1 * smooth[outside], rel=0.2)


def test_structure_has_a_limit_and_masked_pixels_do_not_count(smooth):
    segments = (smooth > 1.5).astype(int)
    pixels = pixels_of(3.0 * smooth)
    assert structure_noise(segments, pixels, {1: smooth}, 0.0).max() == pytest.approx(MAX_FRACTION * smooth.max())
    masked = replace(pixels, mask=np.ones(smooth.shape, dtype=bool))
    assert not structure_noise(segments, masked, {1: smooth}, 0.0).any()


@pytest.fixture(scope="module")
def spiral() -> GroupData:
    """Return a disc of flux 12 000 with a bulge and two arms of knots, as in no model of a fit."""
    rng = np.random.default_rng(8)
    knots = []
    for k in range(16):
        radius, angle = 1.0 + k, 1.2 * np.log(1.0 + k) + np.pi * (k % 2)
        knot = galsim.Gaussian(half_light_radius=1.2, flux=rng.uniform(60.0, 300.0))
        knots.append(knot.shift(radius * np.cos(angle), radius * np.sin(angle)))
    in_knots = sum(knot.flux for knot in knots)
    disc = galsim.Exponential(half_light_radius=8.0, flux=10500.0 - in_knots)
    bulge = galsim.Sersic(4, half_light_radius=1.5, flux=1500.0)
    light = galsim.Convolve(galsim.Add([disc, bulge, *knots]), OPTICAL)
    image = light.drawImage(nx=141, ny=141, scale=1.0).array.astype(float)
    segments = (image > 1.5).astype(int)
    noisy = image + rng.normal(0.0, 1.0, image.shape)
    around = SkyLevel(0.0, 0.01)
    return GroupData(Box(0, 0, *image.shape), noisy, np.ones(image.shape), segments, (1,), sky_around=around)


def test_a_spiral_is_right_with_its_residual(spiral):
    psf = fitting_psf()
    first = fit_first_pass(spiral, psf)
    fluxes, members = [], []
    for data in (spiral, with_structure(spiral, psf, first)):
        fit = fit_second_pass(data, psf, first)
        residual = spiral.image - evaluate_members(fit, psf, spiral.box) - fit.sky.value
        members += fit.members
        fluxes.append(fit.members[0].flux + residual[spiral.segments == 1].sum())
    plain, member = members
    # the noise of the segment is 0.4 %; 2 % is what a wing of one Sersic index leaves of a disc and a bulge
    assert fluxes[0] > 1.1 * 12000.0 and fluxes[1] == pytest.approx(12000.0, rel=0.025)
    # chi2 over the segment is that of the pixels' own noise, and the misfit is in the errors of the position
    assert member.chi2_segment > 1.35 and member.flags & Flag.FIT_POOR_CHI2
    assert member.covariance[0][0] > 2.0 * plain.covariance[0][0]


def test_a_failed_first_pass_has_no_structure(spiral):
    first = fit_first_pass(spiral, fitting_psf())
    assert with_structure(spiral, fitting_psf(), replace(first, converged=False)) is spiral
    assert group_pixels(spiral).error.max() == 1.0


def test_the_larger_of_two_structures_counts(spiral):
    first = fit_first_pass(spiral, fitting_psf())
    found = with_structure(spiral, fitting_psf(), first).structure
    half = with_structure(replace(spiral, structure=np.full(found.shape, 0.5)), fitting_psf(), first).structure
    np.testing.assert_array_equal(half, np.maximum(found, 0.5))
