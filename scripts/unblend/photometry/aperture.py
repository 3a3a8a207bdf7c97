"""Aperture photometry beside the fluxes of the models: what a circle holds once the neighbours are subtracted.

In the image without the neighbours, residual + own model, the light in a circle is summed and divided by the fraction
of the template's light in it, the aperture correction. The two fluxes agree where the template has the shape of the
source. In a blend the neighbours are those of the fit, so that both have their errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.types import Box, Template
from .correlated_noise import NoiseConvolution, root_weight
from .linear_system import LinearSolution
from .stamps import single_thread

DIAMETER_FWHM = 2.0
"""Diameter of the circle in FWHM of the PSF: it holds two thirds to nine tenths of the light of a point source."""
MIN_FRACTION = 0.05
"""Smallest fraction of the light in the usable part of the circle for a flux."""


@dataclass(frozen=True)
class ApertureFluxes:
    """The aperture fluxes of a band in the order of the solution; NaN where nothing was measured.

    Parameters
    ----------
    flux : array (n,)
        Total flux, image units: light in the circle over `fraction`.
    err : array (n,)
        Its error from the noise in the circle, with correlated noise; neighbours and background level count as known.
    fraction : array (n,)
        Fraction of the template's light in the circle, on usable pixels.
    """

    flux: np.ndarray
    err: np.ndarray
    fraction: np.ndarray


def aperture_fluxes(
    solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray, correlation: np.ndarray, radius: float
) -> ApertureFluxes:
    """Measure every source in a circle around the centroid of its template.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        Inverse variance as fitted, 0 where ignored.
    correlation : array (2L + 1, 2L + 1)
        Autocorrelation of the noise.
    radius : float
        Pixels.
    """
    flux, err, fraction = np.full((3, len(templates)), np.nan)
    root, lag = root_weight(weight, solution.residual), len(correlation) // 2
    convolve = NoiseConvolution(correlation)
    with single_thread():
        for k in solution.active:
            y, x = templates[k].centroid
            box = Box.around(y, x, radius + 1.0) & Box.of_shape(root.shape)
            if box.is_empty:
                continue
            used, light = root[box.slices] > 0, _on(box, templates[k])
            circle = np.where(used, circle_weights(box, y, x, radius), 0.0)
            held = float(np.sum(circle * light))
            if not held > MIN_FRACTION:
                continue
            left = float(np.sum(circle * np.where(used, solution.residual[box.slices], 0.0)))
            noise = circle / np.where(used, root[box.slices], 1.0)
            around = convolve(noise)[lag : lag + noise.shape[0], lag : lag + noise.shape[1]]
            flux[k], fraction[k] = solution.flux[k] + left / held, held
            err[k] = np.sqrt(max(float(np.sum(noise * around)), 0.0)) / held
    return ApertureFluxes(flux, err, fraction)


def circle_weights(box: Box, y: float, x: float, radius: float) -> np.ndarray:
    """Return the fraction of each pixel of a box that lies in a circle around (y, x), exactly; all in pixels.

    Parameters
    ----------
    box : Box
    y, x : float
        Centre of the circle.
    radius : float
    """
    import sep

    rows, columns = np.mgrid[box.slices]
    # a single bright pixel: the sum in a circle at some distance is the part of a pixel at that distance
    half = int(np.ceil(radius)) + 2
    pixel = np.zeros((2 * half + 1, 2 * half + 1))
    pixel[half, half] = 1.0
    inside, _, _ = sep.sum_circle(pixel, half + x - columns.ravel(), half + y - rows.ravel(), radius, subpix=0)
    return np.asarray(inside).reshape(box.shape)


def _on(box: Box, template: Template) -> np.ndarray:
    """Return the template on the pixels of a box, 0 outside its own."""
    light = np.zeros(box.shape)
    common = box & template.box
    if not common.is_empty:
        light[common.within(box)] = template.data[common.within(template.box)]
    return light
