"""A band that is turned or stretched against its models: offsets of its sources that grow with the place on the image.

The usual mistakes are in CROTA2, CDELT, PC or CD of a header: a wrong angle, a wrong pixel scale, the wrong axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..core.errors import ShiftError
from ..core.shift_field import ShiftField
from .band_shift import Registration
from .offsets import Offsets
from .shift_field_fit import FittedField, fit_shift_field, with_field

LARGEST = 0.15
"""Largest rotation (radian) and error of the scale that are looked for."""
MIN_GAIN = 1.1
"""Least ratio of the agreement of the sources with a rotation and a scale to that with a shift, to start from them."""
MIN_LEVER_PIXELS = 20.0
"""Least distance of two sources whose offsets give a rotation and a scale."""
ITERATIONS = 4
"""Largest number of linear steps."""
CONVERGED_PIXELS = 0.02
"""Largest change of the offsets in the last step."""
MIN_SIGNIFICANCE = 5.0
"""Rotation over its error, or scale over its error, from which it is named."""

MAX_SCATTER = 0.25
"""Largest scatter of the sources about a rotation over its largest offset: other distortions have more."""


@dataclass(frozen=True)
class Rotation:
    """How the light of a band is turned and stretched against its models, by the offsets of its sources.

    Parameters
    ----------
    angle_deg, angle_err_deg : float
        Rotation on the image, positive from X to Y, and its error.
    stretch, stretch_err : (along x, along y)
        Relative stretch along image X and Y, 0.03 where the pixels of the header are 3 % too large; their errors.
    largest_pixels : float
        Largest offset of a source by the rotation and the stretch, without the shift of all.
    used : int
        Number of sources.
    """

    angle_deg: float
    angle_err_deg: float
    stretch: tuple[float, float]
    stretch_err: tuple[float, float]
    largest_pixels: float
    used: int

    @property
    def is_significant(self) -> bool:
        """Whether the angle or a stretch is."""
        values, errors = (self.angle_deg, *self.stretch), (self.angle_err_deg, *self.stretch_err)
        return any(abs(v) > MIN_SIGNIFICANCE * e for v, e in zip(values, errors, strict=True))

    def __str__(self) -> str:
        """Name what is significant, as "a rotation of +2.00 ± 0.05 degrees (from X to Y)"."""
        parts = []
        if abs(self.angle_deg) > MIN_SIGNIFICANCE * self.angle_err_deg:
            parts.append(f"a rotation of {self.angle_deg:+.2f} ± {self.angle_err_deg:.2f} degrees (from X to Y)")
        (sx, sy), (ex, ey) = self.stretch, self.stretch_err
        if abs(sx - sy) <= MIN_SIGNIFICANCE * np.hypot(ex, ey):
            weights = np.array([ex, ey]) ** -2
            stretches = [("", float(np.average([sx, sy], weights=weights)), float(weights.sum() ** -0.5))]
        else:
            stretches = [(" along X", sx, ex), (" along Y", sy, ey)]
        for where, value, error in stretches:
            if abs(value) > MIN_SIGNIFICANCE * error:
                size = "large" if value > 0 else "small"
                amount = f"{100 * abs(value):.2f} ± {100 * error:.2f} %"
                parts.append(f"pixels that the header makes {amount} too {size}{where}")
        return " and ".join(parts)


def find_rotation(
    band: Registration, shift: tuple[float, float], offsets: Offsets | None, shares: Mapping[int, np.ndarray]
) -> Rotation | None:
    """Return the rotation and the stretch of a band; None if there is none, or it cannot be measured.

    Offsets of less than a fifth of the FWHM are measured by the linear fit alone. Larger ones start from the rotation
    and the scale with which most templates agree, and are refined by linear steps.

    Parameters
    ----------
    band : Registration
        Without a field of shifts.
    shift : (x, y)
        Arcsec along image X, Y: the shift at which the offsets and the shares were measured.
    offsets : Offsets or None
        Of the bright sources.
    shares : mapping of ID to array
        As from `large_offsets.offset_shares`.
    """
    start = _start(band, shares)
    if start is None and not (offsets is not None and _is_linear(band, offsets)):
        return None
    found: FittedField | None = None
    moved = band if start is None else replace(band, shift_field=start)
    for step in range(ITERATIONS):
        if step or start is not None:
            offsets = moved.offsets(shift, *moved.solved(shift))
        if offsets is None:
            return None
        try:
            found = fit_shift_field(*with_field(moved, offsets), max_order=1)
        except ShiftError:
            return None
        y0, x0, y1, x1 = found.field.area
        if found.field.order != 1 or not (y1 > y0 and x1 > x0):
            return None
        change = np.inf if moved.shift_field is None else _change(moved.shift_field, found.field)
        if change < CONVERGED_PIXELS:
            break
        moved = replace(band, shift_field=found.field)
    assert found is not None
    rotation = _rotation_of(band, found)
    fits = float(np.hypot(*found.scatter)) < MAX_SCATTER * rotation.largest_pixels
    return rotation if fits and rotation.is_significant else None


def _is_linear(band: Registration, offsets: Offsets) -> bool:
    """Return whether offsets grow with the place on the image."""
    try:
        return fit_shift_field(*with_field(band, offsets), max_order=1).field.order == 1
    except ShiftError:
        return False


def _start(band: Registration, shares: Mapping[int, np.ndarray]) -> ShiftField | None:
    """Return the rotation, scale and shift with which most sources agree; None if a shift does as well.

    Offsets and places are complex numbers, x + iy: a small rotation by θ with a stretch s moves a source at z by
    (s + iθ) z. Two sources give both.
    """
    engine = band.engine((0.0, 0.0))
    ids = [i for i in shares if np.isfinite(engine.position_without_shift(band.placed[i])).all()]
    if len(ids) < 3:
        return None
    stack = np.nan_to_num(np.stack([shares[i] for i in ids]))
    reach = stack.shape[1] // 2
    places = np.array([complex(x, y) for y, x in (engine.position_without_shift(band.placed[i]) for i in ids)])
    best = [np.unravel_index(int(np.argmax(share)), share.shape) for share in stack]
    offsets = np.array([complex(int(x) - reach, int(y) - reach) for y, x in best])

    def agreement(slope: complex, shift: complex) -> float:
        """Return the sum of the shares of the sources at the offsets that a slope and a shift give."""
        at = slope * places + shift
        rows, columns = np.rint(at.imag).astype(int) + reach, np.rint(at.real).astype(int) + reach
        inside = (np.minimum(rows, columns) >= 0) & (np.maximum(rows, columns) <= 2 * reach)
        return float(stack[inside, rows[inside], columns[inside]].sum())

    top, slope, shift = float(stack.sum(axis=0).max()) * MIN_GAIN, 0j, 0j
    for j, k in combinations(range(len(ids)), 2):
        lever = places[j] - places[k]
        if abs(lever) < MIN_LEVER_PIXELS:
            continue
        tried = (offsets[j] - offsets[k]) / lever
        if max(abs(tried.real), abs(tried.imag)) > LARGEST:
            continue
        origin = offsets[j] - tried * places[j]
        agreed = agreement(tried, origin)
        if agreed > top:
            top, slope, shift = agreed, tried, origin
    return _as_field(places, slope, shift) if slope else None


def _as_field(places: np.ndarray, slope: complex, shift: complex) -> ShiftField:
    """Return a rotation, a scale and a shift as a field over the area of the sources."""
    area = float(places.imag.min()), float(places.real.min()), float(places.imag.max()), float(places.real.max())
    half_y, half_x = (area[2] - area[0]) / 2.0, (area[3] - area[1]) / 2.0
    middle = slope * complex((area[1] + area[3]) / 2.0, (area[0] + area[2]) / 2.0) + shift
    # terms: 1, y, x; d(dx + i dy) = slope · (dx + i dy)
    along_y, along_x = slope * 1j * half_y, slope * half_x
    terms = np.array([middle, along_y, along_x])
    return ShiftField(1, area, np.stack([terms.imag, terms.real]), np.zeros((2, 3, 3)))


def _change(before: ShiftField, after: ShiftField) -> float:
    """Return the largest difference of two fields at the corners of the second one's area, pixels."""
    y0, x0, y1, x1 = after.area
    y, x = np.array([y0, y0, y1, y1]), np.array([x0, x1, x0, x1])
    return float(np.abs(after.values(y, x) - before.values(y, x)).max())


