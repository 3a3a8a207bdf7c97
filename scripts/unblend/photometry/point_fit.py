"""A point source fitted to the surroundings of a peak of the residual, together with the sources that it blends with.

The first solution gives light of a source without a template to its neighbours. Whether a peak is a source, where it
lies and how significant it is are therefore decided with the fluxes of the neighbours free again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.types import Box, Template, cut
from ..models.point_templates import point_and_gradients, point_at
from ..models.templates import TemplateEngine
from .linear_system import LinearSolution

WINDOW_FWHM, FREE_FWHM, CORE_FWHM = 2.5, 2.5, 1.2
"""Radii in FWHM: of the pixels that are fitted, of the templates whose fluxes are free, of the pixels in which the
shape of the residual is compared with that of a point source."""
ITERATIONS = 6
CONVERGED_PIXELS = 0.01
LARGEST_STEP_FWHM, LARGEST_MOVE_FWHM = 0.25, 0.75
"""Largest step of one iteration, and largest distance from the start."""
RIDGE = 1e-9
"""Added to the unit diagonal: templates that the window does not tell apart share their light."""


@dataclass(frozen=True)
class PointFit:
    """A point source at a peak of the residual.

    Parameters
    ----------
    y, x : float
        Pixels of the band.
    flux, snr : float
        Image units; and the flux over its error for the noise as measured, with the neighbours free.
    peak : float
        Brightest pixel of its model, image units.
    explained : float
        Fraction of the light in the core, squared and summed, that the point source explains, beyond the noise: 1 for a
        point source, 0.6 for one twice as wide as the PSF or half as wide. Light above the background around it counts
        as not explained.
    neighbours : dict of int to float
        Fluxes of the templates that were free, by their index.
    """

    y: float
    x: float
    flux: float
    snr: float
    peak: float
    explained: float
    neighbours: dict[int, float]


class PointFitter:
    """Fits point sources to the residual of one solution.

    Parameters
    ----------
    engine : TemplateEngine
        Of the band.
    templates : sequence of Template
        As in the solution.
    centres : array (n, 2)
        Their centres (y, x) in pixels.
    solution : LinearSolution
    weight : array (ny, nx)
        As fitted.
    fwhm : float
        Of the PSF, pixels.
    scales : (pixel, filter)
        Measured over claimed noise, of a pixel and of a filter of the width of the PSF.
    """

    def __init__(
        self,
        engine: TemplateEngine,
        templates: Sequence[Template],
        centres: np.ndarray,
        solution: LinearSolution,
        weight: np.ndarray,
        fwhm: float,
        scales: tuple[float, float],
    ) -> None:
        self.engine, self.templates, self.centres, self.solution = engine, templates, centres, solution
        self.weight, self.fwhm = np.where(np.isfinite(solution.residual), weight, 0.0), fwhm
        self.pixel_scale, self.filter_scale = scales

    def __call__(self, y: float, x: float, *, own: int | None = None) -> PointFit | None:
        """Return the point source at a peak; None if there is none.

        Parameters
        ----------
        y, x : float
            Start in pixels of the band.
        own : int, optional
            Index of the template that it replaces, if it is in the solution already.
        """
        spectrum = self.engine.spectrum(point_at(self.engine, y, x))
        box = Box.around(y, x, WINDOW_FWHM * self.fwhm) & Box.of_shape(self.weight.shape)
        if spectrum is None or box.is_empty:
            return None
        rows, columns = np.ogrid[box.slices]
        used = (np.hypot(rows - y, columns - x) <= WINDOW_FWHM * self.fwhm) & (self.weight[box.slices] > 0)
        free = self._free(y, x, own)
        if np.count_nonzero(used) < 2 * (len(free) + 4):
            return None
        light = [cut(self.templates[k].data, box, 0.0, outer=self.templates[k].box)[used] for k in free]
        data = np.where(used, self.solution.residual[box.slices], 0.0)[used]
        data = data + sum(self.solution.flux[k] * values for k, values in zip(free, light, strict=True))
        if own is not None:
            template = self.templates[own]
            data = data + self.solution.flux[own] * cut(template.data, box, 0.0, outer=template.box)[used]
        root = np.sqrt(self.weight[box.slices][used])
        fixed = [*light, np.ones(data.size)]
        shift, move = np.zeros(2), np.inf
        for _ in range(ITERATIONS):
            images = point_and_gradients(spectrum, (shift[0], shift[1]), box)[:, used]
            values, covariance = _solved(np.array([*fixed, *images]) * root, data * root)
            flux = float(values[-3])
            if not flux > 0 or move < CONVERGED_PIXELS:
                break
            largest = LARGEST_STEP_FWHM * self.fwhm
            step = np.clip(values[-2:] / flux, -largest, largest)
            shift, move = shift + step, float(np.hypot(*step))
            if np.hypot(*shift) > LARGEST_MOVE_FWHM * self.fwhm:
                return None
        if not flux > 0:
            return None
        left = root * (data - values[:-2] @ np.array([*fixed, images[0]]))
        chi2 = float(np.sum(left**2)) / (self.pixel_scale**2 * max(data.size - len(values), 1))
        error = np.sqrt(covariance[-3, -3]) * self.filter_scale * np.sqrt(max(chi2, 1.0))
        core = np.hypot(rows - y - shift[0], columns - x - shift[1])[used] <= CORE_FWHM * self.fwhm
        # a galaxy wider than the PSF is a point on top of a constant; dark surroundings are those of its neighbours
        unlike = left + root * max(float(values[-4]), 0.0)
        explained = _explained(unlike[core], flux * (root * images[0])[core], self.pixel_scale)
        neighbours = dict(zip(free, map(float, values[: len(free)]), strict=True))
        return PointFit(y + float(shift[0]), x + float(shift[1]), flux, flux / float(error),
                        flux * float(images[0].max()), explained, neighbours)  # fmt: skip

    def _free(self, y: float, x: float, own: int | None) -> list[int]:
        """Return the indices of the templates with a flux whose centres are near a position."""
        distance = np.hypot(self.centres[:, 0] - y, self.centres[:, 1] - x)
        near = (distance <= FREE_FWHM * self.fwhm) & np.isfinite(self.solution.flux)
        return [int(k) for k in np.flatnonzero(near) if k != own]


def _solved(design: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least-squares coefficients of the rows of a design (p, n), and their covariance."""
    norms = np.sqrt(np.sum(design**2, axis=1))
    norms = np.where(norms > 0, norms, 1.0)
    unit = design / norms[:, None]
    inverse = np.linalg.inv(unit @ unit.T + RIDGE * np.eye(len(unit)))
    return inverse @ (unit @ data) / norms, inverse / np.outer(norms, norms)


def _explained(left: np.ndarray, model: np.ndarray, scale: float) -> float:
    """Return the fraction of the squared light that a model explains.

    Parameters
    ----------
    left, model : arrays (n,)
        What the fit leaves, and the point source, in units of the claimed noise.
    scale : float
        Measured over claimed noise. Two standard deviations of the squared noise are subtracted from what is left.
    """
    noise = left.size + 2.0 * np.sqrt(2.0 * left.size)
    excess = max(float(np.sum(left**2)) - scale**2 * noise, 0.0)
    energy = float(np.sum(model**2))
    return float(energy / (energy + excess)) if energy > 0 else 0.0
