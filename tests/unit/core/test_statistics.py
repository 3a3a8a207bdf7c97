from __future__ import annotations

import math

import numpy as np
import pytest
from unblend.core.statistics import clipped_level, noise_rms, robust_sigma, with_source_noise


def test_robust_sigma_by_hand():
    # median 3, deviations 2 1 0 1 97: their median is 1
    assert robust_sigma(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == pytest.approx(1.4826)


def test_robust_sigma_of_a_gaussian_ignores_nan():
    values = np.random.default_rng(1).normal(5.0, 2.0, 20000)
    values[::7] = np.nan
    # the MAD of 17 000 numbers has an error of 0.9 %
    assert robust_sigma(values) == pytest.approx(2.0, rel=0.03)
    assert math.isnan(robust_sigma(np.array([np.nan]))) and math.isnan(robust_sigma(np.array([])))


def test_clipped_level_by_hand():
    # 100 is clipped from 1 2 3 4 100 (3 ± 1.4826), and nothing from 1 2 3 4: median 2.5, distances 0.5 0.5 1.5 1.5
    assert clipped_level(np.array([100.0, np.nan, 3.0, 1.0, 4.0, 2.0]), 3.0) == pytest.approx((2.5, 1.4826))
    assert clipped_level(np.array([7.0, 7.0]), 3.0) == (7.0, 0.0)
    assert all(map(math.isnan, clipped_level(np.array([np.inf, np.nan]), 3.0)))


@pytest.mark.parametrize("clip", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 501, 2000])
def test_clipped_level_is_that_of_repeated_clipping(size, clip):
    values = np.round(np.random.default_rng(size).standard_t(2, size), 2)  # long wings, some equal ones
    kept = values
    for _ in range(20):
        centre, sigma = np.median(kept), robust_sigma(kept)
        kept = kept[np.abs(kept - centre) <= clip * sigma]
    # at 1 sigma the clipping need not end within the 20 rounds
    assert clipped_level(values, clip) == (centre, sigma)


def test_the_level_of_values_of_unequal_noise_by_hand():
    # Weights 1 1 1 and 1/4 of -1 0 1 and 8: half of the sum of 3.25 is reached at 0. Distances in units of the noise:
    # 1 0 1 2, with the median 1; nothing is beyond 3 sigma.
    values, noise = np.array([8.0, 1.0, -1.0, 0.0]), np.array([4.0, 1.0, 1.0, 1.0])
    assert clipped_level(values, 3.0, noise) == pytest.approx((0.0, 1.4826))
    # Half of the weight is reached exactly between two values.
    assert clipped_level(np.array([1.0, 2.0, 4.0, 9.0]), 9.0, np.ones(4))[0] == 3.0
    # Values without noise, or not finite, do not count.
    padded = np.append(values, [50.0, 60.0, np.nan]), np.append(noise, [np.inf, np.nan, 1.0])
    assert clipped_level(padded[0], 3.0, padded[1]) == pytest.approx((0.0, 1.4826))
    assert all(map(math.isnan, clipped_level(np.array([np.nan]), 3.0, np.ones(1))))


@pytest.mark.parametrize("size", [1, 2, 3, 10, 501, 2000])
def test_equal_noise_changes_no_level(size):
    values = np.round(np.random.default_rng(size).standard_t(2, size), 1)
    assert clipped_level(values, 3.0, np.ones(size)) == pytest.approx(clipped_level(values, 3.0), abs=1e-12)


def test_the_level_has_the_error_of_the_precise_values():
    noise = np.repeat([1.0, 30.0], [300, 700])
    levels, sigmas = zip(
        *(clipped_level(5.0 + noise * np.random.default_rng(k).normal(size=1000), 3.0, noise) for k in range(200)),
        strict=True,
    )
    # 1.25 / sqrt(300) = 0.072; the plain median has an error of 0.13.
    assert np.std(levels) == pytest.approx(0.072, rel=0.2)
    assert np.mean(levels) == pytest.approx(5.0, abs=0.02)
    # Clipping at 3 sigma lowers the sigma of a Gaussian by 0.4 %.
    assert np.mean(sigmas) == pytest.approx(1.0, abs=0.02)


def test_source_noise_is_added_in_quadrature():
    error, image = np.full((20, 60), 3.0), np.zeros((20, 60))
    image[:, :20], image[:, 40:], image[10, 10] = 64.0, -5.0, np.nan
    noise = with_source_noise(error, image, 4.0)
    # 64 units at 4 electrons a unit: a variance of 16; negative and missing pixels add none, nor beside themselves
    assert noise[10, 9] == pytest.approx(5.0) and noise[3, 0] == pytest.approx(5.0)
    np.testing.assert_array_equal(noise[:, 40:], 3.0)
    assert noise[10, 10] == 3.0
    assert with_source_noise(error, image, None) is error


def test_source_noise_follows_the_exposure():
    """Four times the noise of the sky is a sixteenth of the exposure, and of the electrons per unit."""
    error = np.full((20, 40), 3.0)
    error[:, 20:], error[0, 0] = 12.0, np.inf
    noise = with_source_noise(error, np.full(error.shape, 64.0), 4.0, 3.0)
    assert noise[10, 5] == pytest.approx(5.0) and noise[10, 30] == pytest.approx(20.0) and np.isinf(noise[0, 0])


def test_source_noise_does_not_make_a_level_too_low():
    """Weights that follow the noise of their own pixels lower a mean by one electron, and that of the sky by half."""
    rng, sky_noise = np.random.default_rng(8), 2.0  # electrons
    for light in (0.0, 20.0):
        image = rng.poisson(light, (400, 400)) + rng.normal(0.0, sky_noise, (400, 400))
        weight = with_source_noise(np.full(image.shape, sky_noise), image, 1.0) ** -2
        assert np.average(image, weights=weight) == pytest.approx(light, abs=0.2)


def test_noise_rms_ignores_sources_and_masked_pixels():
    rng = np.random.default_rng(9)
    image = 10.0 + 3.0 * rng.normal(size=(200, 200))
    image[::10, ::7] += 300.0
    mask = np.zeros(image.shape, dtype=bool)
    mask[:50] = True
    image[:50] *= 100.0
    image[60, 60] = np.nan
    # 30 000 pixels: 0.7 % for a MAD
    assert noise_rms(image, mask) == pytest.approx(3.0, rel=0.03)
    assert np.isnan(noise_rms(image, np.ones(image.shape, dtype=bool)))


def test_the_rms_of_a_large_image_is_measured_on_a_sample():
    image = np.random.default_rng(5).normal(scale=3.0, size=(1500, 1500))
    # noisier columns: a sample in regular steps could contain only one kind
    image[:, ::3] *= 1.1
    values = image.ravel()
    whole = noise_rms(np.where(np.arange(values.size) % 2, values, np.nan), np.zeros(values.shape, dtype=bool))
    # 500 000 of 2 250 000 pixels: 0.12 %, as for the half that is the reference
    assert noise_rms(image, np.zeros(image.shape, dtype=bool)) == pytest.approx(whole, rel=0.006)
    assert noise_rms(image, np.zeros(image.shape, dtype=bool)) == noise_rms(image, np.zeros(image.shape, dtype=bool))
