from __future__ import annotations

import numpy as np
import pytest
from unblend.photometry.catalogue import KINDS, adopted_error, band_columns

NAN = np.nan
FLUXES = {
    "flux": np.array([100.0, -4.0, NAN]),
    "flux_err": np.array([3.0, 3.0, NAN]),
    "flux_err_shape": np.array([4.0, NAN, NAN]),
    "flux_err_shift": np.array([0.0, NAN, NAN]),
    "flux_err_psf": np.array([0.0, 0.0, NAN]),
    "flux_err_misfit": np.array([1.0, 0.0, NAN]),
    "ap_flux": np.array([95.0, -5.0, NAN]),
    "ap_err": np.array([2.0, 2.0, NAN]),
    "chi2": np.array([1.5, 1.0, NAN]),
    "fracflux": np.array([0.1, NAN, NAN]),
    "flux_err_sim": np.array([3.5, 3.5, NAN]),
    "flux_err_isolated": np.array([2.5, 2.5, NAN]),
    "worst_neighbour": np.array([2, 1, 0]),
    "correlation": np.array([-0.4, -0.4, 0.0]),
    "dx_arcsec": np.array([0.1, NAN, NAN]),
    "dy_arcsec": np.array([-0.2, NAN, NAN]),
    "err_dx_arcsec": np.array([0.01, NAN, NAN]),
    "err_dy_arcsec": np.array([0.02, NAN, NAN]),
    "flag": np.array([0, 2, 1]),
}


def adopted(flux: float, formal: float, *, scale: float = 1.0, error_floor: float = 0.0, **others: float) -> np.ndarray:
    """Return the error of one source, given its flux, formal error, and other errors by kind, 0 unless given."""
    known = {kind: np.array([others.get(kind, 0.0)]) for kind in KINDS}
    return adopted_error(np.array([flux]), np.array([formal]), known, scale=scale, error_floor=error_floor)


def test_errors_add_in_quadrature():
    # 3² + 4² = 5²; the floor of 12 % of 100 makes it 13
    assert adopted(100.0, 3.0, shape=4.0, misfit=1.0) == pytest.approx([5.0])
    assert adopted(100.0, 3.0, shape=4.0, misfit=1.0, error_floor=0.12) == pytest.approx([13.0])
    # 2² + 4² + 4² = 6²; 6² + 8² = 10²
    assert adopted(1.0, 8.0, shape=2.0, shift=4.0, psf=4.0) == pytest.approx([10.0])


def test_the_monte_carlo_scales_only_the_formal_error():
    assert adopted(1.0, 3.0, shape=8.0, scale=2.0) == pytest.approx([10.0])
    assert adopted(1.0, 3.0, shift=8.0, scale=2.0) == pytest.approx([10.0])


def test_what_the_misfit_has_seen_does_not_count_twice():
    assert adopted(1.0, 3.0, shape=2.0, misfit=4.0) == pytest.approx([5.0])
    # a wrong shape, shift and PSF leave one residual together
    assert adopted(1.0, 8.0, shape=2.0, shift=4.0, psf=4.0, misfit=5.0) == pytest.approx([10.0])
    assert adopted(1.0, 8.0, shape=2.0, shift=4.0, psf=4.0, misfit=15.0) == pytest.approx([17.0])


def test_an_unknown_error_counts_as_zero():
    others = {kind: FLUXES[f"flux_err_{kind}"] for kind in KINDS}
    found = adopted_error(FLUXES["flux"], FLUXES["flux_err"], others, scale=1.0, error_floor=0.5)
    assert found[1] == pytest.approx(np.hypot(3.0, 2.0)) and np.isnan(found[2])


def test_columns_without_zero_point():
    columns = band_columns("k", FLUXES, scale=1.0, error_floor=0.0, zero_point_ab=None)
    assert set(columns) == {
        "flux_k", "err_k", "flag_k", "err_formal_k", "err_sim_k", "err_shape_k", "err_shift_k", "err_psf_k",
        "err_misfit_k", "err_alone_k", "ap_flux_k", "ap_err_k", "chi2_k", "fracflux_k", "neighbour_k", "corr_k", "dx_k",
        "dy_k", "err_dx_k", "err_dy_k", "mag_k", "mag_err_k", "snr_k", "mag_limit_k",
    }  # fmt: skip
    assert columns["err_k"][:2] == pytest.approx([5.0, 3.0]) and columns["err_alone_k"][0] == 2.5
    assert columns["neighbour_k"].tolist() == [2, 1, 0] and columns["corr_k"][1] == -0.4
    assert (columns["dx_k"][0], columns["err_dy_k"][0]) == (0.1, 0.02) and np.isnan(columns["dy_k"][1])
    assert np.isnan(columns["mag_limit_k"]).all() and columns["snr_k"][:2] == pytest.approx([20.0, -4.0 / 3.0])
    assert np.isnan(columns["mag_k"]).all() and np.isnan(columns["mag_err_k"]).all()


def test_columns_with_zero_point():
    columns = band_columns("irac-ch1", FLUXES, scale=1.0, error_floor=0.0, zero_point_ab=26.4)
    assert columns["flux_irac-ch1_ujy"][:2] == pytest.approx([10.0, -0.4])
    assert columns["err_irac-ch1_ujy"][:2] == pytest.approx([0.5, 0.3])
    assert columns["mag_irac-ch1"][0] == pytest.approx(21.4)
    # 5 % are 0.0543 magnitudes; a negative flux has none
    assert columns["mag_err_irac-ch1"][0] == pytest.approx(0.05 * 2.5 / np.log(10))
    assert np.isnan(columns["mag_irac-ch1"][1:]).all() and np.isnan(columns["mag_err_irac-ch1"][1:]).all()


def test_the_monte_carlo_scales_the_error_in_the_aperture():
    columns = band_columns("k", FLUXES, scale=1.5, error_floor=0.1, zero_point_ab=None)
    assert columns["ap_flux_k"][0] == 95.0 and columns["ap_err_k"][0] == pytest.approx(3.0)


def test_upper_limits():
    fluxes = {name: np.repeat(values[:1], 4) for name, values in FLUXES.items()}
    fluxes |= {"flux": np.array([14.9, 15.1, -20.0, NAN]), "flux_err": np.array([3.0, 3.0, 3.0, NAN])}
    # errors of 5: 3 and 4; AB 23.9 is 1
    columns = band_columns("k", fluxes, scale=1.0, error_floor=0.0, zero_point_ab=23.9)
    assert columns["mag_limit_k"][[0, 2]] == pytest.approx(23.9 - 2.5 * np.log10([29.9, 15.0]))
    assert np.isnan(columns["mag_limit_k"][[1, 3]]).all()
    # the magnitude itself stays a measurement
    assert np.isfinite(columns["mag_k"][:2]).all()
    columns = band_columns("k", fluxes, scale=1.0, error_floor=0.0, zero_point_ab=23.9, upper_limit=2.0)
    assert np.isfinite(columns["mag_limit_k"]).tolist() == [False, False, True, False]
