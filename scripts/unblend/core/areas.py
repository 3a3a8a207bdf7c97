"""Connected areas and segments of images of any size, found strip by strip and joined across the borders of strips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .strips import Derived, Strip, Window, Workspace
from .types import Box, WindowedImage


@dataclass(frozen=True)
class Extents:
    """The extents of the segments of an image.

    Parameters
    ----------
    ids : int array (n,)
        IDs in ascending order.
    y0, x0, y1, x1 : int arrays (n,)
        First row and column, and one past the last ones.
    area : int array (n,)
        Number of pixels.
    """

    ids: np.ndarray
    y0: np.ndarray
    x0: np.ndarray
    y1: np.ndarray
    x1: np.ndarray
    area: np.ndarray

    def boxes(self) -> dict[int, Box]:
        """Return the box around each segment, in order of ID."""
        sides = zip(*(each.tolist() for each in (self.y0, self.x0, self.y1, self.x1)), strict=True)
        return {number: Box(*side) for number, side in zip(self.ids.tolist(), sides, strict=True)}


def extents(labels: WindowedImage, work: Workspace) -> Extents:
    """Return the extents of all segments of an image whose sky is 0."""
    found: list[list[np.ndarray]] = [[np.zeros(0, dtype=np.int64)] for _ in range(6)]
    for strip in work.strips(labels.shape):
        part = labels[strip.slices]
        y, x = np.nonzero(part)
        label, y = part[y, x], y + strip.core.y0
        for parts, each in zip(found, _merged(label, y, x, y + 1, x + 1, np.ones(y.size, dtype=int)), strict=True):
            parts.append(each)
    return Extents(*_merged(*(np.concatenate(parts) for parts in found)))


def _merged(
    ids: np.ndarray, y0: np.ndarray, x0: np.ndarray, y1: np.ndarray, x1: np.ndarray, area: np.ndarray
) -> list[np.ndarray]:
    """Return the extents of the union of pieces of segments, for each segment."""
    own, index = np.unique(ids, return_inverse=True)
    result: list[np.ndarray] = [own]
    for values, function in ((y0, np.minimum), (x0, np.minimum), (y1, np.maximum), (x1, np.maximum), (area, np.add)):
        joined = np.zeros(own.size, dtype=np.int64)
        joined[index] = values if function is not np.add else 0  # any of them
        function.at(joined, index, values)
        result.append(joined)
    return result


def known_ids(labels: WindowedImage, work: Workspace) -> np.ndarray:
    """Return the IDs of an image whose sky is 0, in ascending order."""
    found = [np.zeros(0, dtype=np.int32)]
    for strip in work.strips(labels.shape):
        part = labels[strip.slices]
        found.append(np.unique(part[part > 0]))
    return np.unique(np.concatenate(found))


def only_ids(labels: WindowedImage, ids: np.ndarray) -> WindowedImage:
    """Return the segments of some IDs, 0 elsewhere. IDs may be large."""

    def read(window: Window) -> np.ndarray:
        part = np.array(labels[window])
        covered = part > 0
        own = part[covered]
        part[covered] = np.where(np.isin(own, ids), own, 0)
        return part

    return Derived(labels.shape, read)


def whole_segments(
    labels: WindowedImage, layers: Sequence[WindowedImage], work: Workspace, found: Extents | None = None
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the pixels of segments, in portions of which each has all pixels of its segments.

    Parameters
    ----------
    labels : image (ny, nx) of int
        0 = sky.
    layers : sequence of images (ny, nx)
        Images whose values are wanted.
    work : Workspace
    found : Extents, optional
        As from `extents`, if it is known.

    Yields
    ------
    label, y, x : int arrays (n,)
        The pixels of each segment in the order of rows and columns; the segments in any order.
    values : arrays (n,)
        Of each layer.
    """
    found = extents(labels, work) if found is None else found
    pending: list[np.ndarray] | None = None
    for strip in work.strips(labels.shape):
        part = labels[strip.slices]
        y, x = np.nonzero(part)
        columns = [part[y, x], y + strip.core.y0, x, *(layer[strip.slices][y, x] for layer in layers)]
        if pending is not None:
            columns = [np.concatenate(pair) for pair in zip(pending, columns, strict=True)]
        ended = found.y1[np.searchsorted(found.ids, columns[0])] <= strip.core.y1
        if ended.any():
            yield tuple(column[ended] for column in columns)
        pending = [column[~ended] for column in columns]


