"""Unresolved pairs among the sources of the automatic detection, as sources hidden in their segments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..core.areas import extents
from ..core.strips import Workspace
from ..core.types import Box, WindowedImage
from ..detection.hidden_sources import ID_STEP, HiddenSource, known_pixels, noise_factor
from ..detection.stack import Stack
from ..fits.close_pairs import find_pair
from ..fits.fit_psf import fit_psf_at, fit_psfs
from ..fits.imfit import Pixels
from ..images.psf import fwhm
from .prepared_psf import psf_of

log = logging.getLogger(__name__)

Spread = Callable[[Callable[[np.ndarray], list[HiddenSource | None]], np.ndarray], Iterable[HiddenSource | None]]
"""Returns the results of a function for all rows of a catalogue, which it may give to several processes."""

MARGIN_PIXELS = 8
"""Width of the sky around a segment that is fitted with it."""
MAX_AREA_FWHM2 = 400.0
"""Largest area of a segment in units of FWHM²: in a larger galaxy there is more than a pair of profiles."""
BRIGHTER_NEIGHBOUR = 2.0
"""A segment that touches that of a source brighter by this factor may be a piece of it, or contain its wings: it is not
divided further."""


def find_close_pairs(
    stack: Stack,
    segments: WindowedImage,
    catalogue: np.ndarray,
    work: Workspace | None = None,
    *,
    psf: Mapping[str, Any],
    min_snr: float,
    min_area: int,
    spread: Spread = lambda function, rows: function(rows),
) -> list[HiddenSource]:
    """Return the fainter galaxy of each unresolved pair, in order of the catalogue.

    Parameters
    ----------
    stack : Stack
    segments : int image (ny, nx)
        0 = sky. Sources hidden in the segments of others have IDs above `ID_STEP` and are not examined.
    catalogue : structured array
        Columns id, y, x, flux, snr of the sources in `segments`, in order of ID from 1.
    work : Workspace, optional
    psf : mapping
        Of the job spec, as for `prepared_psf`.
    min_snr : float
        Sources below twice this signal-to-noise ratio are not examined, and it is the least of a pair.
    min_area : int
        Smallest area of either segment, in pixels.
    spread : callable
        Returns the results of a function for all rows, which it may give to several processes.
    """
    psfs, work = fit_psfs(psf_of(psf)), work or Workspace()
    data, error = known_pixels(stack)
    width = float(np.median([fwhm(one) for one in psfs.psfs]))
    factor = noise_factor(data, error, segments, width, work)
    boxes, whole = extents(segments, work).boxes(), Box.of_shape(segments.shape)
    flux = np.concatenate([[0.0], catalogue["flux"]])

    def pair_in(row: np.ndarray) -> HiddenSource | None:
        """Return the fainter galaxy in the segment of a source."""
        number = int(row["id"])
        if number not in boxes or row["snr"] < 2.0 * min_snr:
            return None
        box = boxes[number].grown(MARGIN_PIXELS) & whole
        around, noise = segments[box.slices], error[box.slices]
        own, usable = around == number, np.isfinite(noise)
        if not min_area * 2 <= np.count_nonzero(own) <= MAX_AREA_FWHM2 * width**2 or not usable[own].all():
            return None
        if _touches_brighter(around, own, flux, number):
            return None
        ignored = ~usable | (~own & (around > 0))
        pixels = Pixels(box, data[box.slices], np.where(ignored, 1.0, noise), ignored)
        at = fit_psf_at(psfs, float(row["y"]), float(row["x"]))
        pair = find_pair(pixels, own, at, min_snr=min_snr, noise_factor=factor)
        if pair is None:
            return None
        peak = (round(pair.y), round(pair.x))
        taken = _connected(pair.nearer & own, peak[0] - box.y0, peak[1] - box.x0)
        if min(np.count_nonzero(taken), np.count_nonzero(own & ~taken)) < min_area:
            return None
        log.info("Source %d is a pair: the fainter one has %.0f %% of the light", number, 100.0 * pair.fraction)
        return HiddenSource(number, *peak, pair.snr, box, taken)

    found = spread(lambda rows: [pair_in(row) for row in rows], catalogue)
    return [source for source in found if source is not None]


def _touches_brighter(segments: np.ndarray, own: np.ndarray, flux: np.ndarray, number: int) -> bool:
    """Return whether a segment touches that of a much brighter source; `flux` is that of each ID, 0 for the sky."""
    from scipy.ndimage import binary_dilation

    around = segments[binary_dilation(own, np.ones((3, 3))) & ~own]
    # a source hidden in a segment has the number of that source in its ID
    touched = np.unique(around % ID_STEP)
    return bool(np.any(flux[touched[touched != number]] > BRIGHTER_NEIGHBOUR * flux[number]))


def _connected(pixels: np.ndarray, y: int, x: int) -> np.ndarray:
    """Return the pixels that are connected with the pixel (y, x)."""
    from scipy.ndimage import label

    labels, _ = label(pixels)
    return np.asarray((labels == labels[y, x]) & pixels)
