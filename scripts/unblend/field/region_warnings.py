"""Region files that have no effect: those of another field, or in the pixels of another image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.counts import count
from ..core.strips import BitMask
from ..core.types import Region


def warning_off_image(
    path: str, regions: Sequence[Region], inside: np.ndarray | BitMask | None, image: str
) -> str | None:
    """Return a sentence for the user if no region of a file covers a pixel of the image, otherwise None.

    Parameters
    ----------
    path : str
        The region file.
    regions : sequence of Region
        What it has; there is no warning about an empty file.
    inside : bool array (ny, nx), mask or None
        True on the pixels of the image that a region covers.
    image : str
        The file of the image.
    """
    if not regions or (inside is not None and inside.any()):
        return None
    return (
        f"{path}: none of its {count(len(regions), 'region')} covers a pixel of {image}, so that nothing is masked by "
        "it; check that it belongs to this field, and whether its positions are pixels of another image."
    )
