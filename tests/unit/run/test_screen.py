from __future__ import annotations

import pytest
from unblend.run import screen


@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((1920, 1080), (1728, 972)),
        ((1366, 768), (1229, 691)),
        ((3840, 1080), (1846, 972)),  # two monitors side by side
        (None, (1400, 900)),
    ],
)
def test_a_window_nearly_fills_the_screen(monkeypatch, size, window):
    monkeypatch.setattr(screen, "_screen_size", lambda: size)
    assert screen.window_size() == window


def test_without_a_screen(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":98765")
    assert screen.window_size() == screen.USUAL
    monkeypatch.setattr(screen.ctypes.util, "find_library", lambda name: None)
    assert screen.window_size() == screen.USUAL
