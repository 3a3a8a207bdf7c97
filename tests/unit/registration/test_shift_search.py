from __future__ import annotations

import numpy as np
import pytest
from offset_sources import PLACES, SHAPE, make_templates, offset_image
from unblend.core.errors import ShiftError
from unblend.registration.shift_search import choose_references, grid_search


def search(image, weight=1.0, **changes):
    arguments = {
        "references": [1],
        "centres": [PLACES[1]],
        "radius_pixels": 6.0,
        "step_pixels": 0.2,
        "max_pixels": 1.0,
        "neighbours": [2],
    } | changes
    return grid_search(image, np.full(SHAPE, weight), make_templates, **arguments)


def test_grid_search_finds_an_offset_to_the_upper_left():
    # the sources lie at larger y and smaller x than in the catalogue: dy > 0, dx < 0
    found = search(offset_image(0.31, -0.47))
    # a parabola through steps of 0.2 pixel on a Gaussian of sigma 1.5
    assert found.shift == pytest.approx((0.31, -0.47), abs=0.003)

    assert found.chi2.shape == (11, 11)
    np.testing.assert_allclose(found.offsets, np.linspace(-1.0, 1.0, 11), atol=1e-12)
    row, column = np.unravel_index(np.argmin(found.chi2), found.chi2.shape)
    assert (found.offsets[row], found.offsets[column]) == pytest.approx((0.4, -0.4))
    assert found.pixels == pytest.approx(np.pi * 36, rel=0.05)


def test_grid_search_error_equals_the_scatter():
    shifts, errors = [], []
    for seed in range(25):
        found = search(offset_image(0.1, 0.05, noise=5.0, seed=seed), 0.04, max_pixels=0.6)
        shifts.append(found.shift)
        errors.append(found.error)
    scatter = np.std(shifts, axis=0) / np.mean(errors, axis=0)
    # 25 trials give a scatter to 14 %
    np.testing.assert_allclose(scatter, 1.0, atol=0.4)
    # error of the centre of a Gaussian: sqrt(8 pi) sigma² rms / flux, slightly larger with flux, neighbour and
    # background level free
    expected = np.sqrt(8 * np.pi) * 1.5**2 * 5.0 / 500.0
    assert np.mean(errors) == pytest.approx(expected, rel=0.2)


def test_a_missing_neighbour_biases_the_shift_and_masked_pixels_are_ignored():
    image = offset_image(0.2, 0.2)
    alone = search(image, neighbours=[])
    assert np.hypot(alone.shift[0] - 0.2, alone.shift[1] - 0.2) > 0.05
    weight = np.ones(SHAPE)
    weight[26:29, 30:33] = 0.0
    image[26:29, 30:33] = np.nan
    found = grid_search(
        image,
        weight,
        make_templates,
        [1],
        [PLACES[1]],
        radius_pixels=6.0,
        step_pixels=0.1,
        max_pixels=0.5,
        neighbours=[2],
    )
    assert found.shift == pytest.approx((0.2, 0.2), abs=0.002)


def test_several_references_and_centres():
    found = search(offset_image(-0.6, 0.33), references=[1, 3, 4], centres=[PLACES[k] for k in (1, 3, 4)])
    assert found.shift == pytest.approx((-0.6, 0.33), abs=0.003)
    assert found.pixels == pytest.approx(3 * np.pi * 36, rel=0.05)


def test_errors_of_the_search():
    image = offset_image(0.0, 1.4)
    with pytest.raises(ShiftError, match=r"reference 1, dx = 1, .* edge of the grid of ±1 pixels: increase"):
        search(image)
    with pytest.raises(ShiftError, match="0 < step <= max_shift"):
        search(image, step_pixels=2.0)
    with pytest.raises(ShiftError, match=r"0 usable pixels within 6\.00 pixels of reference 1"):
        search(np.full(SHAPE, np.nan))
    with pytest.raises(ShiftError, match="Reference 5 has no light"):
        search(image, references=[1, 5])


def catalogue(**changes):
    columns = {
        "ids": np.arange(1, 8),
        "y": np.arange(7) * 50.0,
        "x": np.zeros(7),
        "flux": np.array([100.0, 90.0, 80.0, 70.0, 60.0, 50.0, 1.0]),
        "flux_err": np.ones(7),
        "r_e": np.array([2.0, 0.05, 2.0, 20.0, 2.0, 2.0, 2.0]),
    } | changes
    return choose_references(**columns, radius=6.0, r_e_min=0.2, r_e_max=5.0, min_snr=20.0)


def test_references_are_bright_compact_and_not_stars():
    # 2 is a point source, 4 is large, 7 is faint
    assert catalogue() == [1, 3, 5, 6]
    eligible = np.ones(7, dtype=bool)
    eligible[0] = False
    assert catalogue(eligible=eligible) == [3, 5, 6]


def test_references_with_neighbours_are_used_only_if_needed():
    y = np.array([0.0, 60.0, 5.0, 150.0, 200.0, 250.0, 204.0])
    # 1 and 3 are 5 pixels apart, 7 is too faint to affect 5: two isolated ones are not enough, and 1 is brighter than 3
    assert catalogue(y=y) == [1, 5, 6]
    y[5] = 300.0
    r_e = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert catalogue(y=y, r_e=r_e) == [2, 4, 5, 6]


def test_no_reference_qualifies():
    assert catalogue(r_e=np.zeros(7)) == []
    # 1 and 2 have neighbours at the same position that are at least as bright
    two = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert catalogue(y=np.zeros(7), r_e=two, flux=np.full(7, 100.0)) == []
