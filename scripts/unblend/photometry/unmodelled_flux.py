"""Light that no model explains: sources that detection missed or that lie beyond it, wings of masked ones, artefacts.

It sits in the residual, raises the constant and passes for noise of long correlation. On the simulated example, where
IRAC sees galaxies beyond the Hubble images, it raised the constant by 0.3 of a pixel's noise, which made faint fluxes
0.4 sigma too low, and the correlation's sum is 19 where the noise's own is 4.5. Such pixels are left out of the fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.nouns import Template
from ..core.statistics import noise_rms
from ..core.units import FWHM_PER_SIGMA
from ..images.masks import grow_mask

SIGMA = 4.0
"""Of the smoothed residual, either sign: white noise loses 0.4 % of its pixels. At 3, what is left has errors 8 % too
small; cutting one side alone pulls the constant down."""
SCALES = (1.0, 2.5)
"""FWHM of the smoothing over that of the PSF: for sources, and for wings and groups of them."""
REACH = 2.0
"""PSF FWHM by which a find grows: the wings of a bright galaxy go on below the threshold."""
MASKED_REACH = 1.0
"""PSF FWHM around a masked area: a circle drawn round a source seldom holds its wings. None at all halves the effect of
the rest on the example's IRAC constants, 2 change little more."""
CORE = 0.3
"""Of a template's peak: pixels that its own flux needs, kept whatever they hold."""
LEAST_COVER = 0.1
"""Of the smoothing kernel on usable pixels: below it a sum says little. A corner has a quarter."""
AT_MOST = 0.5
"""Fraction of the usable pixels that may go: where growing would take more, nothing grows."""


def beside_masks(weight: np.ndarray, templates: Sequence[Template], fwhm: float) -> np.ndarray:
    """Return True, shape (ny, nx), within `MASKED_REACH` of areas where `weight` is 0; templates keep their cores.

    An area counts where it holds a disc as wide as the PSF: single bad pixels and cosmic rays hide no source.
    """
    usable, half = weight > 0, 0.5 * fwhm
    inner = ~grow_mask(usable, half)
    if not inner.any():
        return inner
    found = grow_mask(inner, half + MASKED_REACH * fwhm) & usable
    return _but_cores(found & (found.sum() <= AT_MOST * usable.sum()), templates)


class LightSearch:
    """Looks for light that no model explains in the residuals of one image, as the fit comes to rest.

    Parameters
    ----------
    weight : array (ny, nx)
        Inverse variance up to a factor, 0 where ignored.
    templates : sequence of Template
        Their cores are kept, however faint the source.
    fwhm : float
        Of the band's PSF, pixels.
    """

    def __init__(self, weight: np.ndarray, templates: Sequence[Template], fwhm: float):
        self.templates, self.fwhm = templates, fwhm
        self.usable, self.root_weight = weight > 0, np.sqrt(weight)
        sigmas = [scale * fwhm / FWHM_PER_SIGMA for scale in SCALES]
        self._smoothings = [(sigma, _error(self.usable, sigma)) for sigma in sigmas]

    def find(self, residual: np.ndarray, near: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return True where such light is significant, grown, away from the models.

        Parameters
        ----------
        residual : array (ny, nx)
            Image minus models and constant, finite where the weight is not 0.
        near : array (ny, nx) of bool
            True where models shine: their misfit is theirs, those pixels are kept.
        known : array (ny, nx) of bool
            True where such light was found before: those pixels say nothing of the noise.

        Returns
        -------
        array (ny, nx) of bool
        """
        from scipy.ndimage import gaussian_filter

        scaled = np.where(self.usable, residual, 0.0) * self.root_weight
        away = self.usable & ~near
        found = np.zeros(scaled.shape, dtype=bool)
        quiet = away & ~known
        if not quiet.any():
            return found
        scaled -= np.where(self.usable, np.median(scaled[quiet]), 0.0)
        for sigma, error in self._smoothings:
            significance = gaussian_filter(scaled, sigma, mode="constant") / error
            found |= away & (np.abs(significance) > SIGMA * noise_rms(significance, ~quiet))
        if not found.any():
            return found
        grown = grow_mask(found, REACH * self.fwhm) & away
        return _but_cores(grown if grown.sum() <= AT_MOST * self.usable.sum() else found, self.templates)


def _error(usable: np.ndarray, sigma: float) -> np.ndarray:
    """Return the error of the Gaussian-weighted sum of usable white noise, up to a factor; infinite on too few pixels.

    Its square is the sum of the squared kernel, itself a Gaussian: edges and masks do not look significant.
    """
    from scipy.ndimage import gaussian_filter

    squared = gaussian_filter(usable.astype(float), sigma / np.sqrt(2.0), mode="constant")
    return np.where(squared > LEAST_COVER, np.sqrt(np.maximum(squared, LEAST_COVER)), np.inf)


def _but_cores(found: np.ndarray, templates: Sequence[Template]) -> np.ndarray:
    """Take the cores of templates out of `found`, in place."""
    for template in templates:
        if not template.box.is_empty:
            light = np.abs(template.data)
            found[template.box.slices] &= light <= CORE * light.max()
    return found
