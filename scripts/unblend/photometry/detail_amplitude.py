"""The amplitude of the detail of a galaxy in each band: knots may be bluer than the disc, a bulge redder.

A template of unit flux is t = s + d, smooth model plus detail, with the share Σd of the detail. With the contrast
c = d − Σd · t, which has no flux of its own, t + (β − 1) c is the template with the detail β times as strong, still of
unit flux. β − 1 is fitted together with the flux, with a Gaussian prior around 0 as wide as the colours in galaxies.

Where the components of a model are free (`COMPONENTS free` in an override), s is the first component and d the others;
the prior is as wide as all shares from 0 to 1, which are the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.types import Box, Template
from .linear_system import LinearSolution, solve_fluxes
from .weight_rescaling import near_sources_rescaled

PRIOR_SIGMA = 0.5
"""Standard deviation of the amplitude around 1 before a band is looked at."""
AMPLITUDE_RANGE = (-0.5, 3.0)
"""Limits of the amplitude. It is negative where the detail is bright in the stack and dark in the band."""
FREE_SHARE_SIGMA = 0.5
"""Standard deviation of the share of the first component in the flux of a source whose components are free."""
ROUNDS = 2
"""Number of solutions; in the second the amplitudes of neighbours are known."""
FREE_ROUNDS = 20
"""Maximum number of solutions where components are free, whose share may be far from that in the stack."""
CONVERGED = 0.05
"""Largest change of an amplitude in units of its error with which these end."""


@dataclass(frozen=True)
class DetailAmplitudes:
    """The templates of a band with their adopted details, and the amplitudes, in the order of the templates.

    Parameters
    ----------
    templates : list of Template
        Those with a detail have it at its amplitude.
    value, error : arrays (n,)
        Amplitude of the detail in units of that in the stack; 1 and 0 for templates without detail.
    """

    templates: list[Template]
    value: np.ndarray
    error: np.ndarray

    @classmethod
    def as_in_stack(cls, templates: Sequence[Template]) -> DetailAmplitudes:
        """Return templates with their details as in the detection image, exactly."""
        return cls(list(templates), np.ones(len(templates)), np.zeros(len(templates)))

    def first_component(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of the first component in the flux of each source and its error, NaN where none is free."""
        others = np.array([t.detail_share if t.detail_free else np.nan for t in self.templates], dtype=float)
        share = (1.0 - others) * (1.0 - (self.value - 1.0) * others)
        return np.clip(share, 0.0, 1.0), (1.0 - others) * others * self.error

    def followed_by(self, templates: Sequence[Template]) -> DetailAmplitudes:
        """Return these, followed by further templates, which have no detail."""
        more = np.ones(len(templates))
        return DetailAmplitudes(
            [*self.templates, *templates], np.append(self.value, more), np.append(self.error, 0.0 * more)
        )


def with_amplitude(template: Template, amplitude: float) -> Template:
    """Return a template with its detail `amplitude` times as strong, at the same flux."""
    if template.detail is None or amplitude == 1.0:
        return template
    return replace(template, data=template.data + (amplitude - 1.0) * _contrast(template))


def _prior(template: Template) -> tuple[float, float, float]:
    """Return the standard deviation of the amplitude before a band is looked at, and its limits."""
    if not template.detail_free:
        return PRIOR_SIGMA, *AMPLITUDE_RANGE
    others = template.detail_share
    return FREE_SHARE_SIGMA / (others * (1.0 - others)), 1.0 - 1.0 / (1.0 - others), 1.0 + 1.0 / others


def _contrast(template: Template) -> np.ndarray:
    """Return the change of the template per unit of amplitude."""
    detail = np.zeros_like(template.data) if template.detail is None else template.detail
    return np.asarray(detail - template.detail_share * template.data)


def fit_amplitudes(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], *, order: int = 0
) -> DetailAmplitudes:
    """Fit the amplitude of every detail together with the flux of its source, the other sources as last fitted.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        Weight is the inverse variance, 0 where masked.
    templates : sequence of Template
        With every detail as in the stack.
    order : int
        Order of the polynomial for the background.
    """
    value, error = np.ones(len(templates)), np.zeros(len(templates))
    adopted = list(templates)
    with_detail = [k for k, template in enumerate(templates) if template.detail is not None]
    any_free = any(templates[k].detail_free for k in with_detail)
    for _ in range((FREE_ROUNDS if any_free else ROUNDS) if with_detail else 0):
        solution = solve_fluxes(image, weight, adopted, order=order)
        # the prior needs weights that agree with the scatter
        _, scale = near_sources_rescaled(solution, adopted, weight)
        rescaled, before = weight / scale**2, value.copy()
        for k in with_detail:
            value[k], error[k] = _amplitude(templates[k], adopted[k], float(solution.flux[k]), solution, rescaled)
        adopted = [with_amplitude(template, float(value[k])) for k, template in enumerate(templates)]
        if any_free and np.all(np.abs(value - before) <= CONVERGED * error):
            break
    return DetailAmplitudes(adopted, value, error)


