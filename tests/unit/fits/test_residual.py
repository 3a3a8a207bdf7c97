"""The residual that belongs to one source, from which its detail is made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.passes import fit_first_pass, fit_second_pass
from unblend.fits.residual import GROWTH, is_bright, may_have_detail, own_residual


@pytest.fixture(scope="module")
def pair():
    """Return two galaxies with a knot in the first one, and their fit."""
    first, second = (galaxy(26.0, x, 3000.0, 1.0, 3.0, 0.2, 30.0) for x in (17.0, 36.0))
    data = group([first, second])
    knot = np.zeros(data.image.shape)
    knot[22:25, 14:17] = 20.0
    data = replace(data, image=data.image + knot)
    return data, fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf()))


def test_the_residual_contains_the_knot_and_only_the_pixels_of_the_source(pair):
    data, fit = pair
    residual = own_residual(1, fit, data, fitting_psf())
    y0, x0 = residual.box.y0 - data.box.y0, residual.box.x0 - data.box.x0
    whole = np.zeros(data.image.shape)
    whole[y0 : y0 + residual.data.shape[0], x0 : x0 + residual.data.shape[1]] = residual.data
    assert not whole[data.segments == 2].any()
    rows, columns = np.nonzero(data.segments == 1)
    outside = np.hypot(*np.meshgrid(np.arange(52) - rows.mean(), np.arange(52) - columns.mean(), indexing="ij"))
    assert not whole[outside > np.ptp(rows) / 2 + GROWTH + 2].any()
    # the fitted profile takes part of the knot
    assert whole[22:25, 14:17].sum() > 90.0


def test_the_noise_is_that_of_the_sum(pair):
    data, fit = pair
    residual = own_residual(1, fit, data, fitting_psf())
    assert residual.noise == pytest.approx(np.sqrt(np.count_nonzero(residual.data)), rel=1e-6)
    smoothed = own_residual(1, fit, replace(data, smoothing=1.0), fitting_psf())
    assert smoothed.noise > 2.5 * residual.noise


def test_masked_pixels_have_no_residual(pair):
    data, fit = pair
    mask = np.zeros(data.image.shape, dtype=bool)
    mask[22:25, 14:17] = True
    hidden = own_residual(1, fit, replace(data, mask=mask), fitting_psf())
    assert hidden.data.max() < 10.0


def test_bright_misfits_alone_have_detail(pair):
    data, fit = pair
    first, second = fit.members
    assert may_have_detail(first) and not may_have_detail(second)
    assert is_bright(first, fit, data)
    noisy = replace(data, error=np.full(data.error.shape, 10.0))
    assert not is_bright(first, fit, noisy)
    for flag in (Flag.FIT_REPLACED, Flag.POINT_SOURCE):
        assert not may_have_detail(replace(first, flags=int(first.flags | flag)))
