"""Which sources are fitted together, in which cutout, and whose light reaches whose cutout.

A group is named after its main source (the brightest of it), so that an edit far away renames nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

import numpy as np

from ..core.nouns import Box, FitGroup
from .fft_size import good_box

MIN_HALF_SIZE_ARCSEC = 1.5
"""Least half-size of a cutout."""

HALF_SIZE_RADII = 2.0
"""Half-size of a cutout in units of the radius of a circle of the segment's area."""

REACH_RADII = 3.0
"""How far a source's light reaches beyond the PSF, in the same unit."""

_DIGEST_LENGTH = 16


def group_sources(
    segments: np.ndarray,
    catalogue: np.ndarray,
    *,
    pixel_scale_arcsec: float,
    psf_side: int,
    alone: Collection[int] = (),
    together: Iterable[Collection[int]] = (),
) -> list[FitGroup]:
    """Return the fit groups, in order of their main source's ID.

    In order of ID, every source that no group has yet opens one: its cutout has the half-size
    max(1.5 arcsec, 2 sqrt(area / pi) pixels) around its position, and holds its own segment in any case (long or merged
    segments are longer than a circle of their area). Sources whose segment lies wholly inside and that no group has yet
    are members. The box is then grown to a size that the FFT likes; it may reach off the image. Two groups are
    neighbours, each of the other, when a member's centre lies within its reach (3 sqrt(area / pi) pixels and half the
    PSF) of the other's box.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky.
    catalogue : structured array
        Columns id, y, x (0-based pixels), area (pixels), in order of id; each id has pixels in `segments`.
    pixel_scale_arcsec : float
        Of the detection grid.
    psf_side : int
        Side in pixels of the PSF of the fits.
    alone : collection of int
        Sources that are a group of their own: the user's wish.
    together : iterable of collections of int
        Sources that are in one group, whose cutout then holds the cutouts of all of them: the user's wish. IDs that
        are not in the catalogue do not matter.

    Raises
    ------
    ValueError
        A source of the catalogue has no pixel in `segments`.
    """
    ids = np.asarray(catalogue["id"], dtype=int)
    y, x = np.asarray(catalogue["y"], dtype=float), np.asarray(catalogue["x"], dtype=float)
    radius = np.sqrt(np.asarray(catalogue["area"], dtype=float) / np.pi)
    extents = _extents(segments, ids)
    top, left, bottom, right = (np.ascontiguousarray(edge) for edge in extents.T)
    half = np.maximum(MIN_HALF_SIZE_ARCSEC / pixel_scale_arcsec, HALF_SIZE_RADII * radius)
    own = [Box.around(y[i], x[i], half[i]) | Box(*(int(v) for v in extents[i])) for i in range(ids.size)]
    free, social = np.ones(ids.size, dtype=bool), ~np.isin(ids, list(alone))
    partners = _partners(ids, together)
    members: list[np.ndarray] = []
    boxes: list[Box] = []
    for i in np.argsort(ids, kind="stable"):
        if not free[i]:
            continue
        box, joined = own[i], np.array([i])
        while social[i]:
            inside = (top >= box.y0) & (left >= box.x0) & (bottom <= box.y1) & (right <= box.x1)
            joined = np.flatnonzero(inside & free & social)
            wished = {k for j in joined for k in partners.get(int(j), ()) if free[k] and social[k]}
            grown = box
            for k in wished:
                grown |= own[k]
            if grown == box:
                break
            box = grown
        free[joined] = False
        members.append(joined)
        boxes.append(good_box(box, psf_side))
    reach = REACH_RADII * radius + psf_side / 2.0
    neighbours = _neighbours(members, boxes, y, x, reach)
    result = []
    for joined, box, near in zip(members, boxes, neighbours, strict=True):
        group = tuple(sorted(int(ids[j]) for j in joined))
        result.append(FitGroup(group[0], group, box, tuple(int(ids[members[n]].min()) for n in near)))
    return result


def _partners(ids: np.ndarray, together: Iterable[Collection[int]]) -> dict[int, list[int]]:
    """Return whom the user wants in one group with a source, by index: the source itself among them."""
    at = {int(id_): k for k, id_ in enumerate(ids)}
    known = [[at[id_] for id_ in sorted(wish) if id_ in at] for wish in together]
    return {k: wish for wish in known for k in wish if len(wish) > 1}


def group_digest(stack: np.ndarray, error: np.ndarray, segments: np.ndarray, group: FitGroup) -> str:
    """Return 16 hex digits of what the fit of a group sees: pixels of the stack, their errors, segments, box, members.

    Inside the part of the box on the image. Segments count as sky, member or masked: the IDs of sources that are masked
    anyway do not matter. Data count as float32, what files hold.
    """
    digest = hashlib.sha256(repr((group.main, group.members, group.box)).encode())
    window = (group.box & Box.of_shape(segments.shape)).slices
    for image in (stack[window], error[window]):
        # One pattern of bits for NaN, one for zero.
        values = image.astype("<f4") + np.float32(0.0)
        values[np.isnan(values)] = np.nan
        digest.update(np.ascontiguousarray(values).tobytes())
    labels = segments[window].astype("<i4")
    labels[(labels > 0) & ~np.isin(labels, group.members)] = -1
    digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()[:_DIGEST_LENGTH]


def _extents(segments: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return y0, x0, y1, x1 (half open) of each source's segment, shape (n, 4)."""
    from scipy.ndimage import find_objects

    slices = find_objects(segments)
    result = np.zeros((ids.size, 4), dtype=int)
    for row, source in enumerate(ids):
        found = slices[source - 1] if 0 < source <= len(slices) else None
        if found is None:
            raise ValueError(f"source {source} of the catalogue has no pixel in the segmentation")
        result[row] = found[0].start, found[1].start, found[0].stop, found[1].stop
    return result


def _neighbours(
    members: list[np.ndarray], boxes: list[Box], y: np.ndarray, x: np.ndarray, reach: np.ndarray
) -> list[np.ndarray]:
    """Return for each group the indices of its neighbours, ascending: the relation is symmetric."""
    count = len(members)
    owner = np.zeros(y.size, dtype=int)
    for number, joined in enumerate(members):
        owner[joined] = number
    pairs: set[tuple[int, int]] = set()
    for number, box in enumerate(boxes):
        # Distance from each source to the nearest pixel centre of the box; zero inside.
        dy = np.maximum(np.maximum(box.y0 - y, y - (box.y1 - 1)), 0.0)
        dx = np.maximum(np.maximum(box.x0 - x, x - (box.x1 - 1)), 0.0)
        for other in np.unique(owner[dy**2 + dx**2 <= reach**2]):
            if other != number:
                pairs |= {(number, int(other)), (int(other), number)}
    result: list[list[int]] = [[] for _ in range(count)]
    for first, second in sorted(pairs):
        result[first].append(second)
    return [np.array(near, dtype=int) for near in result]
