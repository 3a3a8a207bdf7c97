"""Sources beside the light of an image are found with their offset; a right map is never warned of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from unblend.core.strips import BitMask, Derived
from unblend.detection.misplaced import MIN_AGREEMENT, compare_with_light, misplaced_warning

SHAPE = 200, 180


def drawn(seed, number=40):
    """Return the S/N image of galaxies of many sizes and fluxes, smooth and clumpy, and the pixels above 2.5 sigma."""
    random = np.random.default_rng(seed)
    light, (rows, columns) = np.zeros(SHAPE), np.ogrid[: SHAPE[0], : SHAPE[1]]
    for _ in range(number):
        y, x = random.uniform(10, SHAPE[0] - 10), random.uniform(10, SHAPE[1] - 10)
        for _ in range(int(random.integers(1, 5))):
            dy, dx = random.normal(0.0, 3.0, 2)
            sigma, flux = random.uniform(1.9, 5.1), 10.0 ** random.uniform(1.5, 3.5)
            profiles = (np.exp(-0.5 * ((at - c) / sigma) ** 2) for at, c in ((rows, y + dy), (columns, x + dx)))
            light += flux / (2.0 * np.pi * sigma**2) * next(profiles) * next(profiles)
    noise = gaussian_filter(random.normal(size=SHAPE), 1.2)
    return light + noise / noise.std(), light > 2.5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("number", [8, 40, 150])
def test_a_right_map_is_not_warned_of(seed, number):
    snr, covered = drawn(seed, number)
    for step in (0, 1):  # a pixel off: a map made on another filter, or numbered from 1
        assert misplaced_warning(compare_with_light(np.roll(covered, step, 1), snr, 2.8), "seg.fits") is None


@pytest.mark.parametrize("offset", [(0, 8), (-15, 9), (20, 20)])
@pytest.mark.parametrize("seed", range(5))
def test_the_offset_of_a_moved_map_is_named(seed, offset):
    snr, covered = drawn(seed)
    agreement = compare_with_light(np.roll(covered, offset, (0, 1)), snr, 2.8)
    assert np.abs(np.add(agreement.offset, offset)).max() <= 1
    warning = misplaced_warning(agreement, "seg.fits")
    assert warning is not None
    assert f"{agreement.offset[1]:+d} pixels along X and {agreement.offset[0]:+d} pixels along Y" in warning


def test_positions_of_sources_too_faint_to_be_seen_are_not_warned_of():
    """Sources of another band: no offset agrees with noise."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        snr, _ = drawn(seed, number=0)
        covered = np.zeros(SHAPE, dtype=bool)
        for y, x in zip(random.integers(5, 190, 5), random.integers(5, 170, 5), strict=True):
            covered[y - 2 : y + 3, x - 2 : x + 3] = True
        agreement = compare_with_light(covered, snr, 2.8)
        assert agreement.best < MIN_AGREEMENT
        assert misplaced_warning(agreement, "list.csv") is None


def test_blocks_add_up(monkeypatch):
    snr, covered = drawn(1)
    whole = compare_with_light(np.roll(covered, 7, 0), snr, 2.8)
    monkeypatch.setattr("unblend.detection.misplaced.BLOCK", 64)
    parts = compare_with_light(np.roll(covered, 7, 0), snr, 2.8)
    assert parts.offset == whole.offset
    assert parts.best == pytest.approx(whole.best, rel=1e-12)
    assert parts.here == pytest.approx(whole.here, rel=1e-12)


def test_windows_of_images_are_read():
    snr, covered = drawn(2)
    read = Derived(SHAPE, lambda window: snr[window])
    assert compare_with_light(BitMask.of(covered), read, 2.8) == compare_with_light(covered, snr, 2.8)
