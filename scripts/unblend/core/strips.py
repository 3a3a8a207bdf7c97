"""Work on images of any size: strip by strip, with whole images on disk and statistics from evenly spaced pixels.

A strip is some rows over the full width. What is computed for a pixel depends on the pixels around it alone, and these
are in the strip and its margin, so that no result depends on the height of the strips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .types import Box, WindowedImage

Window = tuple[slice, slice]
"""Rows and columns, each with a first pixel and one past the last, on the image."""

ALL: Window = (slice(None), slice(None))
"""The window of all pixels."""
MOST_PIXELS = 20_000_000
"""Pixels of an image up to which the level and the noise are measured from all of its pixels, ..."""
SAMPLED_PIXELS = 6_000_000
"""... and number of pixels of a larger one from which they are measured: they give the level to 5e-4 of the noise."""
STRIP_PIXELS = 1_000_000
"""Pixels in a strip."""


class Canvas(WindowedImage, Protocol):
    """An image of which windows are read and written."""

    def __setitem__(self, window: Window, values: np.ndarray, /) -> None:
        """Write the pixels of a window."""


class Derived:
    """An image of which windows are computed when they are asked for, each from the same windows of other images.

    Parameters
    ----------
    shape : (ny, nx)
    read : callable
        Returns the pixels of a window.
    """

    def __init__(self, shape: tuple[int, ...], read: Callable[[Window], np.ndarray]) -> None:
        self.shape, self._read = shape, read

    def __getitem__(self, window: Window) -> np.ndarray:
        """Return the pixels of a window."""
        return self._read(window)


class BitMask:
    """A mask of eight pixels in a byte.

    Parameters
    ----------
    shape : (ny, nx)
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = (shape[0], shape[1])
        self._bits = np.zeros((shape[0], (shape[1] + 7) // 8), dtype=np.uint8)

    @classmethod
    def of(cls, mask: np.ndarray) -> BitMask:
        """Return a mask with the pixels of a bool array."""
        result = cls(mask.shape)
        result[:, :] = mask
        return result

    def __getitem__(self, window: Window) -> np.ndarray:
        """Return the pixels of a window, bool (ny, nx)."""
        rows, (first, stop, _) = window[0], window[1].indices(self.shape[1])
        bits = np.unpackbits(self._bits[rows, first // 8 : (stop + 7) // 8], axis=1)
        return bits[:, first % 8 : first % 8 + max(stop - first, 0)].view(bool)

    def __setitem__(self, window: Window, values: np.ndarray | bool) -> None:
        """Set the pixels of a window."""
        rows, (first, stop, _) = window[0], window[1].indices(self.shape[1])
        if stop <= first:
            return
        part = (rows, slice(first // 8 * 8, min((stop + 7) // 8 * 8, self.shape[1])))
        pixels = self[part].copy()
        pixels[:, first - part[1].start : stop - part[1].start] = values
        self._bits[rows, first // 8 : (stop + 7) // 8] = np.packbits(pixels, axis=1)

    def __ior__(self, other: WindowedImage) -> BitMask:
        """Add the pixels of another mask."""
        for strip in Box.of_shape(self.shape).strips(rows_of_strip(self.shape)):
            self[strip.slices] = self[strip.slices] | other[strip.slices]
        return self

    def any(self) -> bool:
        """Whether any pixel is masked."""
        return bool(self._bits.any())

    def count(self) -> int:
        """Return the number of masked pixels."""
        return int(np.bitwise_count(self._bits).sum(dtype=np.int64))


def rows_of_strip(shape: tuple[int, ...]) -> int:
    """Return the number of rows in a strip of an image."""
    return max(1, STRIP_PIXELS // max(shape[1], 1))


@dataclass(frozen=True)
class Strip:
    """Some rows of an image.

    Parameters
    ----------
    core : Box
        The rows. The cores of all strips cover the image without overlap, from the first row to the last.
    wide : Box
        The core with a margin above and below, clipped to the image.
    """

    core: Box
    wide: Box

    @property
    def slices(self) -> Window:
        """The core on the image."""
        return self.core.slices

    @property
    def inside(self) -> Window:
        """The core in an array that covers the wide strip."""
        return self.core.within(self.wide)


@dataclass(frozen=True)
class Workspace:
    """How a stage works on its images.

    Parameters
    ----------
    new : callable
        Returns a new canvas of a shape and a type of pixels, of zeros: in memory, or on disk for a large image.
    rows : int, optional
        Rows of a strip; None for `STRIP_PIXELS`.
    most_pixels, sampled_pixels : int
        See `MOST_PIXELS` and `SAMPLED_PIXELS`.
    """

    new: Callable[[tuple[int, ...], type | str], Canvas] = np.zeros
    rows: int | None = None
    most_pixels: int = MOST_PIXELS
    sampled_pixels: int = SAMPLED_PIXELS

    def strips(self, shape: tuple[int, ...], margin: int = 0) -> Iterator[Strip]:
        """Yield the strips of an image from the first row to the last, with a margin of so many rows."""
        whole = Box.of_shape(shape)
        for core in whole.strips(self.rows or rows_of_strip(shape)):
            yield Strip(core, Box(core.y0 - margin, core.x0, core.y1 + margin, core.x1) & whole)

    def step(self, shape: tuple[int, ...]) -> int:
        """Return the distance along a row between the pixels from which an image is measured: 1 for all of them."""
        size = shape[0] * shape[1]
        return 1 if size <= self.most_pixels else -(-size // self.sampled_pixels)

    def sample(self, strip: Strip, shape: tuple[int, ...]) -> np.ndarray:
        """Return the pixels of a strip from which an image is measured, bool (ny, nx).

        They are every k-th of a row, one further to the left in each row than in the one below. Which ones these are
        depends on the shape of the image alone.
        """
        step = self.step(shape)
        if step == 1:
            return np.ones(strip.core.shape, dtype=bool)
        at = np.arange(strip.core.y0, strip.core.y1)[:, None] % step + np.arange(shape[1])
        return np.asarray(at % step == 0)

    def gather(
        self, shape: tuple[int, ...], read: Callable[[Strip], Iterable[np.ndarray]], margin: int = 0
    ) -> list[np.ndarray]:
        """Return values of the pixels from which an image is measured, in the order of rows and columns.

        Parameters
        ----------
        shape : (ny, nx)
        read : callable
            Returns for a strip a mask of its usable pixels, and one or more arrays, all of the shape of its core.
        margin : int
            Rows of the margin of the strips.

        Returns
        -------
        list of arrays (n,)
            The values of each array in the usable pixels of the sample.
        """
        parts: list[list[np.ndarray]] = []
        for strip in self.strips(shape, margin):
            usable, *values = read(strip)
            chosen = usable & self.sample(strip, shape) if self.step(shape) > 1 else usable
            parts.append([each[chosen] for each in values])
        return [_joined([part[i] for part in parts]) for i in range(len(parts[0]))]

    def mask(self, shape: tuple[int, ...], read: Callable[[Strip], np.ndarray], margin: int = 0) -> BitMask:
        """Return the mask of an image that is computed strip by strip."""
        result = BitMask(shape)
        for strip in self.strips(shape, margin):
            result[strip.slices] = read(strip)
        return result


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Return the values of all parts, which are let go one by one."""
    if len(parts) == 1:
        return parts[0]
    result = np.empty(sum(part.size for part in parts), dtype=parts[0].dtype)
    at = 0
    for k, part in enumerate(parts):
        result[at : at + part.size] = part
        at += part.size
        parts[k] = part[:0]
    return result
