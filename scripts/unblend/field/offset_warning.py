"""What a user must be told of a band whose light lies beside its models: how far, and what to set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ShiftError
from ..photometry.linear_system import LinearSolution
from ..registration.band_shift import Registration
from ..registration.large_offsets import MIN_SOURCES, common_offset, offset_shares
from ..registration.offsets import CommonShift, Offsets, common_shift
from ..registration.rotation import Rotation, find_rotation
from ..registration.summary import varying_offsets
from .band_data import is_shift_measured, load_band_data
from .shift_measurement import MeasuredShift

REACH_ARCSEC, REACH_FWHM = 2.0, 3.0
"""Offsets up to this far are looked for, the larger of the two; and at most `MAX_REACH_PIXELS`."""
MAX_REACH_PIXELS = 60
NOTABLE_FWHM = 0.15
"""Offset over the FWHM of the PSF from which a user is warned: the flux of a point source is then 3 % too low."""
MIN_LIGHT_GAIN = 1.1
"""Least ratio of the light that the models explain with the offset to that without it, for a large offset."""
LARGEST_FIELD_FWHM = 0.6
"""Largest offset over the FWHM that `shift: {field: auto}` measures well with certainty."""
ITERATIONS = 2
"""Number of linear steps from a large offset."""


def offset_warning(spec: Mapping[str, Any], results: Path, found: MeasuredShift, offsets: Offsets | None) -> str | None:
    """Return a sentence on the offset of a band from its models that changes its fluxes; None if there is none.

    Parameters
    ----------
    spec : mapping
        The job spec: `band`, `shift` and what `load_band_data` needs.
    results : Path
        Folder of the products.
    found : MeasuredShift
    offsets : Offsets or None
        Of the bright sources, from a linear fit at the adopted shift; None if there is no bright source.
    """
    data = load_band_data(spec, results)
    # the final weights leave out light beside the models, and here that may be the light of the sources
    found = replace(found, band=replace(found.band, weight=data.weight))
    return describe_offset(spec["band"], found, offsets, data.fwhm, searched=is_shift_measured(spec))


def describe_offset(
    name: str, found: MeasuredShift, offsets: Offsets | None, fwhm: float, *, searched: bool
) -> str | None:
    """Return a sentence on the offset of a band from its models that changes its fluxes; None if there is none.

    Parameters
    ----------
    name : str
        Of the band.
    found : MeasuredShift
        Its band has weights that leave out no light beside the models.
    offsets : Offsets or None
        As in `offset_warning`.
    fwhm : float
        Of the PSF, pixels.
    searched : bool
        Whether the adopted shift is the result of a search.
    """
    band, common = found.band, common_of(offsets)
    shares = compared_offsets(found, fwhm)
    rotation = None if band.shift_field is not None else find_rotation(band, found.shift, offsets, shares)
    if rotation is not None and rotation.largest_pixels > NOTABLE_FWHM * fwhm:
        return describe_rotation(name, rotation, fwhm)
    total = large_offset(band, found, shares, fwhm)
    if total is None:
        if common is None or offsets is None:
            return None
        varying = varying_offsets(band, offsets)
        if varying is not None and np.hypot(*varying.spans) > 2.0 * NOTABLE_FWHM * fwhm:
            return (
                f"bands.{name}: the {varying.describe(band)}, and the fluxes are wrong; set shift: {{field: auto}}, or "
                "correct the distortion in the header of the image."
            )
        if common.used < MIN_SOURCES or not is_notable(common, fwhm):
            return None
        step = band.to_arcsec(common.shift)
        total = found.shift[0] + step[0], found.shift[1] + step[1]
    dx, dy = total[0] - found.shift[0], total[1] - found.shift[1]
    pixels = float(np.hypot(dx / band.scale_x, dy / band.scale_y))
    advice = f"set shift: [{total[0]:.3f}, {total[1]:.3f}]" + ("" if searched else ", or shift: auto")
    return (
        f"bands.{name}: the sources lie {dx:+.3f} arcsec along image X and {dy:+.3f} arcsec along image Y from their "
        f"models ({pixels:.1f} pixels, {pixels / fwhm:.2f} FWHM of the PSF), and the fluxes are wrong; {advice}, or "
        "correct the world coordinates of the image or psf_centre."
    )


def describe_rotation(name: str, rotation: Rotation, fwhm: float) -> str:
    """Return a sentence on a band that is turned or stretched against its models.

    Parameters
    ----------
    name : str
        Of the band.
    rotation : Rotation
    fwhm : float
        Of the PSF, pixels.
    """
    share = rotation.largest_pixels / fwhm
    field = ", or set shift: {field: auto}" if share < LARGEST_FIELD_FWHM else ""
    return (
        f"bands.{name}: the offsets of {rotation.used} bright sources from their models fit {rotation}, up to "
        f"{rotation.largest_pixels:.1f} pixels ({share:.2f} FWHM of the PSF), and the fluxes are wrong; correct "
        f"CROTA2, CDELT, PC or CD in the header of the image{field}."
    )


def common_of(offsets: Offsets | None) -> CommonShift | None:
    """Return the shift that the sources have in common; None if none of them is bright enough."""
    try:
        return None if offsets is None else common_shift(offsets)
    except ShiftError:
        return None


def is_notable(common: CommonShift, fwhm: float) -> bool:
    """Return whether a common shift is significant and at least `NOTABLE_FWHM` of the FWHM of the PSF (pixels)."""
    return bool(common.significance > 5.0 and np.hypot(*common.shift) > NOTABLE_FWHM * fwhm)


def compared_offsets(found: MeasuredShift, fwhm: float) -> dict[int, np.ndarray]:
    """Return how well the sources fit at every offset within reach, by ID (`large_offsets.offset_shares`).

    Parameters
    ----------
    found : MeasuredShift
        Its band has weights that leave out no light beside the models.
    fwhm : float
        Of the PSF, pixels.
    """
    band = found.band
    scale = min(band.scale_y, band.scale_x)
    reach = min(int(np.ceil(max(REACH_ARCSEC / scale, REACH_FWHM * fwhm))), MAX_REACH_PIXELS)
    return offset_shares(band.image - found.solution.background_image, band.weight, found.templates, reach)


def large_offset(
    band: Registration, found: MeasuredShift, shares: Mapping[int, np.ndarray], fwhm: float
) -> tuple[float, float] | None:
    """Return the shift (x, y) in arcsec of a band that is offset by a good part of the FWHM; None if it is not.

    The offset of most sources must agree, and with it the models must explain more of the light of the image.

    Parameters
    ----------
    band : Registration
        With weights that leave out no light beside the models.
    found : MeasuredShift
    shares : mapping of ID to array
        As from `compared_offsets`.
    fwhm : float
        Of the PSF, pixels.
    """
    offset = common_offset(list(shares.values()))
    if offset is None or not offset.is_large(fwhm):
        return None
    step = band.to_arcsec(offset.offset)
    shift = found.shift[0] + step[0], found.shift[1] + step[1]
    _, before = band.solved(found.shift)
    templates, after = band.solved(shift)
    if explained(band, after) < MIN_LIGHT_GAIN * explained(band, before):
        return None
    for _ in range(ITERATIONS):
        common = common_of(band.offsets(shift, templates, after))
        if common is None:
            break
        step = band.to_arcsec(common.shift)
        shift = shift[0] + step[0], shift[1] + step[1]
        templates, after = band.solved(shift)
    return shift


def explained(band: Registration, solution: LinearSolution) -> float:
    """Return by how much the sources lower chi2, compared with a constant background alone."""
    used = np.isfinite(band.image) & (band.weight > 0) & np.isfinite(solution.residual)
    weight = band.weight[used]
    level = np.median(band.image[used])
    return float(np.sum(weight * (band.image[used] - level) ** 2) - np.sum(weight * solution.residual[used] ** 2))
