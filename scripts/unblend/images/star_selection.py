"""Stars of an image for its PSF: compact, bright, alone, unsaturated, away from borders and masked pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.units import FWHM_PER_SIGMA
from .saturation import find_plateau, is_saturated
from .star_psf import StarStamp

LEAST_SNR = 50.0
SIDE_IN_FWHM = 12.0
"""Side of the stamps, where it is not given."""
FAINT_NEIGHBOURS, LARGEST_NEIGHBOURS = 0.02, 0.3
"""Light of other sources in the stamp, as a fraction of the star's. Up to the first, their wings beyond their masks are
negligible; stars with more, up to the second, are used where there are few others."""
SMALLEST_RADIUS = 0.65
"""Half-light radius in pixels below which a source is a hot pixel or a cosmic ray; that of one square pixel is 0.4."""
LOCUS_WIDTH = 0.12
"""Range of the logarithm of the half-light radius in which the stars lie."""
LOCUS_TOLERANCE = 0.07
"""Largest difference of the logarithm of a star's half-light radius from the median of the stars."""
FEWEST = 3
MESH = 64
"""Side in pixels of the mesh of the background with which the sources are found."""
THRESHOLD, FAINT_THRESHOLD = 3.0, 2.0
"""Thresholds in sigma: of the sources, and of the light that is masked around a star. At the lower one a bright star
and its neighbours are often one source."""
NEIGHBOUR_SNR = 5.0
"""Signal-to-noise ratio above which a source counts as a neighbour; many fainter ones are noise, and only masked."""
MASKED_RADII = 2.0
"""Half-light radii of the star by which the segments of its neighbours are grown."""
MATCH_PIXELS = 3.0
"""Largest distance of a given star from the source that is found there."""
OUTER_RING = 1.6
"""Half-side of the area for the background over that of the stamp."""


@dataclass(frozen=True)
class FoundSources:
    """Sources of an image.

    Parameters
    ----------
    y, x, flux, radius, snr : arrays (n,)
        Position (0-based), light in the segment, half-light radius in pixels, signal-to-noise ratio.
    labels : array (ny, nx)
        Segments, numbered from 1.
    faint : array (ny, nx)
        Segments down to a lower threshold, numbered from 1 in another order.
    noise : array (ny, nx)
        Noise of a pixel (1 sigma).
    """

    y: np.ndarray
    x: np.ndarray
    flux: np.ndarray
    radius: np.ndarray
    snr: np.ndarray
    labels: np.ndarray
    faint: np.ndarray
    noise: np.ndarray


def find_sources(image: np.ndarray, mask: np.ndarray) -> FoundSources:
    """Return the sources of an image; `mask` is True where a pixel is ignored."""
    import sep

    mask = mask | ~np.isfinite(image)
    data = np.ascontiguousarray(np.where(mask, 0.0, image), dtype=np.float64)
    mesh = min(MESH, *data.shape)
    background = sep.Background(data, mask=mask, bw=mesh, bh=mesh)
    light, noise = data - background.back(), background.rms()
    sep.set_extract_pixstack(max(data.size, 10_000))
    found, labels = sep.extract(light, THRESHOLD, err=noise, mask=mask, minarea=5, segmentation_map=True)
    _, faint = sep.extract(light, FAINT_THRESHOLD, err=noise, mask=mask, minarea=5, segmentation_map=True)
    ids = np.arange(1, len(found) + 1)
    places = found["x"], found["y"]
    radius, _ = sep.flux_radius(
        light, *places, 6.0 * found["a"], 0.5, mask=mask, seg_id=ids, segmap=labels, subpix=5
    )  # fmt: skip
    x, y, _ = sep.winpos(light, *places, 2.0 / FWHM_PER_SIGMA * np.maximum(radius, 0.5), mask=mask)
    # the window of a faint neighbour moves to the star
    stays = np.hypot(y - places[1], x - places[0]) < 1.0
    x, y = np.where(stays, x, places[0]), np.where(stays, y, places[1])
    rows, columns = (np.clip(np.rint(c).astype(int), 0, n - 1) for c, n in zip((y, x), noise.shape, strict=True))
    area = 4.0 * np.pi * (2.0 * np.maximum(radius, 0.5) / FWHM_PER_SIGMA) ** 2
    snr = found["flux"] / (noise[rows, columns] * np.sqrt(area))
    return FoundSources(y, x, found["flux"], radius, snr, labels, faint, noise)


def stellar_radius(sources: FoundSources) -> float | None:
    """Return the half-light radius of the stars, the smallest of at least `FEWEST` bright sources, or None."""
    bright = (sources.snr > LEAST_SNR) & (sources.radius > SMALLEST_RADIUS)
    sizes = np.sort(np.log(sources.radius[bright]))
    number = np.searchsorted(sizes, sizes + LOCUS_WIDTH, side="right") - np.arange(sizes.size)
    enough = np.flatnonzero(number >= FEWEST)
    if not enough.size:
        return None
    near = np.flatnonzero(sizes <= sizes[enough[0]] + LOCUS_WIDTH)
    first = max((i for i in near if i >= enough[0]), key=lambda i: (number[i], -i))
    return float(np.exp(np.median(sizes[first : first + number[first]])))


