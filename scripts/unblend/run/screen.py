"""The size of the screen on which a program will open its window."""

from __future__ import annotations

import ctypes
import ctypes.util

SHARE = 0.9
"""Part of the screen that a window takes."""
WIDEST = 1.9
"""Largest width over height: side by side, two monitors are one screen of X."""
USUAL = (1400, 900)
"""Window where the screen is not known: without X, as on macOS."""


def window_size() -> tuple[int, int]:
    """Return width and height in pixels of a window that nearly fills the screen."""
    size = _screen_size()
    if size is None:
        return USUAL
    height = int(SHARE * size[1])
    return min(int(SHARE * size[0]), int(WIDEST * height)), height


def _screen_size() -> tuple[int, int] | None:
    """Return width and height in pixels of the X screen of DISPLAY; None without one."""
    library = ctypes.util.find_library("X11")
    if library is None:
        return None
    try:
        x11 = ctypes.CDLL(library)
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = x11.XOpenDisplay(None)
    except (OSError, AttributeError):
        return None
    if not display:
        return None
    pointer = ctypes.c_void_p(display)
    size = int(x11.XDisplayWidth(pointer, 0)), int(x11.XDisplayHeight(pointer, 0))
    x11.XCloseDisplay(pointer)
    return size if min(size) > 0 else None
