"""Sources hidden in a brighter one's segment are found; knots, arms, spikes, rings and noise are not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from unblend.core.types import Box
from unblend.detection.hidden_sources import ID_STEP, HiddenSource, add_hidden, find_hidden

SIDE, CENTRE, FWHM = 101, 50, 3.4
Y, X = np.indices((SIDE, SIDE))


def blob(y, x, flux, fwhm=FWHM):
    """Return a Gaussian source."""
    sigma = fwhm / 2.3548
    return flux / (2 * np.pi * sigma**2) * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * sigma**2))


def star(flux):
    """Return a Moffat star, whose wings reach the whole segment."""
    return flux * 1.5 / np.pi / 2.2**2 * (1 + ((Y - CENTRE) ** 2 + (X - CENTRE) ** 2) / 2.2**2) ** -2.5


def disc(flux, r_d=7.0, q=1.0):
    """Return an exponential disc, long along X."""
    return flux / (2 * np.pi * r_d**2 * q) * np.exp(-np.hypot(X - CENTRE, (Y - CENTRE) / q) / r_d)


def search(light, *, level=2.0, min_snr=10.0, bad=None, seed=1, noise=None):
    """Return the hidden sources of one segment: the connected pixels brighter than `level`."""
    from scipy.ndimage import label

    labels, _ = label(light > level)
    segments = (labels == labels[CENTRE, CENTRE]).astype(np.int32)
    y, x = np.nonzero(segments)
    weight = light[y, x]
    dy, dx = y - np.average(y, weights=weight), x - np.average(x, weights=weight)
    yy, xx, xy = (np.average(v, weights=weight) for v in (dy**2, dx**2, dy * dx))
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    row = np.zeros(1, dtype=[("id", "i4"), *((name, "f8") for name in ("a", "b", "theta", "snr"))])
    row["id"], row["a"], row["b"], row["snr"] = 1, np.sqrt(middle + half), np.sqrt(middle - half), 1000.0
    row["theta"] = np.rad2deg(0.5 * np.arctan2(2 * xy, xx - yy))
    data = light + (np.random.default_rng(seed).normal(size=light.shape) if noise is None else noise)
    error = np.ones(light.shape)
    if bad is not None:
        data[bad], error[bad] = np.nan, np.inf
    stack = SimpleNamespace(data=data, error=error)
    return find_hidden(stack, segments, row, fwhm_pixels=FWHM, min_snr=min_snr, min_area=10)


def test_a_wide_galaxy_beside_a_star_is_found_but_no_wide_piece_of_a_galaxy():
    """Of twice the width of the filter: a galaxy beside a star, which has no arms; in a galaxy it may be an arm."""
    wide = blob(CENTRE + 3, CENTRE + 18, 1500.0, fwhm=2.2 * FWHM)
    (found,) = search(star(100_000.0) + wide)
    assert (found.y, found.x) == pytest.approx((CENTRE + 3, CENTRE + 18), abs=1)
    assert search(disc(20_000.0, r_d=4.0) + wide) == []


@pytest.mark.parametrize(("dy", "dx"), [(0, 13), (-11, 5), (9, -9)])
@pytest.mark.parametrize("host", ["star", "disc"])
def test_a_compact_galaxy_beside_a_bright_source_is_found_at_its_place(host, dy, dx):
    bright = star(20_000.0) if host == "star" else disc(20_000.0, r_d=3.0)
    (found,) = search(bright + blob(CENTRE + dy, CENTRE + dx, 600.0))
    assert (found.y, found.x) == pytest.approx((CENTRE + dy, CENTRE + dx), abs=1)
    assert found.parent == 1 and found.snr > 20
    segment = np.zeros((SIDE, SIDE), dtype=bool)
    segment[found.box.slices] = found.pixels
    assert segment[CENTRE + dy, CENTRE + dx] and not segment[CENTRE, CENTRE]
    distance = np.hypot(Y - CENTRE - dy, X - CENTRE - dx)
    assert distance[segment].max() < 3 * FWHM and segment.sum() >= 10


def test_a_fainter_one_than_min_snr_is_not_a_source():
    light = star(20_000.0) + blob(CENTRE, CENTRE + 12, 150.0)  # S/N 150 / √(4π) / 1.44 = 29 if it were alone
    (found,) = search(light, level=1.0)
    assert 10 < found.snr < 35
    assert search(light, level=1.0, min_snr=35.0) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_smooth_galaxy_hides_nothing(seed):
    for q in (1.0, 0.3):
        assert search(disc(60_000.0, q=q), seed=seed) == []
    assert search(star(60_000.0), seed=seed) == []


def test_knots_on_a_disc_are_no_sources():
    light = disc(60_000.0)
    for dy, dx, fraction in ((6, 5, 0.03), (-9, 4, 0.02), (3, -11, 0.03), (-4, -6, 0.015)):
        light += blob(CENTRE + dy, CENTRE + dx, 60_000.0 * fraction, fwhm=4.0)
    assert search(light) == []


def test_spikes_and_rings_are_no_sources():
    spikes = star(60_000.0)
    for dy, dx in ((12, 12), (-12, -12), (12, -12), (-12, 12)):
        spikes += blob(CENTRE + dy, CENTRE + dx, 800.0)
    assert search(spikes) == []
    radius = np.hypot(Y - CENTRE, X - CENTRE)
    assert search(star(60_000.0) + 20.0 * np.exp(-((radius - 14.0) ** 2) / 8.0)) == []


def test_an_arm_is_no_source():
    turned = np.deg2rad(np.linspace(-60, 60, 96))
    arm = sum(blob(CENTRE + 14 * np.sin(angle), CENTRE + 14 * np.cos(angle), 50.0) for angle in turned)
    assert search(disc(20_000.0, r_d=3.0) + arm) == []


def test_pixels_without_data_hide_and_invent_nothing():
    bad = np.zeros((SIDE, SIDE), dtype=bool)
    bad[:, 44:47] = bad[30:40, 40:] = True
    light = star(20_000.0) + blob(CENTRE + 3, CENTRE + 13, 600.0)
    (found,) = search(light, bad=bad)
    assert (found.y, found.x) == pytest.approx((CENTRE + 3, CENTRE + 13), abs=1)
    assert search(star(20_000.0), bad=bad) == []


def test_a_star_with_a_saturated_core_has_no_profile_and_hides_nothing():
    light = star(20_000.0) + blob(CENTRE, CENTRE + 13, 600.0)
    assert search(light, bad=np.hypot(Y - CENTRE, X - CENTRE) < 3.0) == []


def test_correlated_noise_lowers_the_significance():
    from scipy.ndimage import gaussian_filter

    light, white = star(20_000.0) + blob(CENTRE, CENTRE + 13, 600.0), np.random.default_rng(1).normal(size=(SIDE, SIDE))
    smooth = gaussian_filter(white, 1.0)
    (alone,), (correlated,) = search(light, noise=white), search(light, noise=smooth / smooth.std())
    # The noise has the sigma 1, the filter 1.44: √(4 π / (1 + 1 / 1.44²)) = 2.9. The sky has a few hundred independent
    # values, and the peaks have noise of their own.
    assert alone.snr / correlated.snr == pytest.approx(2.9, rel=0.25)


def hidden(parent, y, x, size=2):
    return HiddenSource(parent, y, x, 20.0, Box(y, x, y + size, x + size), np.ones((size, size), dtype=bool))


def test_ids_come_from_the_bright_source():
    segments = np.zeros((20, 20), dtype=np.int32)
    segments[2:12, 2:12], segments[14:18, 14:18] = 7, 3
    edited = add_hidden(segments, [hidden(7, 3, 3), hidden(7, 8, 8), hidden(3, 15, 15)])
    assert np.unique(edited).tolist() == [0, 3, 7, ID_STEP + 3, ID_STEP + 7, 2 * ID_STEP + 7]
    assert np.count_nonzero(edited == ID_STEP + 7) == 4
    assert np.array_equal(edited > 0, segments > 0)
    assert segments.max() == 7  # the input is as it was


def test_a_bright_source_keeps_pixels():
    segments = np.zeros((20, 20), dtype=np.int32)
    segments[4:6, 4:6] = 1
    assert np.array_equal(add_hidden(segments, [hidden(1, 4, 4)]), segments)
