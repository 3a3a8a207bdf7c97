"""Subtraction of source models from the detection stack, and the flux of a model that has none of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from ..core.strips import Canvas
from ..core.types import Model, Template
from .templates import TemplateEngine

Stack = TypeVar("Stack", bound=Canvas)


def subtract_models(
    stack: Stack,
    engine: TemplateEngine,
    models: Iterable[tuple[int, Model, bool]],
    flux_of: Callable[[Template], float],
) -> Stack:
    """Subtract all models from the stack, in place, and return it, shape (ny, nx); NaN stays NaN.

    Parameters
    ----------
    stack : image (ny, nx)
        Detection stack: an array, or a canvas on disk.
    engine : TemplateEngine
        Makes templates on the grid of the stack, with the PSF of the fits.
    models : iterable of (ID, Model, fitted)
        A fitted model is subtracted with its total flux, that of its detail included; any other with `flux_of`.
    flux_of : callable
        Returns the flux of the template of a model that has none of its own, see `flux_in_segment`.
    """
    for i, model, fitted in models:
        template = engine.template(i, model)
        if not template.box.is_empty:
            stack[template.box.slices] -= (model.flux if fitted else flux_of(template)) * template.data
    return stack


def flux_in_segment(
    template: Template, image: np.ndarray, error: np.ndarray, segments: np.ndarray, mask: np.ndarray
) -> float:
    """Return the flux of a template, fitted to the pixels of its own segment with inverse-variance weights.

    Parameters
    ----------
    template : Template
        Template of unit flux; its ID is the label of its segment.
    image, error : arrays (ny, nx)
        Flux and noise per pixel in the box of the template. Pixels where either is not finite, or the error is not
        positive, are ignored.
    segments : int array (ny, nx)
        Segmentation map there, 0 = sky.
    mask : bool array (ny, nx)
        True = ignored.

    Returns
    -------
    float
        0 where the template has no usable pixel in its segment.
    """
    usable = (segments == template.id) & ~mask
    usable &= np.isfinite(image) & np.isfinite(error) & (error > 0)
    weight = np.where(usable, np.where(usable, error, 1.0) ** -2.0, 0.0)
    norm = np.sum(weight * template.data**2)
    return float(np.sum(weight * template.data * np.where(usable, image, 0.0)) / norm) if norm > 0 else 0.0
