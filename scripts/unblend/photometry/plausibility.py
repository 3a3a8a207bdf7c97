"""Fluxes and peaks of a band that no sky would give: the image is negative, or its light is where no source is.

The usual mistakes are a sign, an image of another field, and world coordinates that are mirrored, rotated or far off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma
from ..core.types import Box, Template
from ..core.units import FWHM_PER_SIGMA
from .linear_system import LinearSolution, model_image

SIGNIFICANT = 10.0
"""Errors of a flux from which its sign counts."""
MIN_NEGATIVE, NEGATIVE_SHARE = 3, 0.3
"""Fewest significantly negative fluxes, and their least share of the significant ones, of which a user is told."""
PEAK_SNR = 20.0
"""S/N of a peak of the image, smoothed to the width of the PSF, from which it needs a source."""
EXPLAINED = 0.5
"""Least height of the models at a peak, over that of the peak."""
MIN_PEAKS, MIN_MISSED, MISSED_SHARE = 4, 2, 0.25
"""Fewest peaks that are compared, and fewest of them without a source, also as a share, of which a user is told. Each
of the 212 peaks in eleven bands of the example and of real fields has a source."""


@dataclass(frozen=True)
class Peaks:
    """Bright peaks of a band's image between its sources.

    Parameters
    ----------
    compared, missed : int
        Number of peaks, and of those that the models do not explain.
    """

    compared: int
    missed: int

    @property
    def is_odd(self) -> bool:
        """Whether many bright peaks of the image have no source."""
        return self.compared >= MIN_PEAKS and self.missed >= max(MIN_MISSED, MISSED_SHARE * self.compared)


def negative_warning(solution: LinearSolution, err: np.ndarray, band: str) -> str | None:
    """Return a sentence for the user if many significant fluxes are negative, otherwise None.

    Parameters
    ----------
    solution : LinearSolution
    err : array (n,)
        Errors of its fluxes, image units.
    band : str
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = solution.flux / err
    negative, significant = int(np.sum(snr < -SIGNIFICANT)), int(np.sum(np.abs(snr) > SIGNIFICANT))
    if negative < max(MIN_NEGATIVE, NEGATIVE_SHARE * significant):
        return None
    return (
        f"{band}: {negative} of {significant} fluxes of at least {SIGNIFICANT:g} errors are negative, which no source "
        "is; check the sign of the image and its background (a background that was subtracted twice, or with the "
        "sources in it)."
    )


def find_peaks(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], solution: LinearSolution, fwhm: float
) -> Peaks:
    """Return how many bright peaks of an image there are between its sources, and how many the models do not explain.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        The weight is 0 where ignored, but not where light was masked as unmodelled.
    templates : sequence of Template
        In the order of the solution.
    solution : LinearSolution
    fwhm : float
        Of the band's PSF, pixels.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    area = _occupied(templates, image.shape)
    usable = np.isfinite(image) & (weight > 0)
    if area.is_empty or not usable[area.slices].any():
        return Peaks(0, 0)
    sigma = fwhm / FWHM_PER_SIGMA
    usable, inside = usable[area.slices], area.slices
    # in single precision: of a large image there are several of these at a time
    light = np.where(usable, (image - solution.background_image)[inside], 0.0).astype(np.float32)
    light -= np.median(light[usable])
    smooth = gaussian_filter(light, sigma)
    del light
    noise = robust_sigma(smooth[usable])
    peak = smooth == maximum_filter(smooth, size=2 * int(np.ceil(fwhm)) + 1)
    peak &= usable & (smooth > PEAK_SNR * noise)
    if not peak.any():
        return Peaks(0, 0)
    model = model_image(templates, np.nan_to_num(solution.flux), image.shape)[inside]
    model = gaussian_filter(np.where(usable, model, 0.0).astype(np.float32), sigma)
    return Peaks(int(peak.sum()), int(np.sum(model[peak] < EXPLAINED * smooth[peak])))


def peaks_warning(found: Peaks, band: str) -> str | None:
    """Return a sentence for the user if many bright peaks have no source, otherwise None."""
    if not found.is_odd:
        return None
    return (
        f"{band}: {found.missed} of {found.compared} bright peaks of the image have no source that explains them: "
        "the detection has missed them (draw them in det_manual.reg), or the image is of another field, or its world "
        "coordinates are wrong and so are the fluxes; compare it with det_cat.reg in DS9."
    )


def _occupied(templates: Sequence[Template], shape: tuple[int, ...]) -> Box:
    """Return the smallest box around the peaks of all templates on the image."""
    centres = [
        (t.box.y0 + k // t.data.shape[1], t.box.x0 + k % t.data.shape[1])
        for t in templates
        if not t.box.is_empty and t.data.size
        for k in [int(np.argmax(t.data))]
    ]
    if not centres:
        return Box(0, 0, 0, 0)
    low, high = np.min(centres, axis=0), np.max(centres, axis=0)
    return Box(int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1) & Box.of_shape(shape)
