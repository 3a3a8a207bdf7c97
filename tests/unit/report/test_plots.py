from __future__ import annotations

import io

import numpy as np
import pytest
from unblend.report.plots import band_figure, outline, stretch

RNG = np.random.default_rng(1)
SHAPE = (30, 45)


def drawn(figure):
    """Return a figure as a PNG file: some errors occur only when it is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def noisy():
    image = RNG.normal(size=SHAPE)
    image[3:6, 3:6] = np.nan
    return image


def test_stretch():
    values = stretch(np.array([-100.0, -2.0, 0.0, 30.0, 1e9, np.nan]), 1.0)
    low = np.arcsinh(2.0) / (np.arcsinh(2.0) + np.arcsinh(30.0))
    assert values[:5] == pytest.approx([0.0, 0.0, low, 1.0, 1.0]) and np.isnan(values[5])
    np.testing.assert_allclose(stretch(np.array([7.0]), 2.0, 3.0), stretch(np.array([2.0]), 1.0))


def test_outline_by_hand():
    segments = np.zeros((5, 6), dtype=int)
    segments[1:4, 1:4], segments[1:4, 4] = 1, 2
    expected = segments > 0
    expected[2, 2] = False
    np.testing.assert_array_equal(outline(segments), expected)
    assert not outline(np.zeros((3, 3), dtype=int)).any()


@pytest.mark.parametrize("circles", [(), [(5.0, 6.0, 2.0), (20.0, 30.0, 3.0)]])
def test_band_figure(circles):
    image = noisy()
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:4] = True
    residual = np.where(mask, np.nan, image - 2.0)
    figure = band_figure("k", image, residual, mask, background=2.0, circles=circles)
    assert drawn(figure) and [axes.get_title() for axes in figure.axes] == ["k: image", "model", "image − model"]
    assert len(figure.axes[2].patches) == len(circles)
    red, green, blue = figure.axes[0].images[0].get_array()[0, 20]
    assert (red, green) == pytest.approx((0x5B / 255, 0x3B / 255)) and green == blue


def test_band_figure_without_a_usable_pixel():
    figure = band_figure(
        "k", np.full(SHAPE, np.nan), np.full(SHAPE, np.nan), np.ones(SHAPE, dtype=bool), background=np.nan
    )
    assert drawn(figure)
