"""Positions of the detected sources against those of a table, such as Gaia's: measured and reported, never applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.coordinates import offset_arcsec
from ..core.statistics import robust_sigma

MATCH_ARCSEC = 1.0
"""Largest separation of two positions of one source."""
MIN_MATCHES = 3
"""Sources without which there is no offset."""
CLIP_SIGMAS = 3.5
"""Sources farther from the median than this, in robust standard deviations, have moved or are two different ones."""
ROUNDS = 5
"""Maximum number of rounds of clipping."""
SIGNIFICANT_SIGMAS = 5.0
"""There is no warning about offsets of fewer errors."""


@dataclass(frozen=True)
class PositionOffset:
    """Median offset of the detected sources from the positions of a table.

    Parameters
    ----------
    matched : int
        Sources within `MATCH_ARCSEC` of a position whose nearest source they are.
    used : int
        Those that are not clipped.
    offset : (east, north)
        Detected − table, arcsec; NaN with fewer than `MIN_MATCHES` sources.
    error : (east, north)
        Errors of the medians, arcsec.
    scatter : (east, north)
        Robust standard deviations of single sources, arcsec.
    """

    matched: int
    used: int
    offset: tuple[float, float]
    error: tuple[float, float]
    scatter: tuple[float, float]


def compare_positions(ra: np.ndarray, dec: np.ndarray, table_ra: np.ndarray, table_dec: np.ndarray) -> PositionOffset:
    """Return the offset of detected sources from the positions of a table.

    Parameters
    ----------
    ra, dec : arrays (n,)
        Positions of the detected sources, degrees; NaN are left out.
    table_ra, table_dec : arrays (m,)
        Positions of the table, degrees.
    """
    known = np.isfinite(ra) & np.isfinite(dec)
    nothing = (np.nan, np.nan)
    if not known.any() or not len(table_ra):
        return PositionOffset(0, 0, nothing, nothing, nothing)
    middle = float(ra[known][0]), float(dec[known][0])
    own = np.column_stack(offset_arcsec(ra[known], dec[known], *middle))
    others = np.column_stack(offset_arcsec(table_ra, table_dec, *middle))
    deviations = _matched(own, others[np.isfinite(others).all(axis=1)])
    used = _not_clipped(deviations)
    chosen = deviations[used]
    if len(chosen) < MIN_MATCHES:
        return PositionOffset(len(deviations), len(chosen), nothing, nothing, nothing)
    scatter = np.array([robust_sigma(chosen[:, axis]) for axis in (0, 1)])
    # the error of a median is that of a mean times √(π/2)
    error = np.sqrt(0.5 * np.pi / len(chosen)) * scatter
    east, north = np.median(chosen, axis=0)
    return PositionOffset(
        len(deviations), len(chosen), (float(east), float(north)),
        (float(error[0]), float(error[1])), (float(scatter[0]), float(scatter[1])),
    )  # fmt: skip


def _matched(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return own − other of all pairs that are each other's nearest within `MATCH_ARCSEC`, shape (pairs, 2)."""
    from scipy.spatial import KDTree

    if not len(others):
        return np.zeros((0, 2))
    distance, nearest = KDTree(others).query(own)
    _, back = KDTree(own).query(others)
    pairs = (distance <= MATCH_ARCSEC) & (back[nearest] == np.arange(len(own)))
    return np.asarray(own[pairs] - others[nearest[pairs]])


def _not_clipped(deviations: np.ndarray) -> np.ndarray:
    """Return which pairs agree with the median of those that agree."""
    used = np.ones(len(deviations), dtype=bool)
    for _ in range(ROUNDS):
        if np.count_nonzero(used) < MIN_MATCHES:
            break
        middle = np.median(deviations[used], axis=0)
        sigma = np.array([robust_sigma(deviations[used][:, axis]) for axis in (0, 1)])
        agreeing = np.all(np.abs(deviations - middle) <= np.maximum(CLIP_SIGMAS * sigma, 1e-6), axis=1)
        if np.array_equal(agreeing, used):
            break
        used = agreeing
    return used


def position_warning(found: PositionOffset, name: str, pixel_arcsec: float) -> str | None:
    """Return a warning if the sources do not lie where a table has them, else None.

    Parameters
    ----------
    found : PositionOffset
    name : str
        The table, for the message.
    pixel_arcsec : float
        Pixel of the detection image: there is no warning about smaller offsets.
    """
    if found.used < MIN_MATCHES:
        return (
            f"reference_positions: {found.used} of the detected sources lie within {MATCH_ARCSEC:g} arcsec of a "
            f"position in {name}; expected {MIN_MATCHES} or more. Check that the table covers the field."
        )
    pull = float(np.linalg.norm(np.array(found.offset) / np.maximum(found.error, 1e-9)))
    size = float(np.linalg.norm(found.offset))
    if pull < SIGNIFICANT_SIGMAS or size < pixel_arcsec:
        return None
    east, north = found.offset
    return (
        f"reference_positions: the detected sources lie {east:+.3f} arcsec east and {north:+.3f} arcsec north of the "
        f"positions in {name} (median of {found.used} sources, errors {found.error[0]:.3f} and {found.error[1]:.3f}). "
        "Nothing was moved: the positions of the catalogue are those of the detection image. Correct its WCS if they "
        "matter."
    )
