"""Images whose pixels were written in the byte order of another machine: FITS wants the most significant byte first."""

from __future__ import annotations

import numpy as np

WILD_DECADES, TAME_DECADES = 12.0, 6.0
"""Decades between the 10th and 90th percentile of the absolute values: more than WILD in no image of the sky, and less
than TAME once the bytes are in order. The noise of a sky has 1.1."""
SINGLE_FRACTION = 0.1
"""An image has single precision if more of its values than this fraction are such numbers; NaN does not count."""
MOST_PIXELS = 100_000
"""How many pixels are looked at."""


def has_swapped_bytes(image: np.ndarray) -> bool:
    """Return whether the values of an image make sense only with the bytes of each in the opposite order.

    Only numbers with a fraction show it: their exponents are then random.

    Parameters
    ----------
    image : array (ny, nx)
        NaN and 0 do not count.
    """
    values = image.ravel()[:: max(1, image.size // MOST_PIXELS)]
    if not _decades(values) > WILD_DECADES:
        return False
    # Numbers that were stored with single precision have low bytes of 0 in double precision, which tell nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.mean(values.astype(np.float32) == values) > SINGLE_FRACTION
        turned = values.astype(np.float32 if single else np.float64).byteswap().astype(float)
        return _decades(turned) < TAME_DECADES


def _decades(values: np.ndarray) -> float:
    """Return the decades that the absolute values cover; 0 where there are hardly any."""
    size = np.abs(values[np.isfinite(values) & (values != 0)])
    if size.size < max(10, 0.1 * values.size):
        return 0.0
    low, high = np.percentile(np.log10(size), [10.0, 90.0])
    return float(high - low)
