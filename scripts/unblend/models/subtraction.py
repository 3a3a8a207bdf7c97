"""The stack minus the models of its sources: what the fits have left over."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..core.nouns import Model, Template
from .templates import TemplateEngine


def subtract_models(
    stack: np.ndarray, segments: np.ndarray, engine: TemplateEngine, models: Iterable[tuple[int, Model, bool]]
) -> np.ndarray:
    """Return the stack less the light of every model, shape (ny, nx); NaN stays NaN.

    Parameters
    ----------
    stack : array (ny, nx)
    segments : int array (ny, nx)
        Segmentation map, 0 for no source.
    engine : TemplateEngine
        Of the stack, with the PSF of the fits.
    models : iterable of (ID, Model, fitted)
        The flux of a fitted model is its total; any other is scaled to its own segment.
    """
    residual = stack.copy()
    for i, model, fitted in models:
        template = engine.template(i, model)
        if not template.box.is_empty:
            flux = model.total if fitted else flux_in_segment(template, stack, segments)
            residual[template.box.slices] -= flux * template.data
    return residual


def flux_in_segment(template: Template, stack: np.ndarray, segments: np.ndarray) -> float:
    """Return the flux that fits a template to the pixels of its own segment; 0 where it has none."""
    window = template.box.slices
    own = (segments[window] == template.id) & np.isfinite(stack[window])
    light, data = template.data[own], stack[window][own]
    return float(light @ data / (light @ light)) if np.any(light) else 0.0
