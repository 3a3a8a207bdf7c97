from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.group_data import (
    GroupData,
    automatic_block,
    group_pixels,
    group_starts,
    segment_snr,
)
from unblend.fits.overrides import parse_override
from unblend.fits.passes import fit_first_pass

GALAXY = (24.3, 20.6, 3000.0, 1.0, 4.0, 0.4, 30.0)


def small_group(members=(1, 2), **more):
    """Return 4 × 4 pixels: source 1 in the first row, source 2 in the second, source 3 in one pixel of the third."""
    segments = np.array([[1, 1, 1, 1], [2, 2, 0, 0], [0, 0, 0, 3], [0, 0, 0, 0]])
    image = np.where(segments > 0, 10.0, 1.0)
    return GroupData(Box(100, 200, 104, 204), image, np.full((4, 4), 2.0), segments, members, **more)


# Pixels -------------------------------------------------------------------------------------------------------------


def test_sources_that_are_not_members_are_masked():
    pixels = group_pixels(small_group())
    assert np.argwhere(pixels.mask).tolist() == [[2, 3]] and pixels.count == 15
    assert pixels.box == Box(100, 200, 104, 204)


def test_subtracted_sources_are_used():
    assert group_pixels(small_group(subtracted=(3,))).count == 16


def test_other_members_are_masked_in_the_fit_of_one():
    mask = group_pixels(small_group(subtracted=(3,)), only=2).mask
    assert np.argwhere(mask).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


def test_pixels_without_data_are_masked_and_finite():
    data = small_group(subtracted=(3,))
    data.image[0, 0], data.error[0, 1], data.error[0, 2], data.error[0, 3] = np.nan, 0.0, np.inf, -1.0
    pixels = group_pixels(data)
    assert np.argwhere(pixels.mask).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert np.isfinite(pixels.image).all() and (pixels.error > 0).all() and np.isfinite(pixels.error).all()


def test_the_mask_of_the_user_is_used():
    mask = np.eye(4, dtype=bool)
    assert (group_pixels(small_group(subtracted=(3,), mask=mask)).mask == mask).all()


def test_the_correlation_of_the_noise_is_passed_on():
    assert group_pixels(small_group(smoothing=0.65)).smoothing == 0.65


# Signal to noise ----------------------------------------------------------------------------------------------------


def test_signal_to_noise_of_a_segment():
    data = small_group()
    (first, second), _, pixels = group_starts(data, fitting_psf(), {})
    # 4 pixels of 10 - 1 with errors of 2, and 2 such pixels
    assert segment_snr(first, data, pixels, 1.0) == pytest.approx(36.0 / (2.0 * np.sqrt(4)))
    assert segment_snr(second, data, pixels, 1.0) == pytest.approx(18.0 / (2.0 * np.sqrt(2)))


def test_correlated_noise_lowers_the_signal_to_noise():
    data = small_group(smoothing=0.5)
    member = group_starts(data, fitting_psf(), {})[0][1]
    # two neighbours with the correlation exp(-1 / 4 sigma²) = exp(-1): variance 2 (1 + exp(-1)) of that of a pixel
    expected = 18.0 / (2.0 * np.sqrt(2.0 * (1.0 + np.exp(-1.0))))
    assert segment_snr(member, data, group_pixels(data), 1.0) == pytest.approx(expected)


def test_a_masked_source_has_no_signal():
    data = small_group()
    member = group_starts(data, fitting_psf(), {})[0][0]
    masked = group_pixels(replace(data, mask=data.segments == 1))
    assert segment_snr(member, data, masked, 1.0) == 0.0


# Start values -------------------------------------------------------------------------------------------------------


def test_a_sky_with_few_pixels_is_free_within_twice_the_rms():
    _, sky, _ = group_starts(small_group(), fitting_psf(), {})
    level = sky.functions[0]["I_sky"]
    assert (level.value, level.lower, level.upper) == (1.0, -3.0, 5.0)


def test_limits_follow_the_area_of_the_segment():
    data = group([galaxy(*GALAXY)])
    (member,), _, _ = group_starts(data, fitting_psf(), {})
    radius = np.sqrt((data.segments == 1).sum() / np.pi)
    assert radius > 4.0
    block = member.automatic[0]
    assert block.x0.upper - block.x0.value == pytest.approx(4.0)
    assert block.functions[0]["r_e"].lower == pytest.approx(0.01 * 0.25 * radius)
    assert block.functions[0]["r_e"].upper == pytest.approx(10 * 0.25 * radius)
    assert (block.functions[0]["ell"].upper, block.functions[0]["n"].lower) == (0.95, 0.1)


def test_the_start_has_the_position_and_flux_of_the_source():
    data = group([galaxy(*GALAXY)])
    (member,), _, _ = group_starts(data, fitting_psf(), {})
    assert member.sersic.y == pytest.approx(124.3, abs=0.3) and member.sersic.x == pytest.approx(220.6, abs=0.3)
    assert member.sersic.total_flux == pytest.approx(3000.0, rel=0.2)
    assert member.blocks == member.start == member.automatic and member.flags == 0


def test_a_small_source_may_move_by_two_pixels():
    block = automatic_block(small_group(), group_pixels(small_group()), 2, 1.0, fitting_psf())
    # sqrt(2 / pi) is below 2
    assert block.y0.upper - block.y0.value == pytest.approx(2.0) and block.id == 2


def test_an_override_replaces_the_automatic_start():
    override = parse_override("FUNCTION PointSource\n", "overrides/2.dat")
    first, second = group_starts(small_group(), fitting_psf(), {2: override})[0]
    assert first.flags == 0 and first.sersic is not None
    assert Flag(second.flags) == Flag.OVERRIDDEN | Flag.POINT_SOURCE
    assert [function.name for function in second.automatic[0].functions] == ["PointSource"]


def test_a_member_without_a_pixel_is_an_error():
    with pytest.raises(ValueError, match="source 5 has no pixel in the segmentation map of its cutout"):
        fit_first_pass(small_group(members=(1, 5)), fitting_psf())
