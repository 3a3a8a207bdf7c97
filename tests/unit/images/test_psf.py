from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.special import erf
from unblend.core.errors import InputError
from unblend.core.types import Psf
from unblend.images.psf import (
    band_limit,
    centroid,
    fourier_shift,
    fwhm,
    prepare_psf,
    psf_half_light_radius,
    transform,
)


def gaussian(shape=(41, 41), centre=(20.0, 20.0), sigma=2.0, total=1.0):
    y, x = np.indices(shape)
    data = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))
    return total * data / data.sum()


# Preparation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [0.06, 1.0, 12.0])
def test_unit_sum_and_the_original_recorded(total):
    psf = prepare_psf(gaussian(total=total))
    assert psf.data.sum() == pytest.approx(1.0, abs=1e-12)
    assert psf.original_sum == pytest.approx(total)
    assert (psf.oversampling, psf.kind) == (1.0, "effective")


@pytest.mark.parametrize("centre", [(20.0, 20.0), (20.4, 19.7)])
def test_a_given_sum_is_kept(centre):
    psf = prepare_psf(gaussian(centre=centre, total=0.94), total="given")
    assert psf.data.sum() == pytest.approx(0.94, abs=1e-12) and psf.original_sum == pytest.approx(0.94)
    np.testing.assert_allclose(psf.data, 0.94 * prepare_psf(gaussian(centre=centre)).data, atol=1e-12)


@pytest.mark.parametrize("total", [1.06, 25.0])
def test_a_given_sum_above_all_of_the_light_is_refused(total):
    with pytest.raises(InputError, match=rf"k-psf.fits has the sum {total:g}; with psf_sum: given .* at most 1.05\."):
        prepare_psf(gaussian(total=total), total="given", name="k-psf.fits")
    assert prepare_psf(gaussian(total=1.04), total="given").data.sum() == pytest.approx(1.04)


@pytest.mark.parametrize("total", [0.0, -0.9])
def test_a_given_sum_that_is_not_positive_is_refused(total):
    with pytest.raises(InputError, match=r"k-psf.fits has the sum .*; expected a positive PSF"):
        prepare_psf(gaussian(total=total), total="given", name="k-psf.fits")


