"""How many pixels `sep` may hold at once when it looks for sources in an image."""

from __future__ import annotations

import numpy as np

FEWEST = 10_000
"""Smallest number of pixels of the stack."""


def set_pixel_stack(snr: np.ndarray, threshold: float, *, deblends: bool) -> None:
    """Set the pixel stack of `sep`, whose default is too small for crowded fields ("internal pixel buffer full").

    An entry has 32 bytes. Without deblending no more than the pixels above the threshold are needed.

    Parameters
    ----------
    snr : array (ny, nx)
        The image in which sources are looked for.
    threshold : float
        In its units.
    deblends : bool
        Whether blends are taken apart.
    """
    import sep

    entries = snr.size if deblends else min(2 * np.count_nonzero(snr > threshold), snr.size)
    sep.set_extract_pixstack(max(entries, FEWEST))
