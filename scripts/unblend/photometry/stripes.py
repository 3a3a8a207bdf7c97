"""Whether the rows or columns of a band have levels of their own, as the read-out of a detector leaves them."""

from __future__ import annotations

import numpy as np

from ..core.statistics import robust_sigma

NOTABLE = 0.3
"""Scatter of the levels, in noise of a pixel, from which a user is told: in 10 × 10 pixels it is like the noise."""
SIGNIFICANCE = 6.0
"""And in its own errors."""
MIN_PIXELS, MIN_LINES = 15, 30
"""Fewest pixels without sources in half of a line, and fewest such lines."""
NOISE_PIXELS = 1_000_000
"""Pixels of which the noise is measured, about."""
SMOOTH_LINES = 31
"""Lines of the running median that is taken off: a gradient or a bowl is no stripe."""
LARGEST = 5.0
"""Levels are clipped at this many times their scatter: an unmodelled source lies in a few lines."""


def measure_stripes(residual: np.ndarray, usable: np.ndarray) -> tuple[float, float]:
    """Return the scatter of the levels of rows and of columns in noise of a pixel; 0 where it is not significant.

    What both halves of a line have in common is its level: noise that is correlated over some pixels is not, and needs
    not be known.

    Parameters
    ----------
    residual : array (ny, nx)
        May hold NaN.
    usable : bool array (ny, nx)
        False near sources and where there are no data.
    """
    values = np.where(usable & np.isfinite(residual), residual, np.nan)
    return _scatter(values), _scatter(values.T)


def _scatter(values: np.ndarray) -> float:
    """Return the scatter of the levels of rows in noise of a pixel, 0 where it is not significant."""
    middle = values.shape[1] // 2
    halves = [values[:, :middle], values[:, middle:]]
    enough = np.all([np.isfinite(half).sum(axis=1) >= MIN_PIXELS for half in halves], axis=0)
    if np.count_nonzero(enough) < MIN_LINES:
        return 0.0
    levels = [_above_neighbours(np.nanmedian(half[enough], axis=1)) for half in halves]
    # of a large image not all lines: each of its arrays takes as much memory as the image
    some = values[np.flatnonzero(enough)[:: -(-values.size // NOISE_PIXELS)]]
    noise = robust_sigma(some - np.nanmedian(some, axis=1, keepdims=True))
    common = float(np.mean(levels[0] * levels[1]))
    error = float(np.std(levels[0]) * np.std(levels[1])) / np.sqrt(len(levels[0]))
    # common levels make this error larger than that of none; the significance is that of the correlation
    if not noise > 0 or not common > 0 or common / error < min(SIGNIFICANCE, 0.9 * np.sqrt(len(levels[0]))):
        return 0.0
    return float(np.sqrt(common) / noise)


def _above_neighbours(levels: np.ndarray) -> np.ndarray:
    from scipy.ndimage import median_filter

    found = levels - median_filter(levels, size=SMOOTH_LINES, mode="nearest")
    limit = LARGEST * robust_sigma(found)
    return np.clip(found, -limit, limit) if limit > 0 else found


def stripes_warning(scatter: tuple[float, float], band: str) -> str | None:
    """Return a sentence for the user if rows or columns have notable levels of their own, otherwise None."""
    named = [
        f"{name} {value:.2g}" for name, value in zip(("rows", "columns"), scatter, strict=True) if value >= NOTABLE
    ]
    if not named:
        return None
    return (
        f"{band}: its lines have levels of their own, which scatter by more than the noise allows (in noise of a "
        f"pixel: {' and '.join(named)}), as 1/f noise of the read-out leaves them: segments, positions and fluxes "
        "follow them. Subtract the median of each line, without the sources, from the image."
    )
