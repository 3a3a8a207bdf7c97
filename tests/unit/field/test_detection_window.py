"""Segments on the pixels of a band, from the part of the map that the band covers."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.core.coordinates import cut_wcs
from unblend.core.types import Box
from unblend.field.detection_window import projected_segments, sampled_detection, sampled_segments
from unblend.images.masks import project_mask, sample_mask
from unblend.io.images import write_image


def grid(side: int, scale_arcsec: float, turn_deg: float = 0.0) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [(side + 1) / 2] * 2
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    wcs.wcs.cd = scale_arcsec / 3600.0 * np.array([[-c, s], [s, c]])
    wcs.pixel_shape = (side, side)
    return wcs


@pytest.fixture
def detection(tmp_path):
    rng = np.random.default_rng(2)
    segments = np.where(rng.random((200, 200)) < 0.2, rng.integers(1, 50, (200, 200)), 0).astype(np.int32)
    stack = np.where(rng.random((200, 200)) < 0.1, np.nan, 1.0)
    write_image(tmp_path / "seg.fits", segments, wcs=grid(200, 0.06))
    write_image(tmp_path / "stack.fits", stack, wcs=grid(200, 0.06))
    return tmp_path, segments > 0, np.isfinite(stack)


@pytest.mark.parametrize(("scale", "turn"), [(0.06, 0.0), (0.15, 30.0), (0.3, -100.0)])
@pytest.mark.parametrize("box", [Box(0, 0, 40, 40), Box(11, 17, 31, 40), Box(-30, -30, 5, 5)])
def test_a_window_gives_what_the_whole_map_gives(detection, scale, turn, box):
    folder, segments, observed = detection
    whole, wcs = grid(200, 0.06), cut_wcs(grid(40, scale, turn), box)
    shape = box.shape
    expected = project_mask(segments, whole, wcs, shape)
    np.testing.assert_array_equal(projected_segments(str(folder / "seg.fits"), wcs, shape), expected)
    sampled = sample_mask(wcs, shape, whole, segments)
    np.testing.assert_array_equal(sampled_segments(str(folder / "seg.fits"), wcs, shape), sampled)
    expected = sample_mask(wcs, shape, whole, observed)
    np.testing.assert_array_equal(sampled_detection(str(folder / "stack.fits"), wcs, shape), expected)


def test_a_band_beside_the_detection_image(detection):
    wcs = cut_wcs(grid(40, 0.06), Box(500, 500, 520, 520))
    assert not projected_segments(str(detection[0] / "seg.fits"), wcs, (20, 20)).any()
    assert not sampled_detection(str(detection[0] / "stack.fits"), wcs, (20, 20)).any()