def _rotation_of(band: Registration, found: FittedField) -> Rotation:
    """Return the rotation and the stretch of a field of order 1."""
    y0, x0, y1, x1 = found.field.area
    # d(coordinate)/d(arcsec) of the terms in y and x; the offsets (dy, dx) in arcsec
    per_arcsec = 2.0 / np.array([(y1 - y0) * band.scale_y, (x1 - x0) * band.scale_x])
    scale = np.array([band.scale_y, band.scale_x])[:, None]
    matrix = np.eye(2) + found.field.coefficients[:, 1:] * scale * per_arcsec
    error = np.sqrt(np.array([np.diag(c)[1:] for c in found.field.covariance])) * scale * per_arcsec
    angle = np.degrees(np.arctan2(matrix[0, 1] - matrix[1, 0], np.trace(matrix)))
    angle_err = np.degrees(np.hypot(error[0, 1], error[1, 0]) / 2.0)
    stretch_y, stretch_x = (float(length) - 1.0 for length in np.hypot(*matrix))
    y, x = np.array([y0, y0, y1, y1]), np.array([x0, x1, x0, x1])
    moved = found.field.values(y, x) - found.field.coefficients[:, :1]
    return Rotation(
        float(angle), float(angle_err), (stretch_x, stretch_y), (float(error[1, 1]), float(error[0, 0])),
        float(np.hypot(*moved).max()), found.used,
    )  # fmt: skip
