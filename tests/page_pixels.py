"""The decoding of the report's 8-bit levels as the page does it, for tests."""

from __future__ import annotations

import numpy as np
from unblend.report.pixels import SOFTENING, STEP, UNKNOWN, ZERO


def from_levels(coded: np.ndarray) -> np.ndarray:
    """Return the values of 8-bit levels in units of the noise; NaN for UNKNOWN."""
    values = SOFTENING * np.sinh((coded.astype(float) - ZERO) * STEP)
    return np.where(coded == UNKNOWN, np.nan, values)