def _amplitude(
    template: Template, adopted: Template, flux: float, solution: LinearSolution, weight: np.ndarray
) -> tuple[float, float]:
    """Return the amplitude of one detail and its error; 1 and the prior's where the band does not show the source.

    Parameters
    ----------
    template : Template
        With its detail as in the stack.
    adopted : Template
        As in the solution.
    flux : float
        Of the source in the solution.
    solution : LinearSolution
    weight : array (ny, nx)
        That of the solution, rescaled to the scatter.
    """
    sigma, lowest, highest = _prior(template)
    window = template.box.slices
    residual, w = solution.residual[window], weight[window]
    used = np.isfinite(residual) & (w > 0)
    if not (flux > 0 and used.any()):
        return 1.0, sigma
    light, contrast = template.data[used], _contrast(template)[used]
    data = residual[used] + flux * adopted.data[used]
    weighted, matrix = _equations(light, contrast, w[used], sigma * flux)
    covariance = np.linalg.pinv(matrix)
    fitted, excess = covariance @ weighted @ data
    if not fitted > 0:
        return 1.0, sigma
    return float(np.clip(1.0 + excess / fitted, lowest, highest)), float(np.sqrt(covariance[1, 1])) / fitted


def _equations(
    light: np.ndarray, contrast: np.ndarray, weight: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the equations of the flux of a source and the excess of its detail.

    Parameters
    ----------
    light, contrast, weight : arrays (n,) or (ny, nx)
        Template, its change per unit of amplitude, and the inverse variance.
    sigma : float
        Standard deviation of the excess before the pixels are looked at, image units.

    Returns
    -------
    weighted : array (2, n)
        Its product with the pixels is the right-hand side.
    matrix : array (2, 2)
    """
    design = np.stack([light.ravel(), contrast.ravel()])
    weighted = design * weight.ravel()
    matrix = weighted @ design.T
    matrix[1, 1] += sigma**-2
    return weighted, matrix


def less_share(images: np.ndarray, box: Box, template: Template, flux: float, weight: np.ndarray) -> np.ndarray:
    """Return changes of a source's light without what a change of the share of its components makes good.

    Where the share is free, it is fitted again with every shape, and follows an error of the shape.

    Parameters
    ----------
    images : array (d, ny, nx)
        Changes of the light, image units.
    box : Box
        Their part of the image of the band.
    template : Template
    flux : float
        Of the source, image units.
    weight : array (ny, nx)
        As fitted.
    """
    part = box & template.box
    if not template.detail_free or part.is_empty or not flux > 0:
        return images
    light, contrast = (image[part.within(template.box)] for image in (template.data, _contrast(template)))
    changes = images[(slice(None), *part.within(box))]
    weighted, matrix = _equations(light, contrast, weight[part.slices], _prior(template)[0] * flux)
    excess = (np.linalg.pinv(matrix) @ weighted @ changes.reshape(len(changes), -1).T)[1]
    less = images.copy()
    less[(slice(None), *part.within(box))] -= excess[:, None, None] * contrast
    return less


def amplitude_errors(found: DetailAmplitudes, flux: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the flux errors from the uncertain amplitudes, shape (n,), image units; 0 without a detail.

    With the weights w and the contrast c, an amplitude that is wrong by δ changes the flux by δ f Σ w t c / Σ w t².

    Parameters
    ----------
    found : DetailAmplitudes
    flux : array (n,)
        Of the templates, image units.
    weight : array (ny, nx)
        As fitted.
    """
    errors = np.zeros(len(flux))
    for k, template in enumerate(found.templates):
        if template.detail is None or not found.error[k] > 0:
            continue
        w, light = weight[template.box.slices], template.data
        norm = float(np.sum(w * light**2))
        if norm > 0:
            response = float(np.sum(w * light * _contrast(template))) / norm
            errors[k] = abs(float(flux[k]) * response) * found.error[k]
    return errors
