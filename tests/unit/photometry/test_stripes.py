from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from unblend.photometry.stripes import measure_stripes, stripes_warning

SHAPE = (90, 110)


def noise(seed=1, correlated=0.0):
    values = np.random.default_rng(seed).normal(size=SHAPE)
    if correlated:
        values = gaussian_filter(values, correlated)
    return values / values.std()


def everywhere():
    return np.ones(SHAPE, dtype=bool)


@pytest.mark.parametrize("strength", [0.4, 1.0, 5.0])
def test_the_scatter_of_the_levels_is_measured(strength):
    levels = np.random.default_rng(2).normal(0.0, strength, SHAPE[0])
    rows, columns = measure_stripes(noise() + levels[:, None], everywhere())
    # the scatter of 90 numbers is known to 7 %; the running median takes some of it off
    assert rows == pytest.approx(strength, rel=0.2) and columns == 0.0
    assert "rows" in (said := str(stripes_warning((rows, columns), "ks"))) and "columns" not in said


def test_columns_beside_masked_sources():
    levels = np.random.default_rng(2).normal(0.0, 1.0, SHAPE[1])
    image, usable = noise() + levels, everywhere()
    image[20:40, 30:50], image[60:80, 80:95] = 100.0, np.nan
    usable[20:40, 30:50] = False
    rows, columns = measure_stripes(image, usable)
    assert columns == pytest.approx(1.0, rel=0.2) and rows == 0.0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("correlated", [0.0, 1.0, 2.5])
def test_noise_has_no_levels(seed, correlated):
    assert stripes_warning(measure_stripes(noise(seed, correlated), everywhere()), "ks") is None


def test_a_gradient_and_a_bowl_are_no_stripes():
    y, x = np.indices(SHAPE)
    smooth = 0.05 * y + 5.0 * np.exp(-((y - 45) ** 2 + (x - 50) ** 2) / 2 / 30.0**2)
    assert stripes_warning(measure_stripes(noise() + smooth, everywhere()), "ks") is None


def test_little_sky_tells_nothing():
    usable = everywhere()
    usable[:, 10:-10] = False
    assert measure_stripes(5.0 * noise() + np.arange(SHAPE[0])[:, None] % 2, usable)[0] == 0.0
    assert measure_stripes(np.full(SHAPE, np.nan), everywhere()) == (0.0, 0.0)
    assert measure_stripes(np.zeros(SHAPE), everywhere()) == (0.0, 0.0)
