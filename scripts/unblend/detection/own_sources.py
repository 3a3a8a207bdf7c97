"""Sources that the user gives in place of the automatic detection: as a segmentation map, or as positions.

IDs are kept, and no source is rejected for its size or its S/N.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.areas import Areas, connected_areas, extents
from ..core.strips import BitMask, Canvas, Workspace
from ..core.types import Box, WindowedImage
from .sources import DetectedSources, flux_level, measure
from .stack import Stack

if TYPE_CHECKING:
    from astropy.wcs import WCS

CORE_FWHM = 0.5
"""Radius in FWHM of the PSF of the core of a source: pixels that belong to the nearest position in any case."""
HALO_FWHM = 1.0
"""Radius in FWHM of the PSF of the smallest segment of an isolated source. It holds 94 % of a Gaussian PSF."""
PIXELS_AT_ONCE = 1_000_000
"""Pixels around positions whose distances are computed at once."""
_EIGHT_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (dy, dx) from a pixel to half of its neighbours, as in sep; the other half are the steps back."""


def measure_own(
    segments: WindowedImage,
    snr: WindowedImage,
    stack: Stack,
    image: WindowedImage,
    mask: WindowedImage,
    wcs: WCS,
    *,
    relative_noise: WindowedImage | None = None,
    work: Workspace | None = None,
) -> DetectedSources:
    """Return the catalogue of a segmentation map of the user, measured as that of the automatic detection.

    Parameters
    ----------
    segments : int32 image (ny, nx)
        0 = sky; the IDs need not be consecutive.
    snr : image (ny, nx)
        Smoothed S/N image.
    stack, image, mask, wcs, relative_noise, work
        As in `detect`.

    Raises
    ------
    UnblendError
        No usable pixel is outside the segments.
    """
    background, rms = flux_level(image, mask, segments, relative_noise, work)
    catalogue = measure(
        segments, stack, image, mask, wcs, background=background, rms=rms, relative_noise=relative_noise, work=work
    )
    return DetectedSources(segments, catalogue, snr, {}, background, rms)


def grow_segments(
    ids: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    snr: WindowedImage,
    usable: WindowedImage,
    *,
    threshold: float,
    fwhm_pixels: float,
    noise: WindowedImage | None = None,
    work: Workspace | None = None,
) -> Canvas:
    """Return segments grown around positions: the watershed of the pixels above a threshold.

    The pixels within half a FWHM belong to the nearest position, those within one FWHM may be part of a segment even
    below the threshold. Connected pixels without a position belong to no source. Each connected area with several
    positions is flooded in a window of its own.

    Parameters
    ----------
    ids : int array (n,)
        IDs of the sources.
    y, x : arrays (n,)
        0-based positions on the image, no two in the same pixel.
    snr : image (ny, nx)
        Smoothed S/N image.
    usable : bool image (ny, nx)
        False where no image is usable: these pixels belong to no source.
    threshold : float
        In units of the noise.
    fwhm_pixels : float
        FWHM of the PSF.
    noise : image (ny, nx), optional
        Local noise up to a factor. The watershed is then that of the surface brightness, snr × noise.
    work : Workspace, optional

    Returns
    -------
    int32 image (ny, nx)
        0 = sky. A source without a usable pixel near its position has none.
    """
    work, shape = work or Workspace(), snr.shape
    markers, allowed = work.new(shape, np.int32), BitMask(shape)
    for strip in work.strips(shape):
        core = _cores(y, x, CORE_FWHM * fwhm_pixels, strip.core)
        halo = nearest_position(y, x, HALO_FWHM * fwhm_pixels, strip.core)
        inside = usable[strip.slices] & ((snr[strip.slices] > threshold) | (halo > 0) | (core > 0))
        allowed[strip.slices], markers[strip.slices] = inside, np.where(inside, core, 0)
    blobs = connected_areas(shape, lambda strip: allowed[strip.slices], work)
    blob, position = _positions_of_blobs(blobs, markers, work)
    count = np.bincount(blob, minlength=len(blobs) + 1)
    alone = count[blob] == 1
    owner = np.zeros(count.size, dtype=np.int32)
    owner[blob[alone]] = ids[position[alone] - 1]
    result = work.new(shape, np.int32)
    for strip in work.strips(shape):
        result[strip.slices] = owner[blobs[strip.slices]]
    shared = blobs.renumbered(np.where(count > 1, np.arange(count.size), 0))
    for number, box in extents(shared, work).boxes().items():
        inside = blobs[box.slices] == number
        flooded = _flooded(snr, noise, markers, inside, box)
        part = np.array(result[box.slices])
        part[inside] = ids[flooded[inside] - 1]
        result[box.slices] = part
    return result


def _cores(y: np.ndarray, x: np.ndarray, radius_pixels: float, box: Box) -> np.ndarray:
    """Return the number (from 1) of the position to whose core each pixel of a box belongs, 0 outside all cores.

    The pixel of a position is always part of its core, even if the PSF is narrower than a pixel.
    """
    core = nearest_position(y, x, radius_pixels, box)
    rows, columns = pixel_of(y), pixel_of(x)
    inside = (rows >= box.y0) & (rows < box.y1) & (columns >= box.x0) & (columns < box.x1)
    core[rows[inside] - box.y0, columns[inside] - box.x0] = np.flatnonzero(inside) + 1
    return core


