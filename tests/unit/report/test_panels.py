from __future__ import annotations

import numpy as np
from unblend.report import panels as panels_module
from unblend.report.panels import CIRCLE, GAP, GREYS, MASKED, PALETTE, WHITE, panels


def test_three_panels_with_one_stretch(monkeypatch):
    monkeypatch.setattr(panels_module, "MIN_WIDTH", 1)
    data = np.array([[100.0, 0.0, 0.0, 50.0]])
    residual = np.array([[0.0, 0.0, 100.0, np.nan]])
    drawn = panels(data, residual, [], black=30.0)
    sky = drawn[0, 1]
    black = GREYS - 1
    assert drawn[0].tolist() == [
        *(black, sky, sky, MASKED), *([WHITE] * GAP),
        *(black, sky, 0, MASKED), *([WHITE] * GAP),
        *(sky, sky, black, MASKED),
    ]  # fmt: skip
    # bright pixels are black: the last shade is black, the first white
    assert PALETTE[black].tolist() == [0, 0, 0] and PALETTE[0].tolist() == [255, 255, 255]


def test_small_images_are_enlarged_and_large_ones_averaged(monkeypatch):
    monkeypatch.setattr(panels_module, "MIN_WIDTH", 40)
    monkeypatch.setattr(panels_module, "MAX_WIDTH", 50)
    assert panels(np.zeros((6, 10)), np.zeros((6, 10)), [], black=30.0).shape == (24, 3 * 40 + 2 * GAP)
    assert panels(np.zeros((60, 100)), np.zeros((60, 100)), [], black=30.0).shape == (30, 3 * 50 + 2 * GAP)


def test_circles_are_drawn_only_on_the_residual(monkeypatch):
    monkeypatch.setattr(panels_module, "MIN_WIDTH", 1)
    drawn = panels(np.zeros((21, 21)), np.zeros((21, 21)), [(10.0, 8.0, 5.0)], black=30.0)
    assert not (drawn[:, : 2 * (21 + GAP)] == CIRCLE).any()
    ring = np.argwhere(drawn[:, 2 * (21 + GAP) :] == CIRCLE)
    assert np.abs(np.hypot(ring[:, 0] - 10, ring[:, 1] - 8) - 5).max() < 0.8
    assert [10, 13] in ring.tolist() and [15, 8] in ring.tolist()
