"""Draws of the fluxes of a band from their errors: what is common to sources and to bands is common to the draws.

A draw is one outcome of all errors. Its noise is an image of correlated noise, fitted with the templates of the band.
Its shapes are drawn from the covariance of each fit in the detection image: they are the same in every band, so that a
galaxy whose model is too large is too bright in all of them. All random numbers follow from the ID of a source and the
name of a band.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.types import Template
from .correlated_noise import periodic_noise, root_weight
from .linear_system import LinearSolution
from .shape_errors import ShapeResponses
from .stamps import single_thread

DRAWS = 100
"""Number of draws: their scatter is that of the errors within 7 %."""
SEED = 20260117
NOISE_PIXELS = 4_000_000
"""Pixels of simulated noise. A large image has fewer fields of noise than draws; each then serves several draws, moved
by random offsets, which for a source is as good as another field."""
FEWEST_FIELDS = 4
PIXELS_AT_ONCE = 8_000_000
"""Pixels of noise in memory."""


def of_source(source: int, count: int) -> np.ndarray:
    """Return the normal deviates of a source, the same for every band, shape (count, DRAWS)."""
    return np.random.default_rng([SEED, source]).standard_normal((count, DRAWS))


def of_band(band: str, purpose: str) -> np.random.Generator:
    """Return the random numbers of a band for one purpose."""
    return np.random.default_rng([SEED, *f"{purpose}/{band}".encode()])


def shape_draws(responses: ShapeResponses, solution: LinearSolution) -> np.ndarray:
    """Return changes of the fluxes for shapes drawn from their covariance, shape (n, DRAWS), image units.

    In the order of the solution; NaN where there is no flux.
    """
    changes = np.zeros((solution.inverse.size, DRAWS))
    if responses.matrix is not None:
        first = np.flatnonzero(np.diff(responses.sources, prepend=-1))
        counts = np.diff(np.append(first, len(responses.sources)))
        drawn = np.vstack([of_source(*axes) for axes in zip(responses.sources[first].tolist(), counts, strict=True)])
        with single_thread():
            changes = -solution.inverse.apply(responses.matrix.T @ drawn)
    return _in_order(changes, solution)


def noise_draws(
    solution: LinearSolution,
    templates: Sequence[Template],
    weight: np.ndarray,
    correlation: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return changes of the fluxes from drawn noise, shape (n, DRAWS), image units.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        As fitted.
    correlation : array (2L + 1, 2L + 1)
        Autocorrelation of the noise.
    rng : Generator

    Returns
    -------
    array (n, DRAWS)
        In the order of the solution; NaN where there is no flux.
    """
    root, active = root_weight(weight, solution.residual), [templates[k] for k in solution.active]
    right = np.empty((solution.inverse.size, DRAWS))
    fields = int(np.clip(NOISE_PIXELS // root.size, FEWEST_FIELDS, DRAWS))
    at_once = max(1, PIXELS_AT_ONCE // root.size)
    with single_thread():
        for draws in np.array_split(np.arange(DRAWS), fields):
            field = periodic_noise(correlation, root.shape, rng)
            for some in np.array_split(draws, -(-len(draws) // at_once)):
                moved = np.stack([_moved(field, root.shape, rng) for _ in some]) * root
                for k, template in enumerate(active):
                    right[k, some] = np.tensordot(moved[(slice(None), *template.box.slices)], template.data, 2)
                right[len(active) :, some] = solution.polynomial.products(moved).T
        return _in_order(solution.inverse.apply(right), solution)


def _moved(field: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a part of a periodic field that begins at a random pixel."""
    offsets = rng.integers(field.shape)
    return np.roll(field, offsets, axis=(0, 1))[: shape[0], : shape[1]]


def _in_order(changes: np.ndarray, solution: LinearSolution) -> np.ndarray:
    """Return the changes of the active amplitudes in the order of the solution, NaN for all others."""
    found = np.full((len(solution.ids), changes.shape[1]), np.nan)
    found[solution.active] = changes[: len(solution.active)]
    return found
