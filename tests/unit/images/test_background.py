"""The moving background: exact on planes, at edges and beside masks; holes; noise; outliers."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from unblend.core.errors import InputError
from unblend.images.background import moving_background
from unblend.photometry.linear_system import model_image, solve_fluxes


def plane(shape: tuple[int, int], slope_y: float, slope_x: float) -> np.ndarray:
    y, x = np.indices(shape)
    return 3.0 + slope_y * y + slope_x * x


def random_sources(
    shape: tuple[int, int], rng: np.random.Generator, number: int = 40, largest: float = 7.0
) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    y, x = np.indices(shape)
    for cy, cx, radius in zip(
        rng.uniform(0, shape[0], number), rng.uniform(0, shape[1], number), rng.uniform(2, largest, number), strict=True
    ):
        mask |= (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    return mask


def test_full_box_without_mask_is_the_plain_mean() -> None:
    image = np.random.default_rng(1).normal(size=(40, 50))
    background, coverage = moving_background(image, np.zeros(image.shape, dtype=bool), box_pixels=7)
    assert background[20, 25] == pytest.approx(image[17:24, 22:29].mean(), abs=1e-12)
    assert coverage[20, 25] == pytest.approx(1.0)
    assert coverage[0, 0] == pytest.approx(16 / 49)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_gradient_with_masked_sources_is_recovered_everywhere(statistic: str) -> None:
    rng = np.random.default_rng(2)
    truth = plane((120, 150), 0.02, -0.03)
    mask = random_sources(truth.shape, rng)
    image = np.where(mask, 1e3, truth)
    background, coverage = moving_background(image, mask, box_pixels=25, statistic=statistic)
    # The mean is exact on a plane. The median of a masked part of a plane is not quite its value at its middle: 4 % of
    # the change across a box (0.75), where a plain boxcar is wrong by 25 % of it at the edges.
    tolerance = 1e-7 if statistic == "mean" else 0.03
    assert np.abs(background - truth).max() < tolerance
    assert coverage.min() > 0.0


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_noise_and_bias_in_a_noisy_gradient(statistic: str) -> None:
    rng = np.random.default_rng(3)
    truth = plane((200, 200), 0.01, 0.02)
    mask = random_sources(truth.shape, rng)
    background, _ = moving_background(truth + rng.normal(size=truth.shape), mask, box_pixels=25, statistic=statistic)
    inner, edge = np.s_[20:-20, 20:-20], np.r_[np.s_[0, :]]
    # Noise of a mean of 625 pixels: 0.04; of a median 1.25 times that.
    assert np.std((background - truth)[inner]) < 0.06
    # About 8 independent boxes along an edge, each with (1 + 3) / 312 of the variance: 0.11, so 0.04 for their mean.
    assert abs(np.mean((background - truth)[edge])) < 0.12
    # 64 boxes in the field: 0.04 / 8, or a quarter more.
    assert abs(np.mean((background - truth)[inner])) < 0.02


def test_median_resists_unmasked_sources() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(size=(100, 100))
    image[random_sources(image.shape, rng, 10, 3.0)] += 50.0
    none = np.zeros(image.shape, dtype=bool)
    mean, median = (moving_background(image, none, box_pixels=31, statistic=kind)[0] for kind in ("mean", "median"))
    assert np.abs(median).max() < 1.0
    assert np.abs(mean).max() > 5.0


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_a_hole_larger_than_the_box_is_filled_from_its_surroundings(statistic: str) -> None:
    truth = plane((90, 90), 0.1, 0.05)
    mask = np.zeros(truth.shape, dtype=bool)
    mask[25:65, 25:65] = True
    image = np.where(mask, np.nan, truth)
    background, coverage = moving_background(image, mask, box_pixels=15, statistic=statistic)
    assert np.isfinite(background).all()
    assert coverage[45, 45] == pytest.approx(0.0, abs=1e-12)
    # The plane is extrapolated across the hole to 5 % of the 6 units by which it changes there.
    assert np.abs(background - truth)[25:65, 25:65].max() < 0.3


def test_nan_pixels_count_as_masked() -> None:
    image = plane((30, 30), 0.1, 0.0)
    image[10:13, 10:13] = np.nan
    image[0, 0] = np.inf
    background, coverage = moving_background(image, np.zeros(image.shape, dtype=bool), box_pixels=9)
    assert np.allclose(background, plane((30, 30), 0.1, 0.0), atol=1e-9)
    assert coverage[11, 11] == pytest.approx(72 / 81)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_degenerate_images(statistic: str) -> None:
    empty, coverage = moving_background(
        np.full((5, 6), np.nan), np.zeros((5, 6), dtype=bool), box_pixels=3, statistic=statistic
    )
    assert (empty == 0).all()
    assert (coverage == 0).all()
    alone = np.full((20, 20), np.nan)
    alone[3, 4] = 7.0
    assert np.allclose(
        moving_background(alone, np.zeros(alone.shape, dtype=bool), box_pixels=5, statistic=statistic)[0], 7.0
    )
    row = np.arange(12.0)[None, :]
    found, _ = moving_background(row, np.zeros(row.shape, dtype=bool), box_pixels=5, statistic=statistic)
    # The gradient across a row is unknown and set to zero by a term of 1e-7.
    assert np.allclose(found, row, atol=1e-6)
    one, _ = moving_background(
        np.full((4, 4), 2.0), np.zeros((4, 4), dtype=bool), box_pixels=500.0, statistic=statistic
    )
    assert np.allclose(one, 2.0)


def test_wrong_settings() -> None:
    image, mask = np.zeros((4, 4)), np.zeros((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="expected mean or median"):
        moving_background(image, mask, box_pixels=3, statistic="mode")
    with pytest.raises(InputError, match="expected at least 1"):
        moving_background(image, mask, box_pixels=0.2)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_fluxes_on_a_strong_gradient(statistic: str) -> None:
    rng = np.random.default_rng(6)
    shape, count = (160, 160), 12
    places = np.stack(np.meshgrid([20.0, 60.5, 100.0, 139.0], [25.0, 80.3, 135.0], indexing="ij"), -1).reshape(count, 2)
    templates = [gaussian(k + 1, y, x, shape, sigma=2.0, half=14.0) for k, (y, x) in enumerate(places)]
    flux = 10.0 ** rng.uniform(2.5, 3.5, count)
    light = model_image(templates, flux, shape)
    # from one edge to the other the background changes by 30 times the noise; the brightest peak is 40 above it
    image = light + plane(shape, 0.15, -0.10) + 0.5 * rng.normal(size=shape)
    background, _ = moving_background(image, light > 0.02, box_pixels=41, statistic=statistic)
    found = solve_fluxes(image - background, np.full(shape, 4.0), templates)
    # errors are 3.5: 1 % of the faintest, 0.1 % of the brightest
    deviation = (found.flux - flux) / flux
    assert abs(np.average(deviation, weights=flux)) < 0.01
    assert (np.abs(found.flux - flux) < 0.01 * flux + 3.0 * found.err).all()
    without = solve_fluxes(image, np.full(shape, 4.0), templates)
    assert (np.abs(without.flux - flux) / flux).max() > 0.05


def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large image is worked on in tiles: the planes are those of the whole image, to rounding errors."""
    rng = np.random.default_rng(6)
    image = plane((150, 230), 0.02, -0.03) + rng.normal(size=(150, 230))
    mask = random_sources(image.shape, rng)
    mask[:40, 100:140] = True
    whole, _ = moving_background(image, mask, box_pixels=15)
    monkeypatch.setattr("unblend.images.background.TILE_PIXELS", 64)
    tiled, _ = moving_background(image, mask, box_pixels=15)
    np.testing.assert_allclose(tiled, whole, atol=1e-9)
