from __future__ import annotations

import numpy as np
import pytest
from fit_members import POINT, SERSIC, P, block, member, stack_wcs
from unblend.core.coordinates import pixel_to_sky
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.component_table import component_table
from unblend.fits.imfit_config import Function
from unblend.fits.result import GroupFit, MemberFit
from unblend.fits.table import TABLE_DTYPE, fit_table, noise_warning


def with_errors(function):
    return Function(function.name, tuple(P(p.name, p.value, error=0.1 * k) for k, p in enumerate(function.parameters)))


def group(*members, chi2=110.0, **more):
    sky = P("I_sky", 0.0)
    return GroupFit(Box(0, 0, 9, 9), members, sky, sky, chi2, 108, 8, True, "LM", 50, **more)


COVARIANCE = tuple(tuple(float(10 * i + j) for j in range(7)) for i in range(7))


def table_of(covariance=COVARIANCE):
    first = member(block(with_errors(SERSIC)), flags=int(Flag.FIT_RETRIED), chi2_segment=1.2, covariance=covariance)
    second = MemberFit(2, (block(POINT),), (), ())
    fits = {7: group(first, second)}
    return fit_table(fits, {7: [7, 2], 3: [3]}, {3}, stack_wcs(), {7: 5.0, 2: 5.0, 3: 1.0})


def test_rows_are_sorted_by_id():
    table = table_of()
    assert table.dtype == TABLE_DTYPE
    assert table["id"].tolist() == [2, 3, 7] and table["group"].tolist() == [7, 3, 7]
    assert table["functions"].tolist() == ["PointSource", "custom", "Sersic"]
    assert table["oversampling"].tolist() == [5.0, 1.0, 5.0]


def test_a_sersic_row():
    row = table_of()[2]
    # the table has 1-based pixels
    assert (row["x"], row["y"]) == pytest.approx((50.8, 41.3)) and (row["x_err"], row["y_err"]) == (0.03, 0.02)
    assert [row[name] for name in ("pa", "ell", "n", "i_e", "r_e")] == [30.0, 0.4, 1.5, 2.0, 3.0]
    assert [row[f"{name}_err"] for name in ("pa", "ell", "n", "i_e", "r_e")] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert row["r_e_arcsec"] == pytest.approx(0.18, rel=1e-6)
    assert (row["chi2"], row["n_pixels"], row["chi2_red"], row["chi2_red_group"]) == (110.0, 108, 1.2, 1.1)
    assert row["flag"] == int(Flag.FIT_RETRIED)
    ra, dec = pixel_to_sky(stack_wcs(), 40.3, 49.8)
    assert (row["ra"], row["dec"]) == pytest.approx((ra[0], dec[0]), abs=1e-12)
    assert row["flux"] == pytest.approx(member(block(SERSIC)).sersic.total_flux)


def test_the_chi2_of_refined_models_has_its_own_column():
    assert np.isnan(table_of()["chi2_refined"]).all()
    fits = {7: group(member(block(with_errors(SERSIC))), exact_chi2=90.0)}
    (row,) = fit_table(fits, {7: [7]}, set(), stack_wcs(), {7: 5.0})
    assert (row["chi2"], row["chi2_refined"], row["chi2_red_group"]) == (110.0, 90.0, 0.9)


def test_the_covariance_is_in_the_order_of_the_table():
    # the fit's order is X0, Y0, PA, ell, n, I_e, r_e; the table's y, x, pa, ell, n, r_e
    covariance = table_of()[2]["covariance"]
    assert covariance.shape == (6, 6)
    assert covariance[0].tolist() == [11.0, 10.0, 12.0, 13.0, 14.0, 16.0]
    assert covariance[5].tolist() == [61.0, 60.0, 62.0, 63.0, 64.0, 66.0]


