"""The noise of a typical pixel of the detection stack."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..io.images import read_header


def typical_noise(stack: Path) -> float | None:
    """Return the noise of a typical pixel of the detection stack, from its header; None if it is not there."""
    rms = [float(str(value)) for name, value in read_header(str(stack)).items() if re.fullmatch(r"RMS\d+", name)]
    return float(np.sum(np.array(rms) ** -2.0) ** -0.5) if rms and min(rms) > 0 else None
