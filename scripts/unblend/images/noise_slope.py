"""Whether the noise of an image rises where a map says that it does, whatever the unit of the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma

BLOCKS, SMALLEST_BLOCK, LARGEST_BLOCK = 32, 16, 64
"""Blocks along the longer side of the image, and the sides in pixels of the smallest block and of the part of a large
one that is looked at: the scatter of 16 x 16 pixels is good to 7 %."""
MIN_BLOCKS = 12
"""Fewest blocks of which at least half of the pixels are usable."""
MIN_RANGE = 1.05
"""Least factor between the 5th and the 95th percentile of the noise of the blocks; below it a map is constant."""
SIGNIFICANT = 4.0
"""A slope differs from 0 if it is this many times its error."""
NOTABLE = 0.25
"""Smallest slope that counts. It is 1 for the noise, and -0.5 or less for a map whose values have the opposite
meaning; between them lies 0, an image whose noise does not follow the map."""
_ROUNDS, _CLIP = 3, 3.0


@dataclass(frozen=True)
class NoiseSlope:
    """The exponent with which the scatter of the pixels follows the noise of a map, and its error.

    Parameters
    ----------
    value : float
        1 for a map of the noise in any unit; -2 for weights that are the noise, -1 for weights that are variances,
        -0.5 for a noise that is the inverse variance.
    error : float
        From the scatter of the blocks around the relation.
    """

    value: float
    error: float

    @property
    def falls(self) -> bool:
        """Whether the image is noisier where the map says that it is quieter."""
        return self.value < -max(NOTABLE, SIGNIFICANT * self.error)


def noise_slope(image: np.ndarray, noise: np.ndarray, usable: np.ndarray) -> NoiseSlope | None:
    """Return the slope of the logarithm of the scatter over that of a map, in blocks of the image.

    The scatter is that of the differences of neighbouring pixels, so that neither a gradient of the background nor a
    few sources in a block matter; noise that is correlated in the same way everywhere lowers it by one factor.

    Parameters
    ----------
    image, noise : arrays (ny, nx)
        The noise in any unit, positive where usable.
    usable : bool array (ny, nx)

    Returns
    -------
    NoiseSlope or None
        None where the map is as good as constant, or too few blocks can be used.
    """
    by_map, scatter = _blocks(image, noise, usable)
    if len(by_map) < MIN_BLOCKS:
        return None
    x, y = np.log(by_map), np.log(scatter)
    low, high = np.percentile(x, [5.0, 95.0])
    if high - low < np.log(MIN_RANGE):
        return None
    good = np.ones(x.size, dtype=bool)
    for _ in range(_ROUNDS):
        slope, level = np.polyfit(x[good], y[good], 1)
        rest = y - slope * x - level
        sigma = max(robust_sigma(rest[good]), 1e-6)
        kept = np.abs(rest) <= _CLIP * sigma
        if kept.sum() < MIN_BLOCKS or np.ptp(x[kept]) < np.log(MIN_RANGE):
            break
        good = kept
    error = sigma / np.sqrt(np.sum((x[good] - x[good].mean()) ** 2))
    return NoiseSlope(float(slope), float(error))


def _blocks(image: np.ndarray, noise: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median noise of the map and the scatter of the pixels in each block."""
    step = max(SMALLEST_BLOCK, -(-max(image.shape) // BLOCKS))
    side = min(step, LARGEST_BLOCK)
    found = []
    for y in range(0, image.shape[0] - side + 1, step):
        for x in range(0, image.shape[1] - side + 1, step):
            window = slice(y, y + side), slice(x, x + side)
            used = usable[window]
            if 2 * np.count_nonzero(used) < used.size:
                continue
            pixels = image[window]
            differences = (pixels[:, 1:] - pixels[:, :-1])[used[:, 1:] & used[:, :-1]]
            scatter = robust_sigma(differences)
            if scatter > 0:
                found.append((float(np.median(noise[window][used])), scatter))
    return tuple(np.array(found).reshape(-1, 2).T)  # type: ignore[return-value]