def test_the_error_of_an_unknown_angle_is_that_of_a_uniform_distribution():
    covariance = np.diag([1.0, 1.0, 1e28, 1.0, 1.0, 1.0, 1.0])
    covariance[2, 3] = covariance[3, 2] = 5e13
    found = table_of(tuple(map(tuple, covariance.tolist())))[2]["covariance"]
    assert np.sqrt(found[2, 2]) == pytest.approx(180 / np.sqrt(12))
    # the correlation of 0.5 and all other elements are unchanged
    assert found[2, 3] == found[3, 2] == pytest.approx(0.5 * 180 / np.sqrt(12)) and found[3, 3] == 1.0


def test_parameters_of_other_models_are_nan():
    point, custom, _ = table_of()
    assert point["x"] == pytest.approx(50.8) and np.isfinite(point["ra"])
    assert all(np.isnan(point[name]) for name in ("n", "r_e", "r_e_arcsec", "chi2_red"))
    assert point["flux"] > 0 and np.isnan(custom["flux"])
    assert custom["flag"] == int(Flag.CUSTOM_MODEL) and np.isnan(custom["x"]) and np.isnan(custom["ra"])
    assert np.isnan(point["covariance"]).all() and np.isnan(custom["covariance"]).all()


def test_a_field_of_custom_models_only():
    table = fit_table({}, {3: [3]}, {3}, stack_wcs(), {3: 1.0})
    assert table["id"].tolist() == [3] and np.isnan(table["ra"]).all()


def test_fits_that_are_better_than_their_noise_allows_are_warned_of():
    table = np.zeros(5, dtype=TABLE_DTYPE)
    table["chi2_red"] = [0.05, 0.04, 0.06, 1.0, np.nan]
    said = noise_warning(table)
    assert said is not None and said.startswith("the median chi2 of the fits of 4 sources is 0.055 for each degree")
    table["chi2_red"] = [0.05, 0.9, 1.1, 1.0, np.nan]
    assert noise_warning(table) is None and noise_warning(table[:2]) is None


DISC = Function("Sersic", (P("PA", 10.0), P("ell", 0.6), P("n", 1.0, fixed=True), P("I_e", 0.5), P("r_e", 9.0)))


def test_a_bulge_and_a_disc_have_the_parameters_of_the_best_single_profile():
    both = member(block(SERSIC, DISC), one_profile=(block(with_errors(DISC)),))
    row = fit_table({7: group(both)}, {7: [7]}, set(), stack_wcs(), {7: 5.0})[0]
    assert row["functions"] == "Sersic+Sersic" and row["flux"] == both.flux
    assert (row["n"], row["r_e"], row["r_e_err"]) == (1.0, 9.0, 0.4) and np.isnan(row["covariance"]).all()
    # a user's two functions have none
    own = fit_table({7: group(member(block(SERSIC, DISC)))}, {7: [7]}, set(), stack_wcs(), {7: 5.0})[0]
    assert np.isnan(own["n"]) and own["flux"] == both.flux


def test_components_are_a_table_of_their_own():
    covariance = np.diag([0.01, 0.02, 1e6, 0.03, 0.04, 0.05, 0.06, 4.0, 0.07, 0.0, 0.08, 0.09])
    both = member(block(SERSIC, DISC), covariance=tuple(map(tuple, covariance)))
    fits = {
        7: group(both, MemberFit(2, (block(SERSIC),), (), ())),
        3: group(MemberFit(3, (block(SERSIC, DISC),), (), ())),
    }
    table = component_table(fits, {7: [7, 2], 3: [3]}, {3})
    assert table["id"].tolist() == [7]
    row = table[0]
    assert row["fraction"] == pytest.approx([p.total_flux / both.flux for p in both.components])
    assert row["n"].tolist() == [1.5, 1.0] and row["r_e"].tolist() == [3.0, 9.0]
    # y before x, the brightness left out, and no angle is less certain than one that is not known at all
    expected = [0.02, 0.01, 180**2 / 12, 0.03, 0.04, 0.06, 4.0, 0.07, 0.0, 0.09]
    assert np.diag(row["covariance"]) == pytest.approx(expected)
    assert row["r_e_err"] == pytest.approx(np.sqrt([0.06, 0.09])) and row["n_err"][1] == 0.0
