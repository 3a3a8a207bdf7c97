"""The PSF of a band in other orientations on its bright sources, to find one that is rotated or mirrored.

A PSF that was made in the frame of the detector, for another roll angle or with another order of the rows fits the
sources better after a rotation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.types import Box, Model, Psf, Template, cut
from ..models.templates import TemplateEngine
from .linear_system import LinearSolution, model_image

STEP_DEG = 30
"""Step of the angles that are tried."""
MAX_SOURCES, MIN_SOURCES = 6, 3
"""How many of the brightest sources are compared, and fewest of them that must agree."""
MIN_COVERAGE = 0.9
"""Least fraction of a template inside the image."""
LIGHT = 0.9
"""Share of the light of a source in the circle in which it is compared."""
MAX_OTHER_LIGHT = 0.2
"""Largest light of other sources there, over its own."""
MIN_EXCESS = 0.35
"""Least chi2 for each degree of freedom of a source, less 1, for other orientations to be tried."""
EXPLAINED = 0.5
"""Least share of the excess of chi2 that another orientation explains."""


@dataclass(frozen=True)
class Orientation:
    """A PSF mirrored along X, if at all, and then rotated by an angle from X to Y."""

    angle_deg: int
    mirrored: bool

    def __str__(self) -> str:
        """Return it in words, as "rotated by 90 degrees (from X to Y)"."""
        rotated = f"rotated by {self.angle_deg} degrees (from X to Y)"
        if not self.mirrored:
            return rotated
        return "mirrored along X" if self.angle_deg == 0 else f"mirrored along X and {rotated}"


@dataclass(frozen=True)
class OrientationComparison:
    """The orientation in which the PSF fits bright sources best; None where it is the given one.

    Parameters
    ----------
    best : Orientation or None
    agreeing, compared : int
        Number of sources of which it explains most of the misfit, and of those that were compared.
    """

    best: Orientation | None
    agreeing: int = 0
    compared: int = 0


ORIENTATIONS = tuple(
    Orientation(angle, mirrored) for mirrored in (False, True) for angle in range(0, 360, STEP_DEG) if angle or mirrored
)


def compare_orientations(
    weight: np.ndarray, templates: Sequence[Template], solution: LinearSolution, engine: TemplateEngine,
    models: Mapping[int, Model],
) -> OrientationComparison:  # fmt: skip
    """Return the orientation in which the PSF of a band fits its bright sources best.

    Of each source the flux, a small offset and a level are fitted, so that a wrong position is not taken for a PSF that
    is rotated. Other orientations are tried only if several sources have a misfit.

    Parameters
    ----------
    weight : array (ny, nx)
        Inverse variance, 0 where a pixel is masked: not where light was found to be unmodelled.
    templates : sequence of Template
        In the order of the solution.
    solution : LinearSolution
        Its residual is used wherever there is a weight.
    engine : TemplateEngine
        With the PSF of the band.
    models : mapping of ID to Model
    """
    sources = [
        (light, models[i], excess)
        for i, light, given in _bright_sources(weight, templates, solution)
        if (excess := light.excess(given)) > MIN_EXCESS
    ]
    if len(sources) < MIN_SOURCES:
        return OrientationComparison(None)
    explained = np.empty((len(ORIENTATIONS), len(sources)))
    psfs = [engine.psf.at(*engine.position(model)) for _, model, _ in sources]
    for row, orientation in enumerate(ORIENTATIONS):
        engines = {id(psf): engine.with_psf(rotated(psf, orientation)) for psf in {id(p): p for p in psfs}.values()}
        for column, (light, model, excess) in enumerate(sources):
            template = engines[id(psfs[column])].template(0, model)
            explained[row, column] = 1.0 - light.excess(template) / excess
    row = int(np.argmax(np.median(explained, axis=1)))
    agreeing = int((explained[row] > EXPLAINED).sum())
    best = ORIENTATIONS[row] if agreeing >= max(MIN_SOURCES, len(sources) / 2) else None
    return OrientationComparison(best, agreeing, len(sources))


def orientation_warning(found: OrientationComparison, band: str) -> str | None:
    """Return a sentence for the user if the PSF fits better in another orientation, otherwise None."""
    if found.best is None:
        return None
    return (
        f"{band}: the PSF fits {found.agreeing} of {found.compared} bright sources much better when it is "
        f"{found.best}: it seems to be on the axes of another image, and the fluxes are wrong; give "
        f"bands.{band}.psf on the axes of the image."
    )


def rotated(psf: Psf, orientation: Orientation) -> Psf:
    """Return a PSF in another orientation about its centre."""
    from scipy.ndimage import affine_transform

    c, s = (round(float(f(np.radians(orientation.angle_deg))), 12) for f in (np.cos, np.sin))
    # the pixel (y, x) of the result has the light of the file's pixel at this matrix times (y, x)
    back = np.array([[c, -s], [s, c]])
    if orientation.mirrored:
        back = np.diag([1.0, -1.0]) @ back
    pads = [(max(psf.data.shape) - side) // 2 for side in psf.data.shape]
    centre = np.add(psf.centre, pads)
    data = affine_transform(np.pad(psf.data, [(pad, pad) for pad in pads]), back, centre - back @ centre)
    return replace(psf, data=data * (psf.data.sum() / data.sum()), centre=(float(centre[0]), float(centre[1])))


def _bright_sources(
    weight: np.ndarray, templates: Sequence[Template], solution: LinearSolution
) -> list[tuple[int, _Light, Template]]:
    """Return the IDs of the brightest isolated sources, their light without that of the others, and their templates."""
    every = model_image(templates, np.nan_to_num(solution.flux), weight.shape)
    found: list[tuple[int, _Light, Template]] = []
    for k in np.argsort(-np.nan_to_num(solution.flux / solution.err), kind="stable"):
        template, flux = templates[k], float(solution.flux[k])
        if template.box.is_empty or template.coverage < MIN_COVERAGE or not (flux > 0 and template.data.max() > 0):
            continue
        window = template.box.slices
        own, inside = flux * template.data, _circle(template.data)
        if np.abs(every[window] - own)[inside].sum() > MAX_OTHER_LIGHT * own[inside].sum():
            continue
        data = solution.residual[window] + own
        used = np.where(inside & np.isfinite(data), weight[window], 0.0)
        if np.count_nonzero(used) >= MIN_COVERAGE * np.count_nonzero(inside):
            found.append((int(solution.ids[k]), _Light(template.box, np.nan_to_num(data), used), template))
        if len(found) == MAX_SOURCES:
            break
    return found


def _circle(data: np.ndarray) -> np.ndarray:
    """Return the pixels of the circle about the peak of a template that holds `LIGHT` of it."""
    y, x = np.unravel_index(int(np.argmax(data)), data.shape)
    rows, columns = np.indices(data.shape)
    radius = np.hypot(rows - y, columns - x)
    order = np.argsort(radius, axis=None)
    growth = np.cumsum(data.ravel()[order])
    return np.asarray(radius <= radius.ravel()[order][np.searchsorted(growth, LIGHT * growth[-1])])


@dataclass(frozen=True)
class _Light:
    """The light of one source in a box without that of the others; the weight is 0 where it is not compared."""

    box: Box
    data: np.ndarray
    weight: np.ndarray

    def excess(self, template: Template) -> float:
        """Return chi2 for each degree of freedom, less 1, with the flux, the offset and a level of a template free."""
        t = cut(template.data, self.box, 0.0, outer=template.box)
        dy, dx = np.gradient(t)
        used = self.weight > 0
        root = np.sqrt(self.weight[used])
        terms = np.stack([part[used] * root for part in (t, dy, dx, np.ones_like(t))], axis=1)
        values = self.data[used] * root
        left = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
        return float(left @ left) / max(len(left) - 4, 1) - 1.0