class Areas:
    """The connected areas of a mask, also over corners; windows of it have the number of each area, 0 elsewhere.

    Parameters
    ----------
    labels : image (ny, nx) of int
        Numbers of the parts of areas in the strips.
    number : int array
        The number of the area of each part; 0 for 0.
    """

    def __init__(self, labels: WindowedImage, number: np.ndarray) -> None:
        self._labels, self._number = labels, number
        self.shape = labels.shape

    def __len__(self) -> int:
        """Return the number of areas."""
        return int(self._number.max())

    def __getitem__(self, window: Window) -> np.ndarray:
        """Return the number of the area of each pixel of a window, from 1."""
        return np.asarray(self._number[self._labels[window]])

    def renumbered(self, number: np.ndarray) -> Areas:
        """Return the areas with other numbers.

        Parameters
        ----------
        number : int array
            The new number of each area, and 0 for 0; 0 for an area that is left out.
        """
        return Areas(self._labels, number[self._number])


def connected_areas(shape: tuple[int, ...], read: Callable[[Strip], np.ndarray], work: Workspace) -> Areas:
    """Return the connected areas of a mask, also over corners.

    Parameters
    ----------
    shape : (ny, nx)
    read : callable
        Returns the mask in the core of a strip.
    work : Workspace
    """
    labels = work.new(shape, np.int32)
    parts, pairs = 0, []
    for strip, own, number, touching in _parts(shape, read, work, corners=True):
        labels[strip.slices] = own
        parts += number
        pairs.append(touching)
    return Areas(labels, _area_of_parts(parts, pairs))


def number_of_areas(shape: tuple[int, ...], read: Callable[[Strip], np.ndarray], work: Workspace) -> int:
    """Return the number of connected areas of a mask. Pixels that only share a corner are not connected.

    Parameters
    ----------
    shape, read, work
        As in `connected_areas`.
    """
    parts, pairs = 0, []
    for _, _, number, touching in _parts(shape, read, work, corners=False):
        parts += number
        pairs.append(touching)
    return int(_area_of_parts(parts, pairs).max())


def _parts(
    shape: tuple[int, ...], read: Callable[[Strip], np.ndarray], work: Workspace, *, corners: bool
) -> Iterator[tuple[Strip, np.ndarray, int, np.ndarray]]:
    """Yield the parts of areas in each strip.

    Yields
    ------
    strip : Strip
    own : int32 array (ny, nx)
        Number of the part in each pixel, counted from 1 through all strips; 0 outside the mask.
    number : int
        Number of parts in the strip.
    touching : int array (2, n)
        Parts of the strip before and of this one that are connected.
    """
    from scipy.ndimage import generate_binary_structure, label

    parts, above = 0, np.zeros(shape[1], dtype=np.int32)
    for strip in work.strips(shape):
        own, number = label(read(strip), structure=generate_binary_structure(2, 2 if corners else 1))
        own = np.where(own > 0, own + np.int32(parts), np.int32(0)).astype(np.int32)
        parts += number
        pairs = []
        for old, new in ((above, own[0]), (above[1:], own[0, :-1]), (above[:-1], own[0, 1:]))[: 3 if corners else 1]:
            both = (old > 0) & (new > 0)
            pairs.append(np.unique(np.stack([old[both], new[both]]), axis=1))
        yield strip, own, number, np.concatenate(pairs, axis=1)
        above = own[-1]


def _area_of_parts(parts: int, pairs: list[np.ndarray]) -> np.ndarray:
    """Return the number of the area of each part, int32 (parts + 1,); 0, the sky, for 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = np.concatenate([np.zeros((2, 0), dtype=np.int32), *pairs], axis=1)
    graph = coo_array((np.ones(first.size), (first, second)), shape=(parts + 1, parts + 1))
    _, component = connected_components(graph, directed=False)
    # 0, the sky, is connected with nothing and has the first number
    return np.asarray(component.astype(np.int32))