@pytest.mark.parametrize(
    ("shape", "centre"),
    [
        ((41, 41), (20.0, 20.0)),
        ((40, 40), (19.5, 19.5)),
        ((40, 41), (20.0, 20.0)),
        ((41, 41), (20.4, 19.7)),
        ((50, 44), (23.1, 22.9)),
    ],
)
def test_any_psf_is_centred_on_the_middle_pixel_of_an_odd_array(shape, centre):
    psf = prepare_psf(gaussian(shape, centre))
    assert all(side % 2 == 1 for side in psf.data.shape)
    middle = tuple(side // 2 for side in psf.data.shape)
    assert psf.centre == pytest.approx(middle, abs=0.02)
    expected = gaussian(psf.data.shape, middle)
    # a Gaussian of sigma 2 is cut at 8 sigma and more: the Fourier shift is exact to its aliasing
    np.testing.assert_allclose(psf.data, expected, atol=1e-6)


def test_a_small_offset_is_not_shifted():
    data = gaussian(centre=(20.015, 19.99))
    psf = prepare_psf(data)
    np.testing.assert_array_equal(psf.data, data / data.sum())
    assert psf.centre == pytest.approx((20.015, 19.99), abs=1e-4)


def test_a_large_offset_warns(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        prepare_psf(gaussian(centre=(22.0, 19.0)), name="k-psf.fits")
    assert "k-psf.fits: the centroid at x=20.00 y=23.00 (1-based) is" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="unblend"):
        prepare_psf(gaussian(centre=(20.6, 19.4)))
    assert not caplog.records


def test_no_flux_is_lost_if_the_centre_is_off():
    psf = prepare_psf(gaussian(centre=(12.0, 27.0)))
    assert psf.data.shape == (2 * 28 + 1, 2 * 27 + 1)
    assert psf.data[psf.data.shape[0] // 2, psf.data.shape[1] // 2] == psf.data.max()


@pytest.mark.parametrize("data", [np.zeros((9, 9)), -gaussian(), gaussian() - 1.0])
def test_an_invalid_psf(data):
    with pytest.raises(InputError, match=r"k-psf.fits has the sum .*; expected a positive PSF\. Give another file"):
        prepare_psf(data, name="k-psf.fits")


def test_noise_has_no_centre():
    """The window moves off the array, where there is no light."""
    rng = np.random.default_rng(142)
    data = rng.normal(0.05, 0.4, (rng.integers(5, 25), rng.integers(5, 25)))
    with pytest.raises(InputError, match=r"k-psf\.fits has no peak on which its light is centred"):
        prepare_psf(data, name="k-psf.fits", oversampling=1.0, kind="effective")


def test_pixels_that_are_not_finite_are_refused_with_their_number():
    data = gaussian()
    data[0, 0], data[20, 20] = np.nan, np.inf
    with pytest.raises(InputError, match=r"k-psf.fits has 2 of 1681 pixels that are not finite\. Fill them"):
        prepare_psf(data, name="k-psf.fits")


def test_the_input_is_not_changed():
    data = 5.0 * gaussian()
    kept = data.copy()
    assert prepare_psf(data).data.sum() == pytest.approx(1.0) and np.array_equal(data, kept)


# Centre and size ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [(20.0, 20.0), (19.63, 20.21), (20.5, 20.5), (10.2, 30.1)])
def test_centroid(centre):
    # a Gaussian times a Gaussian window is symmetric: the iteration ends on its centre
    assert centroid(gaussian(centre=centre)) == pytest.approx(centre, abs=1e-6)


def test_the_centroid_is_not_biased_by_a_distant_peak():
    data = gaussian() + 0.02 * gaussian(centre=(20.0, 38.0))
    # the plain centroid moves by 0.35 pixel; the window of sigma 6 gives the peak a weight of 0.02 exp(-4.5)
    assert centroid(data) == pytest.approx((20.0, 20.0), abs=0.01)


def lopsided(pixel_arcsec, side, centre_arcsec=(0.11, -0.07)):
    """Return an asymmetric PSF like those of IRAC (FWHM 1.7"), integrated over its pixels."""
    image = np.zeros((side, side))
    edges = (np.arange(side + 1) - side / 2) * pixel_arcsec
    for part, sigma, offset in [(0.75, 0.65, (0.0, 0.0)), (0.2, 1.6, (0.35, 0.25)), (0.05, 4.0, (-0.8, 0.6))]:
        rows, columns = (
            0.5 * np.diff(erf((edges - c - d) / (np.sqrt(2) * sigma)))
            for c, d in zip(centre_arcsec, offset, strict=True)
        )
        image += part * np.outer(rows, columns)
    return image


def centre_in_arcsec(psf, pixel_arcsec, side):
    return np.array([(c - (side - 1) / 2) * pixel_arcsec for c in psf])


@pytest.mark.parametrize(("pixel_arcsec", "side"), [(0.6, 50), (0.2, 151), (0.12, 251), (0.05, 601)])
def test_the_centre_of_a_psf_does_not_depend_on_its_sampling(pixel_arcsec, side):
    # a window of 3 pixels moved it by 0.02"
    expected = centre_in_arcsec(centroid(lopsided(0.6, 51)), 0.6, 51)
    found = centre_in_arcsec(centroid(lopsided(pixel_arcsec, side)), pixel_arcsec, side)
    assert np.abs(found - expected).max() < 0.002


@pytest.mark.parametrize("total", ["unit", "given"])
def test_a_given_centre_is_the_central_pixel_of_odd_sides(total):
    data = gaussian(centre=(20.4, 19.7))
    psf = prepare_psf(data, position="given", total=total)
    assert psf.centre == (20.0, 20.0)
    np.testing.assert_allclose(psf.data, data, rtol=1e-12)


def test_a_given_centre_lies_between_the_two_central_pixels_of_even_sides():
    # centred on x = 20, half a pixel to the right of the middle of 40 columns (19.5)
    psf = prepare_psf(gaussian((40, 40), (19.5, 20.0)), position="given")
    middle = tuple(side // 2 for side in psf.data.shape)
    assert psf.centre == middle
    np.testing.assert_allclose(psf.data, gaussian(psf.data.shape, (middle[0], middle[1] + 0.5)), atol=1e-6)


def test_a_given_centre_is_not_warned_of(caplog):
    with caplog.at_level(logging.WARNING, logger="unblend"):
        psf = prepare_psf(gaussian(centre=(22.0, 19.0)), position="given")
    assert not caplog.records and psf.centre == (20.0, 20.0)


def test_half_light_radius_of_a_gaussian():
    # 1.1774 sigma; the growth goes in rings of whole pixels
    assert psf_half_light_radius(gaussian(sigma=4.0), 20.0, 20.0) == pytest.approx(1.1774 * 4.0, abs=0.3)


@pytest.mark.parametrize("sigma", [0.9, 1.3, 2.0, 5.0])
def test_fwhm_of_a_gaussian(sigma):
    psf = prepare_psf(gaussian((81, 81), (40.0, 40.0), sigma))
    # counted on a grid of an eighth of a pixel
    assert fwhm(psf) == pytest.approx(2.3548 * sigma, rel=0.02)


@pytest.mark.parametrize("sigma", [8.0, 12.0, 30.0])
def test_fwhm_of_a_finely_sampled_psf(sigma):
    # the wings widen the profile at half of the peak by 2.9 %, and its half-light radius by much more
    data = 0.7 * gaussian((401, 401), (200.0, 200.0), sigma) + 0.3 * gaussian((401, 401), (200.0, 200.0), 3 * sigma)
    expected = 2.3548 * sigma * 1.0292
    assert fwhm(prepare_psf(data)) == pytest.approx(expected, rel=0.01)


def test_fwhm_of_a_psf_wider_than_its_core():
    psf = prepare_psf(gaussian((161, 161), (80.0, 80.0), 18.0))
    assert fwhm(psf) == pytest.approx(2.3548 * 18.0, rel=0.05)


def test_a_shift_and_its_inverse():
    data = gaussian((31, 35), (15.0, 17.0))
    np.testing.assert_allclose(fourier_shift(fourier_shift(data, 0.37, -0.21), -0.37, 0.21), data, atol=1e-7)
    np.testing.assert_allclose(fourier_shift(data, 2.0, -1.0), gaussian((31, 35), (17.0, 16.0)), atol=1e-7)


# Transform ----------------------------------------------------------------------------------------------------------


def test_transform_of_a_gaussian():
    psf, k = prepare_psf(gaussian(sigma=2.0)), np.array([0.0, 0.1, -0.25])
    expected = np.exp(-2 * (np.pi * 2.0 * k) ** 2)
    found = transform(psf, k, k)
    np.testing.assert_allclose(found, np.outer(expected, expected), atol=1e-8)
    assert found[0, 0] == pytest.approx(1.0, abs=1e-12)


def test_oversampling_is_in_image_pixels():
    # sigma of 6 PSF pixels at oversampling 3 is one of 2 image pixels
    psf = Psf(gaussian((81, 81), (40.0, 40.0), 6.0), (40.0, 40.0), 3.0)
    k = np.array([0.0, 0.1, 0.4])
    expected = np.exp(-2 * (np.pi * 2.0 * k) ** 2)
    np.testing.assert_allclose(transform(psf, k, k).real, np.outer(expected, expected), atol=1e-8)


def test_an_optical_psf_gets_the_pixel_once():
    effective, optical = (Psf(gaussian(), (20.0, 20.0), 1.0, kind) for kind in ("effective", "optical"))
    k = np.array([0.0, 0.2, 0.4])
    ratio = transform(optical, k, k) / transform(effective, k, k)
    np.testing.assert_allclose(ratio, np.outer(np.sinc(k), np.sinc(k)), rtol=1e-10)


def test_frequencies_beyond_the_nyquist_frequency_are_zero():
    found = transform(Psf(gaussian(), (20.0, 20.0), 1.0), np.array([0.0, 0.51]), np.array([-0.6, 0.1]))
    assert found[1, 1] == found[0, 0] == 0.0 and found[0, 1] != 0.0


def test_the_centre_is_the_zero_of_the_phase():
    psf = Psf(gaussian(centre=(20.3, 19.6)), (20.3, 19.6))
    assert np.abs(transform(psf, np.array([0.1, 0.2]), np.array([0.15])).imag).max() < 1e-7


@pytest.mark.parametrize(
    ("sigma", "oversampling", "limit"),
    # sigma is 2, 2, 0.8, 0.4 image pixels: exp(−2 (π σ k)²) is 3e-9, 3e-9, 0.04, 0.45 at k = ½; 3e-6, 0.04 at k = 1
    [(2.0, 1.0, 1), (6.0, 3.0, 1), (2.4, 3.0, 2), (1.2, 3.0, 3)],
)
def test_band_limit(sigma, oversampling, limit):
    assert band_limit(Psf(gaussian((61, 61), (30.0, 30.0), sigma), (30.0, 30.0), oversampling)) == limit


def test_noise_that_changes_the_sum_is_warned_of(caplog):
    noise = np.random.default_rng(1).normal(0.0, 2e-4, (141, 141))
    psf = gaussian((141, 141), (70.0, 70.0), 1.4)
    prepare_psf(psf + noise, name="x.fits")
    assert (
        "x.fits: the pixels of the PSF are so noisy that their sum, and all fluxes, may be wrong by 3 %" in caplog.text
    )
    caplog.clear()
    prepare_psf(psf + 0.03 * noise, name="x.fits")
    assert "noisy" not in caplog.text
