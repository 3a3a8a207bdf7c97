"""Which boxes of an image share pixels: found through the cells of a grid, at a cost of the overlaps alone."""

from __future__ import annotations

import numpy as np

from ..core.types import Box

SMALLEST_SIDE = 16
"""Smallest side of a cell in pixels, by default."""


class BoxIndex:
    """An index of boxes by position.

    Parameters
    ----------
    boxes : int array (n, 4)
        Columns y0, x0, y1, x1. Empty boxes meet nothing.
    side : int, optional
        Side of a cell in pixels; by default that of a typical box.

    Attributes
    ----------
    cells : dict
        (row, column) of each cell to the indices of the boxes that touch it, in increasing order.
    """

    def __init__(self, boxes: np.ndarray, side: int | None = None) -> None:
        self.boxes = np.asarray(boxes, dtype=int).reshape(-1, 4)
        sides = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 0)
        self.side = side or max(SMALLEST_SIDE, int(np.median(sides)) if sides.size else 0)
        cells: dict[tuple[int, int], list[int]] = {}
        for k in np.flatnonzero(sides.all(axis=1)).tolist():
            for cell in self._cells(self.boxes[k]):
                cells.setdefault(cell, []).append(k)
        self.cells = {cell: np.array(members) for cell, members in cells.items()}

    def meeting(self, box: np.ndarray) -> np.ndarray:
        """Return the indices of the boxes that share a pixel with `box` (y0, x0, y1, x1), in increasing order."""
        if box[2] <= box[0] or box[3] <= box[1]:
            return np.zeros(0, dtype=int)
        found = [self.cells[cell] for cell in self._cells(box) if cell in self.cells]
        if not found:
            return np.zeros(0, dtype=int)
        near = np.unique(np.concatenate(found))
        y0, x0, y1, x1 = self.boxes[near].T
        return near[(y0 < box[2]) & (y1 > box[0]) & (x0 < box[3]) & (x1 > box[1])]

    def _cells(self, box: np.ndarray) -> list[tuple[int, int]]:
        """Return the cells that a box touches."""
        (y0, x0, y1, x1), side = (int(edge) for edge in box), self.side
        return [
            (row, column)
            for row in range(y0 // side, (y1 - 1) // side + 1)
            for column in range(x0 // side, (x1 - 1) // side + 1)
        ]


def edges(box: Box) -> np.ndarray:
    """Return the edges y0, x0, y1, x1 of a box as an array."""
    return np.array([box.y0, box.x0, box.y1, box.x1])
