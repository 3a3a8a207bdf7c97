from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.core.shift_field import ShiftField
from unblend.core.types import ModelOutline
from unblend.registration.band_shift import Registration
from unblend.registration.offsets import Offsets
from unblend.registration.shift_search import GridSearchResult
from unblend.registration.summary import describe_offsets, describe_search, shift_error

SCALE = 0.2
"""Pixel scale in arcsec."""


@pytest.fixture(scope="module")
def band():
    image = np.zeros((11, 11))
    outlines = {i: ModelOutline(SKY, np.eye(2), 1.0, 1.0) for i in (4, 9)}
    return Registration(
        image, np.ones(image.shape), wcs_of(Grid(scale=SCALE, side=11)), psf_of(Blur(3.0)), {}, {}, outlines=outlines
    )


def offsets(snr):
    ids, dy, dx = np.array([4, 9]), np.array([0.5, 0.5]), np.array([-0.1, -0.1])
    err = np.array([0.02, 0.02])
    return Offsets(ids, dy, dx, err, err, np.array([snr, snr]))


def test_the_grid_search_in_arcsec_along_x_and_y(band):
    chi2 = np.array([[9.0, 8.0, 7.0], [6.0, 1.23456, 5.0], [4.0, 3.0, 2.0]])
    found = GridSearchResult((0.5, -0.25), (0.1, 0.05), chi2, np.array([-1.0, 0.0, 1.0]), 99)
    summary = describe_search(band, found, [4, 9])
    # 0.2 arcsec per pixel; x first
    assert summary["best_shift_arcsec"] == pytest.approx([-0.05, 0.1], rel=1e-5)
    assert summary["error_arcsec"] == pytest.approx([0.01, 0.02], rel=1e-5)
    assert summary["offsets_arcsec"] == pytest.approx([-0.2, 0.0, 0.2], rel=1e-5)
    assert summary["chi2"][0] == [9.0, 8.0, 7.0] and summary["chi2"][1][1] == 1.235
    assert summary["references"] == [4, 9] and summary["pixels"] == 99


def test_offsets_their_common_shift_and_the_recommendation(band):
    summary = describe_offsets(band, offsets(50.0), (0.03, -0.01))
    listed, common = summary["offsets"], summary["common"]
    assert listed["id"] == [4, 9] and listed["snr"] == [50.0, 50.0]
    assert listed["dy_arcsec"] == pytest.approx([0.1, 0.1], rel=1e-5)
    assert listed["dx_arcsec"] == pytest.approx([-0.02, -0.02], rel=1e-5)
    assert listed["err_dx_arcsec"] == pytest.approx([0.004, 0.004], rel=1e-5)
    assert common["offset_arcsec"] == pytest.approx([-0.02, 0.1], rel=1e-5)
    # two equal errors: 0.004 / √2
    assert common["error_arcsec"] == pytest.approx([0.0028, 0.0028], rel=0.02) and common["used"] == 2
    # x: 0.03 - 0.02, y: -0.01 + 0.1
    assert "shift: [0.0100, 0.0900]" in summary["recommendation"]


def test_stars_are_listed_and_count_for_no_shift(band):
    star = Offsets(*(np.array([value]) for value in (7, -3.0, 2.0, 0.01, 0.01, 900.0)))
    without, summary = (describe_offsets(band, offsets(50.0), (0.0, 0.0), points) for points in (None, star))
    assert summary["common"] == without["common"] and summary["recommendation"] == without["recommendation"]
    assert summary["offsets"]["id"] == [4, 9, 7] and summary["offsets"]["snr"][2] == 900.0
    assert summary["offsets"]["dx_arcsec"] == pytest.approx([-0.02, -0.02, 0.4], rel=1e-5)


def test_faint_sources_have_no_common_shift(band):
    summary = describe_offsets(band, offsets(5.0), (0.0, 0.0))
    assert summary["offsets"]["id"] == [4, 9]
    assert summary["common"] is None and summary["recommendation"] is None


def test_without_bright_sources_everything_is_none(band):
    assert describe_offsets(band, None, (0.0, 0.0)) == {"offsets": None, "common": None, "recommendation": None}


def test_the_error_of_the_shift_is_that_of_the_mean_offset_and_what_is_left_of_it():
    common = {"offset_arcsec": [0.0, 0.03], "error_arcsec": [0.01, 0.04]}
    assert shift_error({"common": common, "grid": {"error_arcsec": [1.0, 1.0]}}) == pytest.approx([0.01, 0.05])


def test_without_bright_sources_the_error_of_the_shift_is_that_of_the_grid():
    assert shift_error({"common": None, "grid": {"error_arcsec": [0.02, 0.03]}}) == [0.02, 0.03]
    assert shift_error({"common": None, "grid": None}) is None


def test_offsets_with_a_field_are_what_it_leaves_and_its_own_shifts_beside(band):
    plane = ShiftField(1, (0.0, 0.0, 10.0, 10.0), np.array([[0.5, 0.0, 0.0], [0.0, 0.0, 0.3]]), np.zeros((2, 3, 3)))
    assert "field_dx_arcsec" not in describe_offsets(band, offsets(50.0), (0.0, 0.0))["offsets"]
    shifted = replace(band, shift_field=plane)
    listed = describe_offsets(shifted, offsets(50.0), (0.0, 0.0))["offsets"]
    assert listed["dy_arcsec"] == pytest.approx([0.1, 0.1], rel=1e-5)
    # 0.2 arcsec per pixel; both sources are at SKY
    x = band.engine((0.0, 0.0)).position_without_shift(band.placed[4])[1]
    assert listed["field_dy_arcsec"] == pytest.approx([0.1, 0.1], rel=1e-5)
    assert listed["field_dx_arcsec"] == pytest.approx([0.2 * 0.3 * (x / 5.0 - 1.0)] * 2, rel=1e-4)
