"""Tiles of a band, each with its own background level, give the fluxes of one fit."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian, gaussian_field
from scipy.sparse import csr_array
from unblend.core.split_matrix import SplitMatrix
from unblend.core.tiles import tile_grid
from unblend.core.types import Box
from unblend.io.tables import columns
from unblend.photometry.adopted_covariance import CovarianceParts
from unblend.photometry.flux_draws import DRAWS
from unblend.photometry.joined_tiles import BackgroundLevels, core_level, joined_parts, mean_ratio, with_common_level
from unblend.photometry.linear_system import LinearSolution, model_image, solve_fluxes

SIDE = 120


def rows_of(solution: LinearSolution) -> np.ndarray:
    return columns(
        id=solution.ids, flux=solution.flux, flux_err=solution.err, flux_err_white=solution.err,
        flux_err_isolated=solution.err_isolated, background_response=solution.background_response(),
    )  # fmt: skip


def test_a_known_level_changes_the_flux_by_its_response():
    rng = np.random.default_rng(3)
    templates, flux = gaussian_field(20, 60, rng)
    weight = rng.uniform(0.5, 2.0, (60, 60))
    image = model_image(templates, flux, (60, 60), 3.0) + rng.normal(size=(60, 60))
    free = solve_fluxes(image, weight, templates)
    # a level that is known to be 3.5: an observation with a huge weight in a pixel that holds no source
    far = np.zeros((1, 60))
    known = solve_fluxes(np.vstack([image, far + 3.5]), np.vstack([weight, far + 1e9]), templates)
    expected = free.flux + free.background_response() * (3.5 - free.background)
    np.testing.assert_allclose(known.flux, expected, atol=1e-5)
    variance = free.err**2 - (free.background_response() * free.background_err) ** 2
    np.testing.assert_allclose(known.err**2, variance, rtol=1e-5)


def test_no_response_without_a_flux_or_with_a_polynomial():
    templates = [gaussian(1, 10, 10, (40, 40)), gaussian(2, 300, 300, (40, 40))]
    image, weight = np.ones((40, 40)), np.ones((40, 40))
    response = solve_fluxes(image, weight, templates).background_response()
    assert response[0] < 0 and np.isnan(response[1])
    assert np.isnan(solve_fluxes(image, weight, templates, order=1).background_response()).all()


def test_fluxes_of_tiles_are_those_of_one_fit():
    rng = np.random.default_rng(5)
    templates, flux = gaussian_field(120, SIDE, rng)
    image = model_image(templates, flux, (SIDE, SIDE), 2.0) + rng.normal(size=(SIDE, SIDE))
    weight = np.ones(image.shape)
    whole = solve_fluxes(image, weight, templates)
    centres = np.array([[(t.box.y0 + t.box.y1 - 1) / 2, (t.box.x0 + t.box.x1 - 1) / 2] for t in templates])
    rows, levels_of, own = [], [], []
    for number, tile in enumerate(tile_grid(image.shape, 60.0, 25)):
        window = tile.window
        inside = [t for t in templates if t.box.overlaps(window)]
        moved = [gaussian_cut(t, window) for t in inside]
        found = solve_fluxes(image[window.slices], weight[window.slices], moved)
        owned = [k for k, t in enumerate(inside) if tile.owns(*centres[t.id - 1])]
        rows.append(rows_of(found)[owned])
        own += [number] * len(owned)
        core = core_level(found, moved, weight[window.slices], tile.core.shifted(-window.y0, -window.x0))
        levels_of.append((found.background, found.background_err, *core))
    levels = BackgroundLevels.of(*np.array(levels_of).T)
    table = np.concatenate(rows)
    joined = with_common_level(table, np.array(own), levels)
    order = np.argsort(joined["id"])
    np.testing.assert_array_equal(joined["id"][order], whole.ids)
    before = np.abs(table["flux"][order] - whole.flux) / whole.err
    after = np.abs(joined["flux"][order] - whole.flux) / whole.err
    assert before.max() > 0.05 and after.max() < 0.01
    assert levels.level == pytest.approx(whole.background, abs=0.2 * whole.background_err)
    assert levels.error == pytest.approx(whole.background_err, rel=0.02)
    np.testing.assert_allclose(joined["flux_err"][order], whole.err, rtol=0.02)


def gaussian_cut(template, window):
    """Return the part of a template in a window, in the pixels of the window."""
    from dataclasses import replace

    box = template.box & window
    return replace(
        template, box=box.shifted(-window.y0, -window.x0), data=template.data[box.within(template.box)],
        coverage=float(template.data[box.within(template.box)].sum()),
    )  # fmt: skip


def test_the_light_of_a_source_beyond_the_window_does_not_raise_the_level():
    shape, core = (60, 60), Box(20, 20, 60, 60)
    places = enumerate([(30, 30), (45, 28), (50, 50)], start=1)
    inside = [gaussian(k, *place, shape, sigma=3.0) for k, place in places]
    image = model_image(inside, np.array([100.0, 50.0, 80.0]), shape, 1.0)
    # its wing fills the margin of 20 pixels, and is gone in the core
    image += 5.0 * np.exp(-((np.arange(60) + 1.0) ** 2) / (2 * 5.0**2))
    found = solve_fluxes(image, np.ones(shape), inside)
    assert found.background > 1.2
    level, error = core_level(found, inside, np.ones(shape), core)
    assert level == pytest.approx(1.0, abs=0.01) and 0 < error < 2 * found.background_err
    assert np.isnan(core_level(found, inside, np.zeros(shape), core)).all()


def test_a_tile_without_pixels_does_not_count():
    unknown = np.array([np.nan])
    cores, errors = np.array([1.5, np.nan, 2.5]), np.array([0.5, np.nan, 0.5])
    levels = BackgroundLevels.of(np.array([1.0, np.nan, 3.0]), errors, cores, errors)
    assert levels.level == 2.0 and levels.error == pytest.approx(0.5 / np.sqrt(2))
    np.testing.assert_array_equal(levels.differences(), [1.0, 0.0, -1.0])
    nothing = BackgroundLevels.of(unknown, unknown, unknown, unknown)
    assert nothing.level == 0.0 and np.isnan(nothing.error)
    np.testing.assert_array_equal(nothing.differences(), [0.0])


def test_a_flux_that_is_not_measured_stays_unknown():
    names = ("flux", "flux_err", "flux_err_white", "flux_err_isolated")
    values = {name: np.array([np.nan, 5.0]) for name in names}
    rows = columns(id=np.array([1, 2]), **values, background_response=np.full(2, np.nan))
    joined = with_common_level(rows, np.array([-1, 0]), BackgroundLevels(np.ones(1), np.array([0.1]), 1.0, 0.1))
    assert np.isnan(joined["flux"][0]) and joined["flux"][1] == 5.0 and joined["flux_err"][1] == 5.0


def test_the_ratio_of_all_tiles():
    # weights 1 and 4
    assert mean_ratio([1.0, 1.5, np.nan], [0.2, 0.1, np.nan]) == pytest.approx((1.4, 1.0 / np.sqrt(125.0)))
    assert np.isnan(mean_ratio([np.nan], [np.nan])).all()


def test_the_covariance_of_all_tiles():
    def parts(ids: list[int], sparse: list[list[float]], column: list[float]) -> CovarianceParts:
        noise = SplitMatrix(csr_array(np.array(sparse)), np.array(column)[:, None], np.ones(1))
        draws = np.outer(ids, np.ones(DRAWS))
        return CovarianceParts(np.array(ids), noise, SplitMatrix.zero(len(ids)), draws, 2.0 * draws)

    # 2 and 3 overlap across the border of the tiles, which both know
    first = parts([1, 2, 3], [[4.0, 1.0, 0.0], [1.0, 5.0, 0.4], [0.0, 0.4, 9.0]], [0.1, 0.2, 9.0])
    second = parts([2, 3, 4], [[9.0, 0.6, 0.0], [0.6, 6.0, 2.0], [0.0, 2.0, 7.0]], [9.0, 0.3, 0.4])
    found = joined_parts([first, second], [np.array([1, 2]), np.array([3, 4])], np.array([1, 2, 3, 4]))
    expected = np.array([[4.0, 1.0, 0, 0], [1.0, 5.0, 0.5, 0], [0, 0.5, 6.0, 2.0], [0, 0, 2.0, 7.0]])
    np.testing.assert_allclose(found.noise.sparse.toarray(), expected)
    vectors = np.array([[0.1, 0.2, 0, 0], [0, 0, 0.3, 0.4]])
    np.testing.assert_allclose(found.noise.dense(), expected + sum(np.outer(v, v) for v in vectors))
    np.testing.assert_array_equal(found.noise_draws[:, 0], [1, 2, 3, 4])
    np.testing.assert_array_equal(found.model_draws[:, 0], [2, 4, 6, 8])
