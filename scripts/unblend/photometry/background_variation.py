"""Whether the background of a band varies where one level, or a polynomial of low order, is fitted.

A gradient that is not fitted enters the fluxes: too high on one side of the image, too low on the other. The errors
grow with it, because they follow the scatter of the residual, and do not tell it from noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma
from .background_polynomial import BackgroundPolynomial

BLOCKS = 10
"""Blocks along the longer side of the image."""
MIN_PIXELS = 12
"""Fewest pixels without sources in a block whose median is used."""
MIN_BLOCKS = 20
"""Fewest such blocks."""
ORDER = 2
"""Order of the polynomial through the medians: gradients, and the bowls and domes of flat fields."""
SIGNIFICANT_ERRORS, NOTABLE_NOISE = 6.0, 1.0
"""A background varies notably if its range is larger than this many of its errors, and than this many times the noise
of a pixel. At half the noise of a pixel from the mean level, a source whose template covers 25 pixels is off by 2.5 of
its errors."""


@dataclass(frozen=True)
class BackgroundVariation:
    """The variation of a background that was not fitted.

    Parameters
    ----------
    span : float
        From the second to the 98th percentile of a polynomial of order 2, image units.
    error : float
        Error of its values, image units.
    noise : float
        Noise of a pixel without the variation, image units.
    """

    span: float
    error: float
    noise: float

    @property
    def is_notable(self) -> bool:
        """Whether it changes fluxes by more than the noise does."""
        return self.span > max(SIGNIFICANT_ERRORS * self.error, NOTABLE_NOISE * self.noise)


def measure_variation(residual: np.ndarray, usable: np.ndarray) -> BackgroundVariation | None:
    """Return the variation of what is left between the sources; None if too few pixels are free of them.

    Parameters
    ----------
    residual : array (ny, nx)
        Image minus models and fitted background; may hold NaN.
    usable : bool array (ny, nx)
        False near sources and where there are no data. True where light was masked as unmodelled: that may be the
        background.
    """
    usable = usable & np.isfinite(residual)
    side = max(4, -(-max(residual.shape) // BLOCKS))
    centres, medians, spreads = [], [], []
    for y in range(0, residual.shape[0], side):
        for x in range(0, residual.shape[1], side):
            window = slice(y, y + side), slice(x, x + side)
            values = residual[window][usable[window]]
            if values.size >= MIN_PIXELS:
                centres.append((y + 0.5 * (side - 1), x + 0.5 * (side - 1)))
                medians.append(float(np.median(values)))
                spreads.append(robust_sigma(values))
    if len(medians) < MIN_BLOCKS:
        return None
    rows, columns = np.minimum(np.round(centres).astype(int), np.array(residual.shape) - 1).T
    polynomial = BackgroundPolynomial((residual.shape[0], residual.shape[1]), ORDER)
    design = np.stack([polynomial.image(unit)[rows, columns] for unit in np.eye(len(polynomial.terms))], axis=1)
    coefficients, rest = _robust_fit(design, np.array(medians))
    low, high = np.percentile(design @ coefficients, [2, 98])
    error = robust_sigma(rest) * np.sqrt(design.shape[1] / len(medians))
    return BackgroundVariation(float(high - low), float(error), float(np.median(spreads)))


def variation_warning(found: BackgroundVariation | None, band: str) -> str | None:
    """Return a sentence for the user if the background varies notably, otherwise None."""
    if found is None or not found.is_notable:
        return None
    return (
        f"{band}: the background varies over the image by {found.span / found.noise:.2g} times the noise of a pixel "
        f"({found.span:.3g} in image units), which changes the fluxes by more than the noise and swells their errors; "
        f"set bands.{band}.background, for example to {{box: 15.0}} (arcsec) or {{order: 2}}."
    )


def _robust_fit(design: np.ndarray, values: np.ndarray, rounds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of a fit without outliers beyond 3 sigma, and what it leaves of all values."""
    good = np.ones(values.size, dtype=bool)
    for _ in range(rounds):
        coefficients = np.linalg.lstsq(design[good], values[good], rcond=None)[0]
        rest = values - design @ coefficients
        sigma = robust_sigma(rest[good])
        kept = np.abs(rest) <= 3.0 * max(sigma, 1e-300)
        if kept.sum() < 2 * design.shape[1]:
            break
        good = kept
    return coefficients, rest
