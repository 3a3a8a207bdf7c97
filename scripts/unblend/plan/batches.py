"""How fit groups are dealt out to jobs, by cells of the sky. The result of a fit never depends on it.

Neighbours are in the same cell or in the next ones, so that the second pass of a cell waits for few first passes, and a
job reads a small part of the images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..core.types import Box

GROUPS_PER_BATCH = 256
"""Most groups of a batch. A fit takes a twentieth to a seventh of a second in each pass: some 20 s of work, shared by
the cores of the job, against 1 s that a job needs to start. 1000 sources are some six batches."""


def assign_batches(
    boxes: Mapping[str, Sequence[int]], shape: tuple[int, int], batch_size: int | str = "auto"
) -> dict[str, list[str]]:
    """Return the groups of each batch, by the batch's number.

    The image is halved across its longer side, and so is each half, while a part has more groups than a batch may
    have. A new group thus moves no other one, unless its part is divided.

    Parameters
    ----------
    boxes : mapping of group to (y0, x0, y1, x1)
        Cutout of each group; the middle of it counts. Names are numbers.
    shape : (ny, nx)
        Size of the detection image in pixels.
    batch_size : int or "auto"
        Most groups of a batch; 1: one group each, and batches have the names of their groups.
    """
    if batch_size == 1:
        return {group: [group] for group in boxes}
    size = GROUPS_PER_BATCH if batch_size == "auto" else int(batch_size)
    places = {group: (0.5 * (y0 + y1), 0.5 * (x0 + x1)) for group, (y0, x0, y1, x1) in boxes.items()}
    batches: dict[str, list[str]] = {}
    # the halves of part k are the parts 2 k + 1 and 2 k + 2
    undivided = [(0, Box.of_shape(shape), sorted(boxes, key=int))]
    while undivided:
        number, cell, groups = undivided.pop()
        if len(groups) > size and math.prod(cell.shape) > 1:
            axis = 0 if cell.shape[0] >= cell.shape[1] else 1
            low, high = _halves(cell, axis)
            below = [group for group in groups if places[group][axis] < (high.y0, high.x0)[axis]]
            above = [group for group in groups if places[group][axis] >= (high.y0, high.x0)[axis]]
            undivided += [(2 * number + 1, low, below), (2 * number + 2, high, above)]
        elif groups:
            batches[str(number)] = groups
    return batches


def _halves(cell: Box, axis: int) -> tuple[Box, Box]:
    """Return the lower and the upper half of a cell along an axis."""
    if axis == 0:
        middle = (cell.y0 + cell.y1) // 2
        return Box(cell.y0, cell.x0, middle, cell.x1), Box(middle, cell.x0, cell.y1, cell.x1)
    middle = (cell.x0 + cell.x1) // 2
    return Box(cell.y0, cell.x0, cell.y1, middle), Box(cell.y0, middle, cell.y1, cell.x1)
