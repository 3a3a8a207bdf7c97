"""Decide which sources are fitted together, in which cutout, and which groups are neighbours.

A group is named after its main source, the brightest one, so that an edit elsewhere in the field renames no group. The
IDs of the automatic detection are in order of decreasing flux.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

import numpy as np

from ..core.areas import extents
from ..core.strips import Workspace
from ..core.types import Box, FitGroup, WindowedImage
from .fft_size import good_box
from .sky_level import SkyLevel

MIN_HALF_SIZE_ARCSEC = 1.5
"""Minimum half-size of a cutout in arcsec, so that a small source has enough sky around it."""

HALF_SIZE_RADII = 2.0
"""Half-size of a cutout in units of sqrt(area / pi), the radius of a circle with the area of the segment."""

REACH_RADII = 3.0
"""Distance to which a source contributes flux, beyond half the PSF, in units of sqrt(area / pi)."""

_DIGEST_LENGTH = 16
"""Hexadecimal digits of the digest of a group: 64 bits, enough to tell all groups of a field apart."""


def group_sources(
    segments: WindowedImage,
    catalogue: np.ndarray,
    *,
    pixel_scale_arcsec: float,
    psf_side: int,
    fit_alone: Collection[int] = (),
    fit_together: Iterable[Collection[int]] = (),
    by_flux: bool = False,
) -> list[FitGroup]:
    """Return the fit groups, in order of their main source.

    In order of ID or of flux, every source without a group starts one. Its cutout has the half-size
    max(1.5 arcsec, 2 sqrt(area / pi) pixels) around its position and always includes its own segment (long or merged
    segments are longer than a circle of their area). Sources without a group whose segment lies wholly inside the
    cutout become members. The box is then grown to a size for which the FFT is fast; it may extend beyond the image.
    Two groups are neighbours of each other if the centre of a member of one lies within 3 sqrt(area / pi) pixels plus
    half the PSF of the box of the other.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky; it is read in strips.
    catalogue : structured array
        Columns id, y, x (0-based pixels), area (pixels), in order of id; each id has pixels in `segments`. With
        `by_flux` also flux.
    pixel_scale_arcsec : float
        Pixel scale of the detection grid.
    psf_side : int
        Side in pixels of the PSF of the fits.
    fit_alone : collection of int
        Sources that the user has requested to be fitted as groups of one.
    fit_together : iterable of collections of int
        Sets of sources that the user has requested in one group. Its cutout includes the cutouts of all of them. IDs
        that are not in the catalogue are ignored.
    by_flux : bool
        Form the groups in order of decreasing flux (NaN last) and not in order of ID: for IDs that the user has given.

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
    cutouts = [Box.around(y[i], x[i], half[i]) | Box(*(int(v) for v in extents[i])) for i in range(ids.size)]
    by_top = np.argsort(top, kind="stable")
    tops = top[by_top]
    free, groupable = np.ones(ids.size, dtype=bool), ~np.isin(ids, list(fit_alone))
    partners = _partners(ids, fit_together)
    members: list[np.ndarray] = []
    boxes: list[Box] = []
    order = np.lexsort((ids, -catalogue["flux"])) if by_flux else np.argsort(ids, kind="stable")
    for i in order:
        if not free[i]:
            continue
        box, joined = cutouts[i], np.array([i])
        while groupable[i]:
            near = by_top[np.searchsorted(tops, box.y0) : np.searchsorted(tops, box.y1)]
            inside = (left[near] >= box.x0) & (bottom[near] <= box.y1) & (right[near] <= box.x1)
            joined = np.sort(near[inside & free[near] & groupable[near]])
            requested = {k for j in joined for k in partners.get(int(j), ()) if free[k] and groupable[k]}
            grown = box
            for k in requested:
                grown |= cutouts[k]
            if grown == box:
                break
            box = grown
        free[joined] = False
        members.append(np.concatenate([[i], joined[joined != i]]))
        boxes.append(good_box(box, psf_side))
    reach = REACH_RADII * radius + psf_side / 2.0
    neighbours = _neighbours(members, boxes, y, x, reach)
    result = []
    for joined, box, near in zip(members, boxes, neighbours, strict=True):
        main, *others = (int(ids[j]) for j in joined)
        result.append(FitGroup(main, (main, *sorted(others)), box, tuple(int(ids[members[n][0]]) for n in near)))
    return result


