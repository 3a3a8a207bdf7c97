"""Maps of flags, such as a data-quality map: integers in which 0 marks the good pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

MOST_ARE_ZERO = 0.5
"""Flags are 0 in a larger fraction of the observed pixels than this. Coverages and weights are 0 where nothing was
observed."""
NAMES = re.compile(r"DQ|FLAGS?|CTX|CON", re.I)
"""Names of extensions with flags or with the bits of the exposures of a pixel; integers in these are never a weight."""


@dataclass(frozen=True)
class FlagValues:
    """The values of a map of flags: the number of distinct ones, and the fraction of the observed pixels that is 0."""

    distinct: int
    zero_fraction: float


def flag_values(values: np.ndarray, observed: np.ndarray, name: str = "") -> FlagValues | None:
    """Return the values of a map if it looks like one of flags, otherwise None.

    Parameters
    ----------
    values : array (ny, nx)
        The map.
    observed : bool array (ny, nx)
        True where the image has a pixel.
    name : str
        Name of the extension.
    """
    finite = np.isfinite(values)
    known, used = values[finite], values[finite & observed]
    if not used.size or not (known > 0).any() or np.any(known != np.rint(known)):
        return None
    zero = float(np.mean(used == 0))
    if zero <= MOST_ARE_ZERO and not NAMES.fullmatch(name):
        return None
    return FlagValues(int(np.unique(known).size), zero)
