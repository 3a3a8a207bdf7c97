"""Unmodelled flux: undetected sources, sources beyond the detection image, wings of masked sources, artefacts.

Unmodelled flux stays in the residual, raises the background level and looks like noise with a long correlation. In the
simulated example, where IRAC sees galaxies outside the Hubble images, it raised the background level by 0.3 of the
noise of a pixel, which made faint fluxes too low by 0.4 sigma, and the sum of the correlation is 19 where that of the
noise alone is 4.5. Pixels with unmodelled flux are therefore masked in the fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.statistics import median, noise_rms
from ..core.types import Template
from ..core.units import FWHM_PER_SIGMA
from ..images.masks import grow_mask

DETECTION_SIGMA = 4.0
"""Detection threshold on the smoothed residual, for either sign, in sigma. White noise loses 0.4 % of its pixels. At 3
sigma the errors of the remaining pixels are 8 % too small; clipping one sign alone would lower the background level."""
SMOOTHING_SCALES = (1.0, 2.5)
"""FWHM of the smoothing kernels in units of the PSF's: one for single sources, one for wings and groups of sources."""
GROWTH_FWHM = 2.0
"""Radius in PSF FWHM by which detections grow, because the wings of a bright galaxy continue below the threshold."""
MASK_MARGIN_FWHM = 1.0
"""Width in PSF FWHM of the margin of masked areas: a region drawn around a source seldom contains its wings. Without
it half of the effect on the background levels of the example's IRAC bands remains; a width of 2 changes little more."""
CORE_FRACTION = 0.3
"""Pixels above this fraction of a template's peak are its core: they measure its flux and are never masked here."""
MIN_KERNEL_COVERAGE = 0.1
"""Smallest fraction of the smoothing kernel on usable pixels: below it a smoothed value is not used. In a corner of the
image the fraction is a quarter."""
MAX_MASKED_FRACTION = 0.5
"""Largest fraction of the usable pixels that may be masked: if growing would mask more, the detections do not grow."""


def mask_margins(weight: np.ndarray, templates: Sequence[Template], fwhm: float) -> np.ndarray:
    """Return True in the margins of masked areas, without the cores of the templates.

    Only areas that contain a disc as wide as the PSF have a margin: single bad pixels and cosmic rays hide no source.

    Parameters
    ----------
    weight : array (ny, nx)
        Inverse variance, 0 where masked.
    templates : sequence of Template
    fwhm : float
        FWHM of the band's PSF in pixels.

    Returns
    -------
    array (ny, nx) of bool
    """
    usable, half = weight > 0, 0.5 * fwhm
    inner = ~grow_mask(usable, half)
    if not inner.any():
        return inner
    margins = grow_mask(inner, half + MASK_MARGIN_FWHM * fwhm) & usable
    return _without_cores(margins & (margins.sum() <= MAX_MASKED_FRACTION * usable.sum()), templates)


class UnmodelledFluxSearch:
    """Search for unmodelled flux in the residuals of one image, repeated while the fit converges.

    Parameters
    ----------
    weight : array (ny, nx)
        Inverse variance up to a factor, 0 where masked.
    templates : sequence of Template
        Their cores are never masked, however faint the source.
    fwhm : float
        FWHM of the band's PSF in pixels.
    """

    def __init__(self, weight: np.ndarray, templates: Sequence[Template], fwhm: float):
        self.templates, self.fwhm = templates, fwhm
        self.usable, self.root_weight = weight > 0, np.sqrt(weight)
        sigmas = [scale * fwhm / FWHM_PER_SIGMA for scale in SMOOTHING_SCALES]
        self._smoothings = [(sigma, _smoothed_error(self.usable, sigma)) for sigma in sigmas]

    def find(self, residual: np.ndarray, near: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return True where unmodelled flux is significant, grown, outside the pixels near sources.

        Parameters
        ----------
        residual : array (ny, nx)
            Image minus models and background level, finite where the weight is not 0.
        near : array (ny, nx) of bool
            True near the modelled sources, where residuals are misfits of the models: never masked here.
        known : array (ny, nx) of bool
            True where unmodelled flux was found before: not used to measure the noise.

        Returns
        -------
        array (ny, nx) of bool
        """
        from scipy.ndimage import gaussian_filter

        scaled = np.where(self.usable, residual, 0.0) * self.root_weight
        away = self.usable & ~near
        found = np.zeros(scaled.shape, dtype=bool)
        clean = away & ~known
        if not clean.any():
            return found
        scaled -= np.where(self.usable, median(scaled[clean]), 0.0)
        for sigma, error in self._smoothings:
            significance = gaussian_filter(scaled, sigma, mode="constant") / error
            found |= away & (np.abs(significance) > DETECTION_SIGMA * noise_rms(significance, ~clean))
        if not found.any():
            return found
        grown = grow_mask(found, GROWTH_FWHM * self.fwhm) & away
        too_many = grown.sum() > MAX_MASKED_FRACTION * self.usable.sum()
        return _without_cores(found if too_many else grown, self.templates)


def _smoothed_error(usable: np.ndarray, sigma: float) -> np.ndarray:
    """Return the error of smoothed white noise up to a factor, infinite where too few pixels are usable.

    Its square is the sum of the squared kernel, itself a Gaussian. With it edges and masks do not look significant.
    """
    from scipy.ndimage import gaussian_filter

    squared = gaussian_filter(usable.astype(float), sigma / np.sqrt(2.0), mode="constant")
    error = np.where(squared > MIN_KERNEL_COVERAGE, np.sqrt(np.maximum(squared, MIN_KERNEL_COVERAGE)), np.inf)
    return error.astype(np.float32)  # it is kept


def _without_cores(found: np.ndarray, templates: Sequence[Template]) -> np.ndarray:
    """Set `found` to False, in place, on the cores of the templates, and return it."""
    for template in templates:
        if not template.box.is_empty:
            light = np.abs(template.data)
            found[template.box.slices] &= light <= CORE_FRACTION * light.max()
    return found
