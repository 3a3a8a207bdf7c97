"""The depth of a band, with correlated noise and the Monte Carlo; the numbers of sources and of dropped candidates."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.io.images import write_image
from unblend.io.tables import columns, write_table
from unblend.report.summary import depth_of, field_counts, number_counts


def gaussian(side, sigma):
    y, x = np.mgrid[:side, :side] - side // 2
    return np.exp(-(y**2 + x**2) / (2.0 * sigma**2))


@pytest.mark.parametrize("oversampling", [1.0, 3.0])
def test_the_depth_is_five_times_the_error_of_a_point_source(tmp_path, oversampling):
    write_image(tmp_path / "psf.fits", gaussian(61, 2.0 * oversampling), header={"OVERSAMP": oversampling})
    fluxes = columns(id=np.arange(3), flux_err=np.array([1.2, 2.4, np.nan]), flux_err_white=np.array([1.0, 2.0, 0.0]))
    # the area of a Gaussian is 4 π sigma²
    expected = 5.0 * 0.1 * np.sqrt(4.0 * np.pi * 4.0) * 1.2 * 1.5
    depth = depth_of(tmp_path, fluxes, {"rms": 0.1}, 1.5, 25.0)
    assert depth["flux"] == pytest.approx(expected, rel=0.005)
    assert depth["mag"] == pytest.approx(25.0 - 2.5 * np.log10(expected), abs=0.01)
    assert depth_of(tmp_path, fluxes, {"rms": 0.1}, None, None)["mag"] is None
    assert depth_of(tmp_path, fluxes, {"rms": None}, 1.0, 25.0) == {"flux": None, "mag": None}


def test_counts(tmp_path):
    catalogue = columns(id=np.arange(4), flag=np.array([0, int(Flag.POINT_SOURCE), 0, 1 | int(Flag.POINT_SOURCE)]))
    counts = field_counts(tmp_path, catalogue)
    assert (counts["points"], counts["faint"], counts["small"]) == (2, 0, 0)
    write_table(
        tmp_path / "det_auto_cat.fits", columns(id=np.arange(2)), header={"NFAINT": 7, "NSMALL": 2}, name="SOURCES"
    )
    counts = field_counts(tmp_path, catalogue)
    assert (counts["faint"], counts["small"]) == (7, 2)


def test_number_counts_of_the_sources_above_a_signal_to_noise_ratio():
    mag = np.array([22.4, 21.0, 21.49, 23.0, np.nan, 20.0])
    snr = np.array([9.0, 8.0, 7.0, 6.0, 9.0, 5.0])
    # 21.0 to 21.5, 21.5 to 22.0, …; the last is not above 5, the one before has no magnitude
    assert number_counts(mag, snr, 5.0) == {"start": 21.0, "step": 0.5, "numbers": [2, 0, 1, 0, 1]}
    assert number_counts(mag, snr, 9.0) is None
