"""Strips, the pixels from which a large image is measured, and masks of bits."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.strips import BitMask, Derived, Workspace

SHAPE = (37, 45)
VALUES = np.random.default_rng(1).normal(size=SHAPE)
MASK = VALUES > 0.5


@pytest.mark.parametrize("rows", [1, 5, 36, 100])
def test_strips_cover_an_image_once_and_their_margins_end_at_its_edges(rows):
    count = np.zeros(SHAPE, dtype=int)
    for strip in Workspace(rows=rows).strips(SHAPE, 4):
        count[strip.slices] += 1
        assert strip.wide.y0 == max(strip.core.y0 - 4, 0) and strip.wide.y1 == min(strip.core.y1 + 4, SHAPE[0])
        np.testing.assert_array_equal(VALUES[strip.wide.slices][strip.inside], VALUES[strip.slices])
    assert (count == 1).all()


def test_a_mask_of_bits_is_read_and_written_in_windows():
    mask = BitMask(SHAPE)
    for y in range(0, SHAPE[0], 5):
        for x in range(0, SHAPE[1], 7):
            window = slice(y, min(y + 5, SHAPE[0])), slice(x, min(x + 7, SHAPE[1]))
            mask[window] = MASK[window]
    np.testing.assert_array_equal(mask[:, :], MASK)
    np.testing.assert_array_equal(mask[3:20, 5:33], MASK[3:20, 5:33])
    assert mask[4:9, 6:6].shape == (5, 0)
    assert mask.count() == MASK.sum() and mask.any() and not BitMask(SHAPE).any()
    mask |= BitMask.of(~MASK)
    assert mask[:, :].all()


def test_a_small_image_is_measured_from_all_pixels_in_their_order():
    (found,) = Workspace(rows=7).gather(SHAPE, lambda strip: [MASK[strip.slices], VALUES[strip.slices]])
    np.testing.assert_array_equal(found, VALUES[MASK])


@pytest.mark.parametrize("sampled", [100, 400, 1000])
def test_the_sample_of_a_large_image_is_even_and_does_not_depend_on_the_strips(sampled):
    everywhere = np.ones(SHAPE, dtype=bool)
    chosen = []
    for rows in (3, 50):
        work = Workspace(rows=rows, most_pixels=1000, sampled_pixels=sampled)
        chosen.append(work.gather(SHAPE, lambda strip: [everywhere[strip.slices], VALUES[strip.slices]])[0])
    np.testing.assert_array_equal(*chosen)
    step = -(-VALUES.size // sampled)
    # each row has its share to a pixel, each column of the whole image to a row
    assert chosen[0].size == pytest.approx(VALUES.size / step, abs=SHAPE[0])
    at = np.concatenate([work.sample(strip, SHAPE) for strip in work.strips(SHAPE)])
    assert np.abs(at.sum(axis=0) - SHAPE[0] / step).max() <= 1.0
    assert np.abs(at.sum(axis=1) - SHAPE[1] / step).max() <= 1.0


def test_an_image_that_is_computed_when_it_is_asked_for():
    twice = Derived(SHAPE, lambda window: 2.0 * VALUES[window])
    np.testing.assert_array_equal(twice[2:5, 7:9], 2.0 * VALUES[2:5, 7:9])
    assert twice.shape == SHAPE
