"""Image, model and residual of a band side by side, as one small picture of a few colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .pixels import binned
from .plots import stretch

WIDEST = 640
"""Pixels of a panel; wider ones are averaged over squares of pixels."""
SMALLEST = 300
"""Pixels of a panel; the pixels of narrower ones are repeated."""
GAP = 6
GREYS = 96
"""Shades: more cost space and are not seen in noise."""
RING, WHITE, MASKED = 253, 254, 255


def _palette() -> np.ndarray:
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[:GREYS] = np.rint(np.linspace(255, 0, GREYS))[:, None]
    colours[RING], colours[WHITE], colours[MASKED] = (208, 138, 23), (255, 255, 255), (203, 170, 150)
    return colours


PALETTE = _palette()


def panels(
    data: np.ndarray, residual: np.ndarray, circles: Sequence[tuple[float, float, float]], *, black: float
) -> np.ndarray:
    """Return the indices into PALETTE of image | model | residual, black is light.

    Parameters
    ----------
    data, residual : arrays (ny, nx)
        In units of the noise; `residual` is NaN where masked.
    circles : sequence of (y, x, radius)
        Drawn on the residual.
    black : float
        Units of the noise.

    Returns
    -------
    array of uint8
        First row lowest.
    """
    factor = -(-data.shape[1] // WIDEST)
    repeat = max(1, round(SMALLEST / data.shape[1]))
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
        far = np.hypot(rows + 0.5 - (y + 0.5) * scale, columns + 0.5 - (x + 0.5) * scale)
        shown[2][np.abs(far - radius * scale) < 0.8] = RING
    gap = np.full((ny, GAP), WHITE, dtype=np.uint8)
    return np.hstack([shown[0], gap, shown[1], gap, shown[2]])