def star_like(sources: FoundSources, radius: float) -> np.ndarray:
    """Return the indices of the bright sources that have the half-light radius of stars, the brightest first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = np.abs(np.log(sources.radius / radius)) < LOCUS_TOLERANCE
    chosen = np.flatnonzero(alike & (sources.snr > LEAST_SNR))
    return chosen[np.argsort(-sources.snr[chosen], kind="stable")]


def sources_at(sources: FoundSources, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the index of the source nearest to each given place, -1 where none is within `MATCH_PIXELS`.

    Parameters
    ----------
    sources : FoundSources
    y, x : arrays (n,)
        0-based pixels.
    """
    if not sources.y.size:
        return np.full(len(y), -1)
    distance = np.hypot(np.subtract.outer(y, sources.y), np.subtract.outer(x, sources.x))
    distance = np.where(np.isfinite(distance), distance, np.inf)
    return np.where(distance.min(axis=1) <= MATCH_PIXELS, distance.argmin(axis=1), -1)


def star_stamp(
    image: np.ndarray,
    mask: np.ndarray,
    sources: FoundSources,
    star: int,
    *,
    half_side: int,
    saturation: float | None = None,
) -> StarStamp | str:
    """Return the pixels of a star, its neighbours masked, or why it is not used.

    Parameters
    ----------
    image, mask : arrays (ny, nx)
        `mask` is True where a pixel is ignored.
    sources : FoundSources
    star : int
        Index of the source.
    half_side : int
        The stamp has 2 * half_side + 1 pixels a side.
    saturation : float, optional
        Level at and above which a pixel is saturated; flat tops are saturated without it, too.

    Returns
    -------
    StarStamp or str
        The reason is one of border, masked, saturated and blended.
    """
    y, x, flux = sources.y[star], sources.x[star], sources.flux[star]
    row, column = round(float(y)), round(float(x))
    if min(row, column, image.shape[0] - 1 - row, image.shape[1] - 1 - column) < half_side:
        return "border"
    inside = np.s_[row - half_side : row + half_side + 1, column - half_side : column + half_side + 1]
    core = max(3, round(3.0 * sources.radius[star]))
    middle = np.s_[row - min(core, half_side) : row + min(core, half_side) + 1,
                   column - min(core, half_side) : column + min(core, half_side) + 1]  # fmt: skip
    ignored = mask | ~np.isfinite(image)
    if ignored[middle].any() or ignored[inside].mean() > 0.1:
        return "masked"
    if is_saturated(image[middle], saturation).any() or find_plateau(image[middle]) is not None:
        return "saturated"
    reach = np.maximum(np.abs(sources.y - row), np.abs(sources.x - column))
    others = (np.arange(sources.y.size) != star) & (sources.snr > NEIGHBOUR_SNR)
    neighbours = float(sources.flux[others & (reach <= half_side)].sum() / flux)
    if neighbours > LARGEST_NEIGHBOURS:
        return "blended"
    if (sources.flux[others & (reach <= OUTER_RING * half_side)] > flux).any():
        return "blended"
    return replace(_stamp(image, ignored, sources, star, half_side), neighbours=neighbours)


def _stamp(image: np.ndarray, ignored: np.ndarray, sources: FoundSources, star: int, half_side: int) -> StarStamp:
    from scipy.ndimage import binary_dilation

    row, column = round(float(sources.y[star])), round(float(sources.x[star]))
    outer = round(OUTER_RING * half_side)
    top, left = max(row - outer, 0), max(column - outer, 0)
    area = np.s_[top : row + outer + 1, left : column + outer + 1]
    own = sources.labels[area] == star + 1
    others = (sources.labels[area] > 0) & ~own
    below = sources.faint[row, column]
    others |= (sources.faint[area] > 0) & (sources.faint[area] != below) & ~own
    own |= (sources.faint[area] == below) & (below > 0)
    bad = ignored[area] | binary_dilation(others, iterations=max(1, round(MASKED_RADII * sources.radius[star])))
    rows, columns = np.indices(bad.shape)
    rows, columns = rows + top - (row - half_side), columns + left - (column - half_side)
    side = 2 * half_side + 1
    within = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    ring = ~within & ~bad & ~own
    data = image[area].astype(float)
    error = np.where(bad, np.inf, sources.noise[area])
    return StarStamp(
        np.where(bad, 0.0, data)[within].reshape(side, side),
        error[within].reshape(side, side),
        float(sources.y[star]) - row + half_side,
        float(sources.x[star]) - column + half_side,
        float(sources.flux[star]),
        np.stack([rows[ring], columns[ring], data[ring]], axis=1),
    )


def half_side_of(radii: Sequence[float] | np.ndarray, side_pixels: float | None = None) -> int:
    """Return half of the side of the stamps in pixels, without the middle one, for half-light radii of stars."""
    fwhm = 2.0 * float(np.median(radii))
    return max(5, round((SIDE_IN_FWHM * fwhm if side_pixels is None else side_pixels) / 2.0))
