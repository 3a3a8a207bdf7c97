"""Whether the noise of a band changes over its image though its weights do not say so."""

from __future__ import annotations

import numpy as np

from ..core.statistics import robust_sigma

BLOCKS = 10
"""Blocks along the longer side of the image."""
MIN_PIXELS, MIN_BLOCKS = 40, 20
"""Fewest pixels without sources in a block, whose scatter is then good to 13 %, and fewest such blocks."""
NOTABLE = 3.0
"""Scatter of the noisiest tenth of the blocks over that of the quietest from which a user is told. It is 1.0 to 1.5 in
real and drawn fields, and 2.7 in a cutout that faint parts of clumpy galaxies fill."""


def measure_noise_range(pulls: np.ndarray, usable: np.ndarray) -> float | None:
    """Return the 90th over the 10th percentile of the scatter in blocks; None if too few pixels are free of sources.

    Parameters
    ----------
    pulls : array (ny, nx)
        Residual over the noise by the weights; may hold NaN.
    usable : bool array (ny, nx)
        False near sources and where there are no data.
    """
    usable = usable & np.isfinite(pulls)
    side = max(4, -(-max(pulls.shape) // BLOCKS))
    spreads = []
    for y in range(0, pulls.shape[0], side):
        for x in range(0, pulls.shape[1], side):
            window = slice(y, y + side), slice(x, x + side)
            values = pulls[window][usable[window]]
            if values.size >= MIN_PIXELS:
                spreads.append(robust_sigma(values))
    if len(spreads) < MIN_BLOCKS:
        return None
    low, high = np.percentile(spreads, [10.0, 90.0])
    return float(high / low) if low > 0 else None


def noise_range_warning(ratio: float | None, band: str) -> str | None:
    """Return a sentence for the user if the noise changes notably, otherwise None."""
    if ratio is None or ratio < NOTABLE:
        return None
    return (
        f"{band}: the noise of the pixels changes over the image by a factor of {ratio:.1f} more than the weights say: "
        "the errors are too small in one part and too large in another, and the fluxes are not the best ones; set "
        f"bands.{band}.weight to a map of the noise."
    )
