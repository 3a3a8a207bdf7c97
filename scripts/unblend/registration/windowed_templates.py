"""Templates of the grid search, computed on the fitted pixels only: a few pixels of stamps that are thousands.

A template at a shift is the inverse Fourier transform of its spectrum times a phase along each axis. On a window of R
rows and C columns it is a product of three matrices, of which the first two are the same for all shifts along x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.types import Box, Template
from ..models.templates import Spectrum

EMPTY = Box(0, 0, 0, 0)


@dataclass(frozen=True)
class _Window:
    """The window of a source, with what does not depend on the shift.

    Parameters
    ----------
    box : Box
        Fitted pixels of the band that the template may reach.
    spectrum : array (my, mx)
        For frequencies along x that are not negative; the others are those of a real image.
    ky, kx : arrays (my,), (mx,)
        Frequencies in cycles per band pixel.
    rows : array (R, my), columns : array (mx, C)
        Fourier phases of the pixels.
    """

    box: Box
    spectrum: np.ndarray
    ky: np.ndarray
    kx: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


class WindowedTemplates:
    """Templates at any shift on the pixels of a mask only: a `TemplateMaker`.

    Parameters
    ----------
    spectrum_of : callable
        Returns the transform of the template of an ID, None if it is outside the image.
    fitted : bool array (ny, nx)
        The pixels on which templates are wanted.
    """

    def __init__(self, spectrum_of: Callable[[int], Spectrum | None], fitted: np.ndarray) -> None:
        self._spectrum_of, self._fitted = spectrum_of, fitted
        self._windows: dict[int, _Window | None] = {}
        self._last: dict[int, tuple[float, np.ndarray]] = {}

    def __call__(self, ids: Sequence[int], shift: tuple[float, float]) -> list[Template]:
        """Return the templates of these sources at a shift (dy, dx) in pixels, on the part that holds fitted pixels."""
        return [self._one(i, shift) for i in ids]

    def _one(self, i: int, shift: tuple[float, float]) -> Template:
        if i not in self._windows:
            self._windows[i] = self._window(i)
        window = self._windows[i]
        if window is None:
            return Template(i, EMPTY, np.zeros((0, 0)), 0.0)
        dy, dx = shift
        if self._last.get(i, (None,))[0] != dy:
            phases = window.rows * np.exp(-2j * np.pi * window.ky * dy)
            self._last[i] = dy, phases @ window.spectrum
        shifted = self._last[i][1] * np.exp(-2j * np.pi * window.kx * dx)
        return Template(i, window.box, (shifted @ window.columns).real, 1.0)

    def _window(self, i: int) -> _Window | None:
        """Return the window of a source; None where its template reaches no fitted pixel."""
        spectrum = self._spectrum_of(i)
        if spectrum is None:
            return None
        box = spectrum.box & Box.of_shape(self._fitted.shape)
        rows, columns = (np.flatnonzero(self._fitted[box.slices].any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return None
        (top, bottom), (left, right) = ((int(at[0]), int(at[-1]) + 1) for at in (rows, columns))
        box = Box(box.y0 + top, box.x0 + left, box.y0 + bottom, box.x0 + right)
        ky, kx = spectrum.frequencies
        half = kx >= 0
        # each frequency along x stands for its negative, too
        weight = np.where(kx[half] > 0, 2.0, 1.0) / (spectrum.sides[0] * spectrum.sides[1])
        y, x = np.arange(box.y0, box.y1) - spectrum.origin[0], np.arange(box.x0, box.x1) - spectrum.origin[1]
        return _Window(
            box, spectrum.values[:, half] * weight, ky, kx[half],
            np.exp(2j * np.pi * np.outer(y, ky)), np.exp(2j * np.pi * np.outer(kx[half], x)),
        )  # fmt: skip
