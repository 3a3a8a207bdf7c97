"""Places of the stars of which a PSF is built: a table of positions, or a DS9 file of circles or points."""

from __future__ import annotations

import re

import numpy as np

from ..core.errors import InputError, RegionError
from ..core.types import Region
from .files import read_text
from .regions import parse_regions
from .source_lists import read_positions

_POINT = re.compile(r"\bpoint\s*\(([^()]*)\)", re.IGNORECASE)


def read_star_places(name: str) -> tuple[np.ndarray, np.ndarray] | list[Region]:
    """Return the positions (ra and dec in degrees) of a table, or the regions of a DS9 file (`.reg`).

    A point of a DS9 file is returned as a small circle.

    Raises
    ------
    InputError
        The file is missing, cannot be read or has no star.
    """
    if not name.lower().endswith(".reg"):
        return read_positions(name)
    text = _POINT.sub(r'circle(\1,1")', read_text(name, RegionError))
    regions = [region for region in parse_regions(text, name)[0] if region.include]
    if not regions:
        raise InputError(f"{name} has no circles or points; expected one around each star. Give another file.")
    return regions
