"""Segmentation maps made by other programs, checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..core.errors import InputError
from ..core.strips import Derived, Workspace
from ..core.types import WindowedImage
from .open_images import open_image

MAX_ID = 2_000_000_000
"""Largest ID of a source. IDs are 32-bit integers, and sources added by hand are numbered from the largest one."""


@contextmanager
def open_segmentation(name: str, work: Workspace | None = None) -> Iterator[WindowedImage]:
    """Open a segmentation map of any type of number and check all of its pixels, strip by strip.

    Windows of the result are int32 (ny, nx), 0 = sky.

    Parameters
    ----------
    name : str
        `file.fits` or `file.fits[EXT]`.
    work : Workspace, optional

    Raises
    ------
    InputError
        As in `open_image`; or a pixel is NaN, negative, not a whole number or above `MAX_ID`, or none has a label.
    """
    with open_image(name) as values:
        _check_labels(name, values, work or Workspace())
        yield Derived(values.shape, lambda window: values[window].astype(np.int32))


def _check_labels(name: str, values: WindowedImage, work: Workspace) -> None:
    """Raise an InputError if an image, float64 with NaN where it is blank, has a pixel that is no label, or no label.

    It names the first pixel and the number of those that are wrong in the same way.
    """
    count: dict[str, int] = {}
    first: dict[str, tuple[int, int]] = {}
    labelled = False
    for strip in work.strips(values.shape):
        part = values[strip.slices]
        labelled |= bool(part.any())
        for what, pixels in _no_labels(part).items():
            number = int(np.count_nonzero(pixels))
            if number and what not in first:
                y, x = np.argwhere(pixels)[0].tolist()
                first[what] = (y + strip.core.y0, x)
            count[what] = count.get(what, 0) + number
    for what, number in count.items():
        if number:
            y, x = first[what]
            raise InputError(
                f"{name} has pixels that are {what} ({number} in all), the first at x = {x + 1}, y = {y + 1}; expected "
                f"the ID of a source (1 to {MAX_ID}), or 0 for the sky. Correct these pixels, or give the extension of "
                "the segmentation map."
            )
    if not labelled:
        raise InputError(
            f"{name} has no source: all of its pixels are 0; expected the ID of a source in the pixels of each source. "
            "Give another file or extension."
        )


def _no_labels(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the pixels that are no labels, bool (ny, nx), by what they are instead."""
    with np.errstate(invalid="ignore"):
        return {
            "NaN or blank": ~np.isfinite(values),
            "negative": values < 0,
            "no whole numbers": values != np.rint(values),
            f"above {MAX_ID}": values > MAX_ID,
        }
