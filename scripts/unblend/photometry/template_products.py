"""Products of images with all templates of a band: how small changes of the image act on the fluxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.types import Box, Template
from .box_index import BoxIndex, edges
from .linear_system import LinearSolution, box_array
from .stamps import stacked


class TemplateProducts:
    """Sums over pixels of weight × image × template, for the fitted templates and the terms of the background.

    For a change of the image they are the change of the right-hand side of the fit: the inverse of the fit times this
    is the change of the fluxes.

    Parameters
    ----------
    solution : LinearSolution
    templates : sequence of Template
        As fitted, in the order of the solution.
    weight : array (ny, nx)
        As fitted.

    Attributes
    ----------
    templates : list of Template
        The active ones, in the order of the amplitudes of `solution.inverse`.
    """

    def __init__(self, solution: LinearSolution, templates: Sequence[Template], weight: np.ndarray) -> None:
        self.templates = [templates[k] for k in solution.active]
        used = np.isfinite(weight) & (weight > 0) & np.isfinite(solution.residual)
        self._weight = np.where(used, weight, 0.0)
        self._index, self._polynomial = BoxIndex(box_array(self.templates)), solution.polynomial
        self._stamps = [template.data for template in self.templates]
        self._terms = len(self.templates) + np.arange(len(solution.coefficients))

    def __call__(self, images: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return the amplitudes that some images change, shape (a,), and the products with them, shape (d, a).

        Parameters
        ----------
        images : array (d, ny, nx)
            On the pixels of the box.
        box : Box
            Inside the image of the band.
        """
        images = images * self._weight[box.slices]
        met = self._index.meeting(edges(box))
        stack = stacked(edges(box), met, self._index.boxes, self._stamps)
        products = np.tensordot(images, stack, ((1, 2), (1, 2)))
        return np.append(met, self._terms), np.hstack([products, self._polynomial.products(images, box)])
