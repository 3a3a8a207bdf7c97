"""Offsets of a band that are too large for a linear fit: the templates are compared with the image at every offset.

A band whose world coordinates are wrong by a few pixels has its light beside its models. Their fluxes are then too low,
the light beside them is masked as unmodelled, and the linear offsets of `offsets` are far from the truth or missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.correlation import sums_of_products
from ..core.types import Box, Template, cut

MAX_SOURCES = 50
"""How many templates are compared with the image: those of the first IDs, the brightest of the detection."""
MIN_SOURCES = 3
"""Fewest sources that must agree on an offset."""
MIN_SNR = 10.0
"""Least S/N of a source at the offset where it fits best."""
MIN_COVERAGE = 0.9
"""Least fraction of a template on the image, and of its light on usable pixels at every offset that is compared."""
CORE = 0.05
"""Pixels of a template below this fraction of its peak are left out: they add little to its S/N."""
AGREES = 0.8
"""Least S/N² of a source at the common offset over that where it fits best, for the source to agree on the offset."""
MIN_GAIN = 1.1
"""Least ratio of the sum of these shares at the common offset to that at none."""


@dataclass(frozen=True)
class LargeOffset:
    """The offset at which the templates fit the image best.

    Parameters
    ----------
    offset : (dy, dx)
        Pixels, to be added to the positions of the models: the maximum on whole pixels, refined by a parabola.
    gain : float
        Sum over the sources of their S/N² at this offset, each over its largest, divided by the sum at no offset.
    agreeing, compared : int
        Number of sources that agree on the offset, and of all that were compared.
    """

    offset: tuple[float, float]
    gain: float
    agreeing: int
    compared: int

    def is_large(self, fwhm: float) -> bool:
        """Return whether the sources seem to be offset by a third of the FWHM of the PSF (pixels) or more.

        In a crowded band many sources fit best on a brighter neighbour, so that only some have to agree: compare how
        much light the models explain with this offset and without it.
        """
        enough = self.agreeing >= MIN_SOURCES and self.gain >= MIN_GAIN
        return bool(enough and np.hypot(*self.offset) >= max(fwhm / 3.0, 0.5))


def common_offset(shares: Sequence[np.ndarray]) -> LargeOffset | None:
    """Return the common offset of the sources from their templates; None if fewer than `MIN_SOURCES` can be compared.

    For every source the S/N of its flux is measured with its template moved by whole pixels, as if it were alone. Each
    source counts by the square of it over the largest that it has at any offset, so that no bright star decides.

    Parameters
    ----------
    shares : sequence of arrays (2 reach + 1, 2 reach + 1)
        As from `offset_shares`. Those that are not known at every offset are not compared.
    """
    shares = [share for share in shares if np.isfinite(share).all()]
    if len(shares) < MIN_SOURCES:
        return None
    reach_pixels = shares[0].shape[0] // 2
    total = np.sum(shares, axis=0)
    row, column = (int(k) for k in np.unravel_index(int(np.argmax(total)), total.shape))
    agreeing = sum(share[row, column] >= AGREES for share in shares)
    at_none = float(total[reach_pixels, reach_pixels])
    gain = float(total[row, column]) / at_none if at_none > 0 else np.inf
    offset = _peak(total[:, column], row) - reach_pixels, _peak(total[row], column) - reach_pixels
    return LargeOffset(offset, gain, int(agreeing), len(shares))


def offset_shares(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], reach_pixels: int
) -> dict[int, np.ndarray]:
    """Return the S/N² of the sources over its largest, by ID, as images of the offsets of ±`reach_pixels` (dy, dx).

    It is NaN where the border or masked pixels cut the source at an offset. Sources that are too faint are missing.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        The image less its background; the weight is the inverse variance, 0 where ignored, but not where light was
        masked as unmodelled: that may be the light of the sources.
    templates : sequence of Template
        In the order of their IDs.
    reach_pixels : int
        Largest offset along each axis.
    """
    usable = np.isfinite(image) & (weight > 0)
    weight = np.where(usable, weight, 0.0)
    weighted = np.where(usable, image, 0.0)
    weighted *= weight
    shares = {}
    for template in templates[:MAX_SOURCES]:
        share = _share(weighted, weight, template, reach_pixels)
        if share is not None:
            shares[template.id] = share
    return shares


def _share(weighted: np.ndarray, weight: np.ndarray, template: Template, reach: int) -> np.ndarray | None:
    """Return the S/N² of a source over its largest at offsets of ±`reach`, negative fluxes counting as 0.

    It is NaN at offsets where the border or masked pixels cut the source; None if it is too faint, or cut at every one.
    """
    if template.box.is_empty or template.coverage < MIN_COVERAGE or not template.data.max() > 0:
        return None
    box, core = _core(template)
    window = Box(box.y0 - reach, box.x0 - reach, box.y1 + reach, box.x1 + reach)
    weights = cut(weight, window, 0.0)
    seen = sums_of_products((weights > 0).astype(float), core)
    covered = seen >= MIN_COVERAGE * core.sum()
    if not covered.any():
        return None
    signal = sums_of_products(cut(weighted, window, 0.0), core)
    variance = np.where(covered, sums_of_products(weights, core**2), np.nan)
    snr2 = np.maximum(signal, 0.0) ** 2 / variance
    largest = float(np.nanmax(snr2))
    return snr2 / largest if largest >= MIN_SNR**2 else None


def _core(template: Template) -> tuple[Box, np.ndarray]:
    """Return the bright part of a template and its box."""
    bright = template.data > CORE * template.data.max()
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    y0, x0 = template.box.y0 + int(rows[0]), template.box.x0 + int(columns[0])
    box = Box(y0, x0, y0 + int(np.ptp(rows)) + 1, x0 + int(np.ptp(columns)) + 1)
    return box, np.asarray(template.data[box.within(template.box)], dtype=float)


def _peak(values: np.ndarray, at: int) -> float:
    """Return the position of a maximum refined by a parabola; that of the pixel where it lies at an end."""
    if at in (0, len(values) - 1):
        return float(at)
    before, top, after = (float(value) for value in values[at - 1 : at + 2])
    curvature = before - 2.0 * top + after
    return at + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)
