"""Segmentation maps made by other programs, checked."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from .images import read_array

MAX_ID = 2_000_000_000
"""Largest ID of a source. IDs are 32-bit integers, and sources added by hand are numbered from the largest one."""


def read_segmentation(name: str) -> np.ndarray:
    """Return a segmentation map of any type of number as int32, shape (ny, nx), 0 = sky.

    Parameters
    ----------
    name : str
        `file.fits` or `file.fits[EXT]`.

    Raises
    ------
    InputError
        As in `read_array`; or a pixel is NaN, negative, not a whole number or above `MAX_ID`, or none has a label.
    """
    values = read_array(name)
    with np.errstate(invalid="ignore"):
        wrong = {
            "NaN or blank": ~np.isfinite(values),
            "negative": values < 0,
            "no whole numbers": values != np.rint(values),
            f"above {MAX_ID}": values > MAX_ID,
        }
    for what, pixels in wrong.items():
        if pixels.any():
            y, x = np.argwhere(pixels)[0]
            raise InputError(
                f"{name} has pixels that are {what} ({np.count_nonzero(pixels)} in all), the first at x = {x + 1}, "
                f"y = {y + 1}; expected the ID of a source (1 to {MAX_ID}), or 0 for the sky. Correct these pixels, or "
                "give the extension of the segmentation map."
            )
    if not values.any():
        raise InputError(
            f"{name} has no source: all of its pixels are 0; expected the ID of a source in the pixels of each source. "
            "Give another file or extension."
        )
    return values.astype(np.int32)
