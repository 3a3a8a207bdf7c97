"""Gaussian sources that are offset from their catalogue positions, for the tests of the shift of a band."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from gaussians import gaussian
from unblend.core.types import Template
from unblend.photometry.linear_system import model_image

SHAPE = (60, 70)
PLACES = {1: (30.3, 33.2), 2: (33.0, 38.0), 3: (12.0, 15.0), 4: (45.0, 20.0), 5: (20.0, 55.0)}
FLUX = np.array([500.0, 300.0, 400.0, 350.0, 200.0])


def make_templates(ids: Iterable[int], shift: tuple[float, float]) -> list[Template]:
    """Return Gaussian templates at the catalogue positions plus a shift (dy, dx) in pixels."""
    return [gaussian(k, PLACES[k][0] + shift[0], PLACES[k][1] + shift[1], SHAPE) for k in ids]


def offset_image(dy: float, dx: float, noise: float = 0.0, seed: int = 1) -> np.ndarray:
    """Return an image of the sources, offset by (dy, dx) pixels from the catalogue."""
    clean = model_image(make_templates(PLACES, (dy, dx)), FLUX, SHAPE, 2.0)
    return clean + noise * np.random.default_rng(seed).normal(size=SHAPE)
