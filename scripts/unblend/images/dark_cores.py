"""Pixels of no light in the middle of bright sources: the cores of saturated stars as some pipelines leave them.

So are a few pixels far below the sky beside others that are not: nothing on the sky is darker than the sky, nor sharper
than the PSF.
"""

from __future__ import annotations

import numpy as np

from ..core.statistics import robust_sigma
from ..core.strips import BitMask, Workspace
from ..core.types import WindowedImage

_BRIGHT, _FAINTEST_BESIDE = 20.0, 5.0
"""Noises above the sky of the typical pixel beside a dark core, and of the faintest one."""
_FAINTEST_NEAR = -5.0
"""Noises above the sky of the faintest pixel within 2 pixels: in a noisier part of an image some are below it."""
_DARK = 3.0
"""Noises above the sky below which a pixel of a core is dark. Through any PSF that the pixels sample, the light around
such a hole would fill it."""
_DEEPER = 10.0
"""Depth of a hole below the sky in units of the scatter of the pixels within 2 pixels, for the same reason."""
_IMPOSSIBLE = 1e10
"""Distance from the sky of a pixel that holds no measurement, in units of that of the brightest of 1000 pixels."""
_LARGEST = 15
"""Largest side of a core in pixels."""
_SAMPLE = 1_000_000
"""Number of pixels from which sky and noise are estimated."""


def dark_cores(image: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
    """Return True for small holes without light that bright pixels enclose on all sides, and for those below the sky.

    Zeros, large negative numbers and values that were wrapped are found alike, and so are numbers that no detector
    gives, such as 1e38. Holes that are as far below the sky as the pixels beside a core are above it need no bright
    pixels around them.

    Parameters
    ----------
    image : array (ny, nx)
        NaN pixels count as neither dark nor bright.
    missing : array (ny, nx) of bool, optional
        True for other pixels that count as neither.

    Returns
    -------
    array (ny, nx) of bool
    """
    ignored = None if missing is None else BitMask.of(missing)
    return dark_core_mask(image, ignored, Workspace())[:, :]


def dark_core_mask(image: WindowedImage, missing: WindowedImage | None, work: Workspace) -> BitMask:
    """Return what `dark_cores` does, of an image of any size."""
    found = BitMask(image.shape)
    known = _sample(image, missing, work)
    if not known.size or not (noise := robust_sigma(known)) > 0:
        return found
    sky = float(np.median(known))
    farthest = _IMPOSSIBLE * max(noise, float(np.percentile(np.abs(known - sky), 99.9)))
    # a core and the pixels around it lie in the strip and its margin
    for strip in work.strips(image.shape, _LARGEST + 1):
        wide = strip.wide.slices
        part = image[wide]
        usable = np.isfinite(part) if missing is None else np.isfinite(part) & ~missing[wide]
        bright, dark = usable & (part > sky + _BRIGHT * noise), usable & (part < sky + _DARK * noise)
        deep, level = usable & (part < sky - _BRIGHT * noise), usable & (part > sky - _DARK * noise)
        cores = usable & (np.abs(part - sky) > farthest)
        for inside, beside, is_hole in ((dark, bright, _is_bright), (deep, level, _is_below)):
            edge = np.zeros_like(dark)
            edge[:, 1:] = inside[:, 1:] & beside[:, :-1]
            if inside is deep:  # what is told by the first pixel beside it: in noise there are many
                edge[:, 1:] &= _DEEPER * (part[:, :-1] - sky) < sky - part[:, 1:]
            for y, x in np.argwhere(edge[strip.inside]).tolist():
                y += strip.inside[0].start
                if cores[y, x]:
                    continue
                window = tuple(slice(max(at - _LARGEST, 0), at + _LARGEST + 1) for at in (y, x))
                hole = _enclosed(part[window], inside[window], (y - window[0].start, x - window[1].start))
                if hole is not None and is_hole(part[window], hole, sky, noise):
                    cores[window] |= hole
        if cores.any():
            found[wide] = found[wide] | cores
    return found


def _sample(image: WindowedImage, missing: WindowedImage | None, work: Workspace) -> np.ndarray:
    """Return every k-th pixel of an image in the order of rows, as far as it is known."""
    ny, nx = image.shape
    step = max(1, ny * nx // _SAMPLE)
    parts = [np.zeros(0)]
    for strip in work.strips(image.shape):
        first = -strip.core.y0 * nx % step
        known = image[strip.slices].ravel()[first::step]
        if missing is not None:
            known = known[~missing[strip.slices].ravel()[first::step]]
        parts.append(known[np.isfinite(known)])
    return np.concatenate(parts)


def _enclosed(image: np.ndarray, dark: np.ndarray, at: tuple[int, int]) -> np.ndarray | None:
    """Return the connected dark pixels around a position; None if they are too many or reach the edge."""
    from scipy.ndimage import label

    y, x = at
    if any(side.all() for side in (dark[y, x:], dark[:y, x], dark[y:, x])):
        return None  # the sky beside a source: most are told by this alone
    areas, _ = label(dark)
    hole = areas == areas[at]
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    for used, side in ((rows, image.shape[0]), (columns, image.shape[1])):
        if used[0] == 0 or used[-1] == side - 1 or used.size > _LARGEST:
            return None
    return hole


def _is_bright(image: np.ndarray, hole: np.ndarray, sky: float, noise: float) -> bool:
    """Return whether all light beside a hole is that of a bright source."""
    known = _beside(image, hole)
    return bool(
        known.size > 0
        and known.min() > sky + _FAINTEST_BESIDE * noise
        and np.median(known) > sky + _BRIGHT * noise
        and _near(image, hole).min() > sky + _FAINTEST_NEAR * noise
    )


def _is_below(image: np.ndarray, hole: np.ndarray, sky: float, noise: float) -> bool:
    """Return whether no pixel beside a hole below the sky is itself below the sky, and their scatter is no noise."""
    known = _beside(image, hole)
    if not known.size or known.min() <= sky - _DARK * noise:
        return False
    near = _near(image, hole)
    scatter = near[near > sky - _BRIGHT * noise].std()  # without other holes
    return bool(image[hole].max() < sky - _DEEPER * scatter)


def _beside(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return the known pixels beside a hole."""
    return _around(image, hole, None, 1)


def _near(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return the known pixels of the two rows and columns around a hole."""
    return _around(image, hole, np.ones((3, 3), dtype=bool), 2)


def _around(image: np.ndarray, hole: np.ndarray, structure: np.ndarray | None, iterations: int) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    ring = image[binary_dilation(hole, structure, iterations) & ~hole]
    return ring[np.isfinite(ring)]
