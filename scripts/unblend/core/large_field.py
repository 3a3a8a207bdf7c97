"""What counts as a large field: one whose detection image is larger than a tile."""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST_DETECTION_PIXELS = 20e6
"""Pixels of the detection image in a tile with `tiles.size: auto`: 4000 sources, which need half a GB."""


def is_large(shape: Sequence[int]) -> bool:
    """Return whether a detection image (ny, nx) is larger than a tile: files of its fits are written on request."""
    return math.prod(shape) > MOST_DETECTION_PIXELS
