"""Whole images on disk for a stage that works on them in windows, gone when the stage ends."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path

import numpy as np

from ..core.strips import Window, Workspace


class DiskImage:
    """An image of zeros in a temporary file, of which windows are read and written; it needs no memory.

    The file has no name, so that nothing is left of it whatever ends the process.

    Parameters
    ----------
    shape : (ny, nx)
    dtype : type or str
    folder : path
    """

    def __init__(self, shape: tuple[int, ...], dtype: type | str, folder: str | Path) -> None:
        self.shape, self.dtype = (shape[0], shape[1]), np.dtype(dtype)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the image)
        weakref.finalize(self, self._file.close)
        self._file.truncate(max(self.dtype.itemsize * shape[0] * shape[1], 1))

    def __getitem__(self, window: Window) -> np.ndarray:
        """Return a copy of the pixels of a window."""
        return np.array(self._mapped("r")[window])

    def __setitem__(self, window: Window, values: np.ndarray) -> None:
        """Write the pixels of a window."""
        self._mapped("r+")[window] = values

    def _mapped(self, mode: str) -> np.ndarray:
        """Return the image as an array whose pixels are in memory only as long as it exists."""
        if 0 in self.shape:
            return np.zeros(self.shape, dtype=self.dtype)
        return np.memmap(self._file, dtype=self.dtype, mode=mode, shape=self.shape)  # type: ignore[call-overload]


def on_disk(folder: str | Path) -> Workspace:
    """Return a workspace whose images lie on disk in a folder, which must exist: that of the products."""
    return Workspace(new=lambda shape, dtype: DiskImage(shape, dtype, folder))
