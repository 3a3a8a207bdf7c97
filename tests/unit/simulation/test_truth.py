from __future__ import annotations

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.simulation import truth

DEG = 1.0 / 3600.0


def sky(*offsets: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ra, dec, flux) of sources at (east, north) arcsec near the equator."""
    east, north, flux = np.array(offsets, dtype=float).T
    return 10.0 + east * DEG, north * DEG, flux


def catalogue(number: int, band: str = "irac-ch1") -> np.ndarray:
    names = [("ra", float), ("dec", float), (f"flux_{band}", float), (f"err_{band}", float), (f"flag_{band}", int)]
    table = np.zeros(number, dtype=names)
    table[f"err_{band}"] = 1.0
    return table


def true_table(flux: np.ndarray, band: str = "irac-ch1") -> np.ndarray:
    table = np.zeros(
        len(flux),
        dtype=[
            ("id", int),
            ("kind", "U8"),
            ("edge_arcsec", float),
            ("r_e_arcsec", float),
            ("is_star", bool),
            ("snr_h", float),
            (f"flux_{band}", float),
        ],
    )
    table["id"], table["kind"], table["edge_arcsec"] = np.arange(1, len(flux) + 1), "galaxy", 10.0
    table[f"flux_{band}"] = flux
    return table


def test_the_nearest_source_within_the_radius_is_matched_once():
    matched = truth.match_positions(sky((0, 0, 1), (5, 0, 1), (9, 0, 1)), sky((5.1, 0, 1), (0, 0.05, 1), (9, 0.4, 1)))
    assert list(matched) == [1, 0, -1]


def test_a_bright_galaxy_is_not_matched_with_a_faint_neighbour():
    # one detection at 0.12" from a bright galaxy and 0.08" from one a hundred times fainter
    matched = truth.match_positions(sky((0, 0, 100), (0.2, 0, 1)), sky((0.12, 0, 100)))
    assert list(matched) == [0, -1]


def test_a_source_with_a_nan_or_negative_flux_is_matched():
    matched = truth.match_positions(sky((0, 0, 5), (9, 0, 5)), sky((0, 0.1, np.nan), (9, 0, -1)))
    assert list(matched) == [0, 1]


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0)])
def test_an_empty_side_matches_nothing(sizes):
    empty = tuple(np.zeros(n) for n in (sizes[0],) * 3), tuple(np.zeros(n) for n in (sizes[1],) * 3)
    assert list(truth.match_positions(*empty)) == [-1] * sizes[0]  # type: ignore[arg-type]


def test_expected_are_bright_galaxies_on_the_image():
    table = true_table(np.ones(5))
    table["snr_h"] = [30, 30, 30, 10, 30]
    table["is_star"][1], table["edge_arcsec"][2], table["edge_arcsec"][4] = True, -0.1, 0.5
    table["r_e_arcsec"][4] = 0.6
    assert list(truth.is_expected(table, "h")) == [True, False, False, False, False]


def test_deviations_by_hand():
    # deviations -2 … +2 per cent of 100, errors 1: pulls -2 … +2, median absolute deviation 1
    found = truth.flux_deviations(np.array([98.0, 99, 100, 101, 102]), np.ones(5), np.full(5, 100.0))
    assert (found.number, found.bias) == (5, 0.0)
    assert found.pull_sigma == pytest.approx(1.4826)
    assert found.pull_rms == pytest.approx(np.sqrt(2.0))
    assert found.bias_err == pytest.approx(1.2533 * 0.014826 / np.sqrt(5))


def test_deviations_without_fluxes_are_nan():
    found = truth.flux_deviations(np.zeros(0), np.zeros(0), np.zeros(0))
    assert found.number == 0 and np.isnan([found.bias, found.pull_sigma, found.pull_rms]).all()


def test_two_fluxes_have_no_width():
    found = truth.flux_deviations(np.array([9.0, 11.0]), np.ones(2), np.full(2, 10.0))
    assert found.bias == 0.0 and found.pull_rms == 1.0
    assert np.isnan([found.bias_err, found.pull_sigma]).all()


def test_gaussian_errors_give_unit_pulls_and_no_bias():
    rng = np.random.default_rng(1)
    true = 10 ** rng.uniform(0, 3, 4000)
    found = catalogue(4000)
    found["flux_irac-ch1"] = true + rng.standard_normal(4000)
    check = truth.check_band(true_table(true), found, np.arange(4000), "irac-ch1")
    assert check.overall.pull_sigma == pytest.approx(1.0, abs=0.08)  # 4 times 1.17 / sqrt(4000)
    assert check.overall.pull_rms == pytest.approx(1.0, abs=0.05)
    assert abs(check.bright.bias) < 4 * check.bright.bias_err < 0.005
    assert sum(part.number for _, _, part in check.bins) == 4000


def test_bins_follow_the_true_flux_over_the_error():
    true = np.array([5.0, 30.0, 200.0])
    found = catalogue(3)
    found["flux_irac-ch1"] = [90.0, 30.0, 200.0]  # the first flux is far too high but stays in its bin
    numbers = [part.number for _, _, part in truth.check_band(true_table(true), found, np.arange(3), "irac-ch1").bins]
    assert numbers == [0, 1, 0, 1, 0, 1]


def test_flagged_and_missing_fluxes_are_not_counted():
    found = catalogue(5)
    found["flux_irac-ch1"] = [10, np.nan, 10, 10, 10]
    found["flag_irac-ch1"] = [Flag.FIT_RETRIED, Flag.NO_PIXELS, Flag.PARTLY_MASKED, 0, 0]
    found["err_irac-ch1"][3] = np.nan
    check = truth.check_band(true_table(np.full(6, 10.0)), found, np.array([0, 1, 2, 3, 4, -1]), "irac-ch1")
    assert list(check.index) == [0, 4]
    assert check.not_counted == 3


def test_bands_are_those_of_both_tables():
    names = ("flux_ks", "err_ks", "flag_ks", "flux_irac-ch1", "err_irac-ch1", "flag_irac-ch1", "flux_x")
    assert truth.band_names(names, ("id", "flux_irac-ch1", "flux_x", "flux_ks")) == ["irac-ch1", "ks"]


def test_the_report_lists_the_largest_pulls():
    found = catalogue(3)
    found["flux_irac-ch1"] = [25, 31.0, 142.0]
    true = true_table(np.array([25.0, 30.0, 100.0]))
    true["kind"][2] = "clumpy"
    lines = truth.report_lines(truth.check_band(true, found, np.arange(3), "irac-ch1"), true, worst=2)
    assert lines[0].startswith("irac-ch1: 3 fluxes (0 not counted")
    assert lines[-1].endswith("3 (clumpy) +42.0, 2 (galaxy) +1.0")