def _partners(ids: np.ndarray, fit_together: Iterable[Collection[int]]) -> dict[int, list[int]]:
    """Return for each source the sources requested in its group, itself included; all by index in the catalogue."""
    index_of = {int(id_): k for k, id_ in enumerate(ids)}
    requests = [[index_of[id_] for id_ in sorted(request) if id_ in index_of] for request in fit_together]
    return {k: request for request in requests for k in request if len(request) > 1}


def group_digest(
    stack: WindowedImage, error: WindowedImage, segments: WindowedImage, group: FitGroup, sky: SkyLevel | None = None
) -> str:
    """Return 16 hexadecimal digits that identify the input of a group's fit: pixels, errors, segments, box, members.

    Only the part of the box on the image is used. Segments are reduced to sky, member or masked, so that the IDs of
    masked sources do not matter. Pixels are reduced to float32, the type of the files.

    Parameters
    ----------
    stack, error : array (ny, nx)
        Detection stack and its error; NaN and infinity mark pixels without data.
    segments : int array (ny, nx)
        Segmentation map, 0 for sky.
    group : FitGroup
        The group; its box and members are used, its neighbours are not.
    sky : SkyLevel or None
        The sky around the cutout.
    """
    digest = hashlib.sha256(repr((group.main, group.members, group.box, sky)).encode())
    window = (group.box & Box.of_shape(segments.shape)).slices
    for image in (stack[window], error[window]):
        # use one bit pattern for all NaN and one for +0 and -0
        values = image.astype("<f4") + np.float32(0.0)
        values[np.isnan(values)] = np.nan
        digest.update(np.ascontiguousarray(values).tobytes())
    labels = segments[window].astype("<i4")
    labels[(labels > 0) & ~np.isin(labels, group.members)] = -1
    digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()[:_DIGEST_LENGTH]


def _extents(segments: WindowedImage, ids: np.ndarray) -> np.ndarray:
    """Return y0, x0, y1, x1 (half-open) of each source's segment, shape (n, 4)."""
    found = extents(segments, Workspace())
    missing = ids[~np.isin(ids, found.ids)]
    if missing.size:
        raise ValueError(f"source {missing[0]} of the catalogue has no pixel in the segmentation map")
    return np.column_stack([found.y0, found.x0, found.y1, found.x1])[np.searchsorted(found.ids, ids)]


def _neighbours(
    members: list[np.ndarray], boxes: list[Box], y: np.ndarray, x: np.ndarray, reach: np.ndarray
) -> list[np.ndarray]:
    """Return the indices of the neighbours of each group in ascending order; neighbours are mutual.

    Parameters
    ----------
    members : list of int arrays
        Sources of each group, by index in the catalogue.
    boxes : list of Box
        Cutout of each group.
    y, x : array (n,)
        Positions of the sources, 0-based pixels.
    reach : array (n,)
        Pixels to which each source contributes flux.
    """
    owner = np.zeros(y.size, dtype=int)
    for number, joined in enumerate(members):
        owner[joined] = number
    by_y = np.argsort(y, kind="stable")
    rows, farthest = y[by_y], reach.max(initial=0.0)
    pairs: set[tuple[int, int]] = set()
    for number, box in enumerate(boxes):
        some = by_y[np.searchsorted(rows, box.y0 - farthest) : np.searchsorted(rows, box.y1 + farthest)]
        # distance from each source to the nearest pixel centre of the box, zero inside
        dy = np.maximum(np.maximum(box.y0 - y[some], y[some] - (box.y1 - 1)), 0.0)
        dx = np.maximum(np.maximum(box.x0 - x[some], x[some] - (box.x1 - 1)), 0.0)
        for other in np.unique(owner[some[dy**2 + dx**2 <= reach[some] ** 2]]):
            if other != number:
                pairs |= {(number, int(other)), (int(other), number)}
    result: list[list[int]] = [[] for _ in boxes]
    for first, second in sorted(pairs):
        result[first].append(second)
    return [np.array(near, dtype=int) for near in result]
