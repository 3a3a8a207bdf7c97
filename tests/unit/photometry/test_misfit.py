"""chi2, the light of neighbours and the error from the misfit of a template in a band."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.core.types import Box, Psf, Template
from unblend.photometry.linear_system import solve_fluxes
from unblend.photometry.misfit import measure_misfit, noise_area

SIDE, NOISE, FLUX = 61, 0.5, 4000.0
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)


def gaussian(y: float, x: float, sigma: float) -> np.ndarray:
    image = np.exp(-0.5 * ((Y - y) ** 2 + (X - x) ** 2) / sigma**2)
    return image / image.sum()


def template_of(id_: int, image: np.ndarray) -> Template:
    return Template(id_, Box(0, 0, SIDE, SIDE), image, 1.0)


def misfit_of(image: np.ndarray, *templates: np.ndarray, area: float = 1.0):
    found = [template_of(k + 1, template) for k, template in enumerate(templates)]
    weight = np.full(image.shape, NOISE**-2)
    solution = solve_fluxes(image, weight, found)
    return solution, measure_misfit(solution, found, weight, area)


def test_the_area_of_a_gaussian_psf_is_four_pi_sigma_squared():
    assert noise_area(Psf(gaussian(30, 30, 3.0), (30.0, 30.0))) == pytest.approx(4 * np.pi * 9, rel=1e-3)
    assert noise_area(Psf(gaussian(30, 30, 3.0), (30.0, 30.0), 3.0)) == pytest.approx(4 * np.pi, rel=1e-3)
    assert noise_area(Psf(gaussian(30, 30, 0.3), (30.0, 30.0), 3.0)) == 1.0


def test_a_good_template_has_no_misfit():
    rng, source = np.random.default_rng(1), gaussian(30, 30, 4.0)
    for _ in range(30):
        _, found = misfit_of(FLUX * source + rng.normal(0.0, NOISE, source.shape), source)
        # 4 π 2² pixels: chi2 scatters by 0.2
        assert found.chi2[0] == pytest.approx(1.0, abs=0.8) and (found.err[0], found.flags[0]) == (0.0, 0)


def test_the_error_covers_structure_that_the_template_does_not_have():
    rng, source = np.random.default_rng(2), gaussian(30, 30, 5.0)
    sigma = 1.5
    kernel = np.fft.fft2(np.fft.ifftshift(gaussian(30, 30, sigma)))
    pulls, errors = [], []
    for _ in range(60):
        structure = np.fft.ifft2(np.fft.fft2(rng.normal(size=source.shape)) * kernel).real
        light = FLUX * source * (1.0 + 0.3 * structure / structure.std())
        solution, found = misfit_of(light + rng.normal(0.0, NOISE, source.shape), source, area=4 * np.pi * sigma**2)
        assert found.flags[0] == Flag.BAND_MISFIT
        pulls.append((solution.flux[0] - light.sum()) / np.hypot(found.err[0], solution.err[0]))
        errors.append(found.err[0] / solution.err[0])
    # 60 pulls: their standard deviation scatters by 0.09
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3)
    assert np.median(errors) > 5.0


def test_the_light_of_a_neighbour_is_counted():
    first, second = gaussian(30, 25, 3.0), gaussian(30, 31, 3.0)
    image = FLUX * first + 3 * FLUX * second + np.random.default_rng(3).normal(0.0, NOISE, first.shape)
    _, found = misfit_of(image, first, second)
    overlap = float((first * second).sum() / (first**2).sum())
    assert found.fracflux == pytest.approx([3 * overlap, overlap / 3], rel=0.02)


def test_nothing_is_known_where_nothing_was_measured():
    image = FLUX * gaussian(30, 45, 3.0) + np.random.default_rng(4).normal(0.0, NOISE, (SIDE, SIDE))
    image[:, :30] = np.nan
    hidden = np.where(X < 20, gaussian(30, 10, 2.0), 0.0)
    _, found = misfit_of(image, hidden, gaussian(30, 45, 3.0))
    assert np.isnan([found.chi2[0], found.fracflux[0], found.err[0]]).all() and found.flags[0] == 0
    assert found.chi2[1] == pytest.approx(1.0, abs=0.6)
