"""Holes inside a segment are filled for the detection; those outside are not."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.strips import Workspace
from unblend.detection.holes import WIDEST_TRAIL, fill_holes, holes_of_segments


def scene(radius=12.0, hole=4.0):
    """Return a S/N image with a disc of S/N 100 to 50 and a hole in its middle."""
    y, x = np.indices((60, 60))
    distance = np.hypot(y - 30, x - 30)
    snr = np.where(distance < radius, 100.0 - 4.0 * distance, 0.0)
    holes = distance < hole
    return np.where(holes, 0.0, snr), holes


def test_a_hole_inside_a_segment_gets_the_brightest_value_around_it():
    snr, holes = scene()
    found, noise, filled = fill_holes(snr, holes, 1.5)
    np.testing.assert_array_equal(filled[:, :], holes)
    assert noise is None and (found[holes] == snr[30, 34]).all()
    np.testing.assert_array_equal(found[~holes], snr[~holes])


def test_the_noise_of_a_hole_is_that_around_it():
    snr, holes = scene()
    _, noise, _ = fill_holes(snr, holes, 1.5, np.where(holes, np.inf, 2.0))
    assert (noise == 2.0).all()


def test_holes_in_the_sky_and_at_the_border_of_a_segment_stay():
    snr, holes = scene()
    holes[:] = False
    holes[5:8, 5:8] = True
    holes[20:40, 40:59] = True  # half of its rim is sky
    snr[holes] = 0.0
    assert not fill_holes(snr, holes, 1.5)[2].any()


@pytest.mark.parametrize("along", ["column", "row"])
def test_a_bleeding_trail_is_filled_where_it_crosses_the_star(along):
    snr, holes = scene(hole=3.0)
    holes[:, 29:32] = True
    snr[holes] = 0.0
    if along == "row":
        snr, holes = snr.T, holes.T
    filled = fill_holes(snr, holes, 1.5)[2][:, :]
    filled = filled if along == "column" else filled.T
    assert filled[20:41, 29:32].all() and not filled[:16].any() and not filled[45:].any()


def test_a_wide_gap_between_two_sources_is_not_bridged():
    snr, holes = np.zeros((40, 60)), np.zeros((40, 60), dtype=bool)
    snr[15:25, 5:55] = 50.0
    holes[:, 20 : 20 + WIDEST_TRAIL + 1] = True
    snr[holes] = 0.0
    assert not fill_holes(snr, holes, 1.5)[2].any()


def test_holes_of_segments_that_somebody_has_drawn():
    segments = np.zeros((20, 30), dtype=np.int32)
    segments[5:15, 3:13], segments[5:15, 16:26] = 2_000_000_000, 7
    holes = np.zeros(segments.shape, dtype=bool)
    holes[8:11, 6:9] = True  # surrounded
    holes[:, 20:22] = True  # a trail, from side to side of 7 and beyond
    holes[12:, 3:6] = True  # a corner
    expected = holes & (segments > 0)
    expected[12:, 3:6] = False
    for work in (None, Workspace(rows=1), Workspace(rows=7)):
        np.testing.assert_array_equal(holes_of_segments(segments, holes, work)[:, :], expected)
    assert not holes_of_segments(segments, np.ones_like(holes)).any()
