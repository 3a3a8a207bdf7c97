"""Images in open files of which only windows are read, for stages that look at one source after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from ..core.strips import Window
from ..core.types import Box
from .image_hdus import StoredImage, find_image, needed_header, opened_fits, read_whole, stored_pixels


class OpenImage:
    """An image in an open file; a window of it is read as `read_array` reads the whole, or as labels.

    Parameters
    ----------
    image : StoredImage
    name : str
        Of the file, for errors.
    labels : bool
        Whether the pixels are integers: a segmentation map or a mask.
    """

    def __init__(self, image: StoredImage, name: str, labels: bool) -> None:
        self._image, self._name, self._labels = image, name, labels
        with read_whole(name):
            self._header = None if labels else needed_header(image)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._image.shape

    def __getitem__(self, window: Window) -> np.ndarray:
        """Return the pixels of a window: native float64 with NaN for blank ones, or int32.

        Raises
        ------
        InputError
            The file is truncated.
        """
        rows, columns = (part.indices(side) for part, side in zip(window, self.shape, strict=True))
        box = Box(rows[0], columns[0], rows[1], columns[1])
        if box.is_empty:
            return np.zeros(box.shape, dtype=np.int32 if self._labels else float)
        part = replace(self._image, window=box)
        with read_whole(self._name):
            return (
                np.ascontiguousarray(part.read(), dtype=np.int32)
                if self._labels
                else stored_pixels(part, self._header, self._name)
            )


@contextmanager
def open_image(name: str) -> Iterator[OpenImage]:
    """Open an image `file.fits` or `file.fits[EXT]`.

    Raises
    ------
    InputError
        The file or the extension is missing, unreadable, or has no two-dimensional image.
    """
    with opened_fits(name) as fits:
        yield OpenImage(find_image(fits, name), name, labels=False)


@contextmanager
def open_labels(name: str) -> Iterator[OpenImage]:
    """Open a segmentation map or a mask, with the errors of `open_image`."""
    with opened_fits(name) as fits:
        yield OpenImage(find_image(fits, name), name, labels=True)
