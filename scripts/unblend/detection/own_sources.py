"""Sources that the user gives in place of the automatic detection: as a segmentation map, or as positions.

IDs are kept, and no source is rejected for its size or its S/N.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.strips import Workspace
from ..core.types import WindowedImage
from .sources import DetectedSources, flux_level, measure
from .stack import Stack

if TYPE_CHECKING:
    from astropy.wcs import WCS

CORE_FWHM = 0.5
"""Radius in FWHM of the PSF of the core of a source: pixels that belong to the nearest position in any case."""
HALO_FWHM = 1.0
"""Radius in FWHM of the PSF of the smallest segment of an isolated source. It holds 94 % of a Gaussian PSF."""
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
    snr: np.ndarray,
    usable: np.ndarray,
    *,
    threshold: float,
    fwhm_pixels: float,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Return segments grown around positions: the watershed of the pixels above a threshold.

    The pixels within half a FWHM belong to the nearest position, those within one FWHM may be part of a segment even
    below the threshold. Connected pixels without a position belong to no source.

    Parameters
    ----------
    ids : int array (n,)
        IDs of the sources.
    y, x : arrays (n,)
        0-based positions on the image, no two in the same pixel.
    snr : array (ny, nx)
        Smoothed S/N image.
    usable : bool array (ny, nx)
        False where no image is usable: these pixels belong to no source.
    threshold : float
        In units of the noise.
    fwhm_pixels : float
        FWHM of the PSF.
    noise : array (ny, nx), optional
        Local noise up to a factor. The watershed is then that of the surface brightness, snr × noise.

    Returns
    -------
    int32 array (ny, nx)
        0 = sky. A source without a usable pixel near its position has none.
    """
    from scipy.ndimage import find_objects, label

    # The pixel of a position is always part of its core, even if the PSF is narrower than a pixel.
    core = nearest_position(y, x, CORE_FWHM * fwhm_pixels, snr.shape)
    core[pixel_of(y), pixel_of(x)] = np.arange(1, ids.size + 1)
    halo = nearest_position(y, x, HALO_FWHM * fwhm_pixels, snr.shape)
    allowed = usable & ((snr > threshold) | (halo > 0) | (core > 0))
    markers = np.where(allowed, core, 0)
    height = snr if noise is None else np.where(allowed, snr * noise, 0.0)
    blobs, _ = label(allowed, structure=np.ones((3, 3)))
    windows = find_objects(blobs)
    result = np.zeros(snr.shape, dtype=np.int32)
    for number in np.unique(blobs[markers > 0]):
        window = windows[number - 1]
        blob = blobs[window] == number
        inside = np.where(blob, markers[window], 0)
        numbers = np.unique(inside[inside > 0])
        flooded = flood(height[window], inside, blob)[blob] if numbers.size > 1 else numbers
        result[window][blob] = ids[flooded - 1]
    return result


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


def nearest_position(y: np.ndarray, x: np.ndarray, radius_pixels: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return for each pixel the number (from 1) of the nearest position within a radius, 0 if there is none.

    Parameters
    ----------
    y, x : arrays (n,)
        0-based positions.
    radius_pixels : float
    shape : (ny, nx)
    """
    half = int(np.ceil(radius_pixels)) + 1
    steps = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1)
    rows, columns = (pixel_of(at)[:, None] + step for at, step in zip((y, x), steps, strict=True))
    distance = np.hypot(rows - y[:, None], columns - x[:, None])
    near = (distance <= radius_pixels) & (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    number = np.broadcast_to(np.arange(1, y.size + 1)[:, None], near.shape)[near]
    order = np.argsort(-distance[near], kind="stable")
    result = np.zeros(shape, dtype=np.int64)
    # The last of several values for a pixel remains: that of the nearest position.
    result[rows[near][order], columns[near][order]] = number[order]
    return result


def _pairs(rank: np.ndarray, dy: int, dx: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks of all allowed pixels and of their neighbours a step (dy, dx) away, where these are allowed."""
    ny, nx = rank.shape
    first = rank[: ny - dy, max(-dx, 0) : nx - max(dx, 0)]
    second = rank[dy:, max(dx, 0) : nx - max(-dx, 0)]
    both = (first > 0) & (second > 0)
    return first[both], second[both]
