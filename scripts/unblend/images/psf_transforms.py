"""Fourier transforms of the PSF at every place of a band, computed once for each PSF of its map."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from ..core.field_psf import FieldPsf, Weights
from .psf import transform

MAX_KEPT_BYTES = 300_000_000
"""Memory of the transforms that are kept; the ones that were used last stay. A map of 64 PSFs and stamps of 135 pixels
need 20 MB for each size of stamp."""


class PsfTransforms:
    """The transforms of the PSFs of a band.

    A transform at a place is the weighted sum of those of the PSFs of the map, so that only these have to be computed:
    the cost follows the number of PSFs in the map and not that of the sources.

    Parameters
    ----------
    psf : FieldPsf
    max_bytes : int
        Memory of the transforms that are kept.
    """

    def __init__(self, psf: FieldPsf, max_bytes: int = MAX_KEPT_BYTES):
        self.psf, self.max_bytes = psf, max_bytes
        self._kept: OrderedDict[tuple[int, Hashable], np.ndarray] = OrderedDict()
        self._bytes = 0

    def mean(self, weights: Weights, key: Hashable, ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
        """Return the transform at a place, shape (my, mx); it is not to be changed.

        Parameters
        ----------
        weights : Weights
            PSFs of the place with their weights.
        key : hashable
            Stands for the frequencies.
        ky, kx : arrays (my,), (mx,)
            Frequencies in cycles per image pixel.
        """
        if len(weights) == 1:
            return self._one(weights[0][0], key, ky, kx)
        total = np.zeros((ky.size, kx.size), dtype=np.complex128)
        for index, weight in weights:
            total += weight * self._one(index, key, ky, kx)
        return total

    def _one(self, index: int, key: Hashable, ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
        """Return the transform of one PSF of the map."""
        found = self._kept.get((index, key))
        if found is None:
            found = self._kept[index, key] = transform(self.psf.psfs[index], ky, kx)
            self._bytes += found.nbytes
            while self._bytes > self.max_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        else:
            self._kept.move_to_end((index, key))
        return found
