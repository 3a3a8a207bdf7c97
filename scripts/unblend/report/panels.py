"""Image, model and residual of a band side by side, as one small picture with a palette."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .pixels import binned
from .plots import stretch

MAX_WIDTH = 640
"""Largest width of a panel in pixels; wider images are averaged over squares of pixels."""
MIN_WIDTH = 300
"""Smallest width of a panel in pixels; the pixels of narrower images are repeated."""
GAP = 6
"""Gap between panels in pixels."""
GREYS = 96
"""Number of shades of grey: more are not visible in noise and make the file larger."""
CIRCLE, WHITE, MASKED = 253, 254, 255


def _palette() -> np.ndarray:
    """Return 256 colours: the greys from white to black, then the colours of circles, gaps and masked pixels."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[:GREYS] = np.rint(np.linspace(255, 0, GREYS))[:, None]
    colours[CIRCLE], colours[WHITE], colours[MASKED] = (208, 138, 23), (255, 255, 255), (203, 170, 150)
    return colours


PALETTE = _palette()


def panels(
    data: np.ndarray, residual: np.ndarray, circles: Sequence[tuple[float, float, float]], *, black: float
) -> np.ndarray:
    """Return image, model and residual side by side as indices of `PALETTE`; bright pixels are black.

    Parameters
    ----------
    data, residual : arrays (ny, nx)
        In units of the noise; `residual` is NaN where masked.
    circles : sequence of (y, x, radius)
        Drawn on the residual, in pixels.
    black : float
        Level that is shown black, in units of the noise.

    Returns
    -------
    array of uint8
        The first row is at the bottom.
    """
    factor = -(-data.shape[1] // MAX_WIDTH)
    repeat = max(1, round(MIN_WIDTH / data.shape[1]))
    data, residual = binned(data, factor), binned(residual, factor)
    shown = []
    for panel in (np.where(np.isfinite(residual), data, np.nan), data - residual, residual):
        grey = np.rint(stretch(panel, 1.0, bright=black) * (GREYS - 1))
        index = np.where(np.isfinite(grey), grey, MASKED).astype(np.uint8)
        shown.append(index.repeat(repeat, axis=0).repeat(repeat, axis=1))
    scale = repeat / factor
    ny, nx = shown[2].shape
    rows, columns = np.ogrid[:ny, :nx]
    for y, x, radius in circles:
        distance = np.hypot(rows + 0.5 - (y + 0.5) * scale, columns + 0.5 - (x + 0.5) * scale)
        shown[2][np.abs(distance - radius * scale) < 0.8] = CIRCLE
    gap = np.full((ny, GAP), WHITE, dtype=np.uint8)
    return np.hstack([shown[0], gap, shown[1], gap, shown[2]])