def _positions_of_blobs(blobs: Areas, markers: WindowedImage, work: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """Return each pair of a connected area and a position (numbers from 1) whose core has pixels in it, once."""
    found = [np.zeros((2, 0), dtype=np.int32)]
    for strip in work.strips(blobs.shape):
        marker = markers[strip.slices]
        marked = marker > 0
        found.append(np.unique(np.stack([blobs[strip.slices][marked], marker[marked]]), axis=1))
    blob, position = np.unique(np.concatenate(found, axis=1), axis=1)
    return blob, position


def _flooded(
    snr: WindowedImage, noise: WindowedImage | None, markers: WindowedImage, blob: np.ndarray, box: Box
) -> np.ndarray:
    """Return the watershed of one connected area (bool, the pixels of its box): numbers of positions, 0 outside."""
    height = snr[box.slices]
    if noise is not None:
        light = np.zeros(blob.shape)
        light[blob] = height[blob] * noise[box.slices][blob]
        height = light
    return flood(height, np.where(blob, markers[box.slices], 0), blob)


def flood(height: np.ndarray, markers: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the watershed of an image from markers, highest pixels first.

    It is the minimum spanning forest rooted in the markers, where the step between two neighbouring pixels is as high
    as the lower of them (Cousty et al. 2009, IEEE TPAMI 31, 1362). Of equal steps the one from the higher pixel counts,
    so that the result does not depend on the rest of the image.

    Parameters
    ----------
    height : array (ny, nx)
    markers : int array (ny, nx)
        Label of each pixel of a marker, otherwise 0; at least one.
    allowed : bool array (ny, nx)
        Pixels that may get a label, those of the markers included.

    Returns
    -------
    int array (ny, nx)
        Labels; 0 where not allowed and where no marker is connected (over sides and corners).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    count = int(np.count_nonzero(allowed))
    # Node 0 is the root; the others are the pixels by their rank, highest first, at equal height by position.
    rank = np.zeros(allowed.shape, dtype=np.int64)
    values = np.zeros(count, dtype=np.int64)
    values[np.argsort(-height[allowed], kind="stable")] = np.arange(1, count + 1)
    rank[allowed] = values
    steps = [_pairs(rank, dy, dx) for dy, dx in _EIGHT_NEIGHBOURS]
    first, second = (np.concatenate(ends) for ends in zip(*steps, strict=True))
    lower, higher = np.maximum(first, second), np.minimum(first, second)
    marked = rank[markers > 0]
    weight = np.concatenate([lower * (count + 1.0) + higher, np.full(marked.size, 0.5)])
    ends = np.concatenate([first, np.zeros_like(marked)]), np.concatenate([second, marked])
    tree = minimum_spanning_tree(coo_array((weight, ends), shape=(count + 1, count + 1)).tocsr()).tocoo()
    inside = (tree.row > 0) & (tree.col > 0)
    forest = coo_array((tree.data[inside], (tree.row[inside], tree.col[inside])), shape=tree.shape)
    _, component = connected_components(forest, directed=False)
    label_of = np.zeros(count + 1, dtype=markers.dtype)
    label_of[component[marked]] = markers[markers > 0]
    result = np.zeros_like(markers)
    result[allowed] = label_of[component[values]]
    return result


def pixel_of(coordinate: np.ndarray) -> np.ndarray:
    """Return the index of the pixel in which a 0-based coordinate lies."""
    return np.floor(coordinate + 0.5).astype(int)


def nearest_position(y: np.ndarray, x: np.ndarray, radius_pixels: float, box: Box) -> np.ndarray:
    """Return for each pixel of a box the number (from 1) of the nearest position within a radius, 0 if there is none.

    Of several positions at the same distance it is the last one.

    Parameters
    ----------
    y, x : arrays (n,)
        0-based positions on the image.
    radius_pixels : float
    box : Box

    Returns
    -------
    int32 array (ny, nx)
    """
    half = int(np.ceil(radius_pixels)) + 1
    wide, row, column = box.grown(half), pixel_of(y), pixel_of(x)
    near = np.flatnonzero((row >= wide.y0) & (row < wide.y1) & (column >= wide.x0) & (column < wide.x1))
    steps = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1)
    result, least = np.zeros(box.shape, dtype=np.int32), np.full(box.shape, np.inf)
    portions = min(near.size, near.size * steps.shape[1] // PIXELS_AT_ONCE) + 1
    for some in np.array_split(near, portions):
        rows, columns = row[some][:, None] + steps[0], column[some][:, None] + steps[1]
        distance = np.hypot(rows - y[some][:, None], columns - x[some][:, None])
        inside = (rows >= box.y0) & (rows < box.y1) & (columns >= box.x0) & (columns < box.x1)
        inside &= distance <= radius_pixels
        number = np.broadcast_to(some[:, None] + 1, inside.shape)[inside]
        rows, columns, distance = rows[inside] - box.y0, columns[inside] - box.x0, distance[inside]
        nearer = np.flatnonzero(distance <= least[rows, columns])
        # The last of several values for a pixel remains: that of the nearest position.
        order = nearer[np.argsort(-distance[nearer], kind="stable")]
        at = rows[order], columns[order]
        result[at], least[at] = number[order], distance[order]
    return result


def _pairs(rank: np.ndarray, dy: int, dx: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks of all allowed pixels and of their neighbours a step (dy, dx) away, where these are allowed."""
    ny, nx = rank.shape
    first = rank[: ny - dy, max(-dx, 0) : nx - max(dx, 0)]
    second = rank[dy:, max(dx, 0) : nx - max(-dx, 0)]
    both = (first > 0) & (second > 0)
    return first[both], second[both]
