"""Flags of the sources of a band that depend on the PSF of their own place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from ..core.coordinates import pixel_scale
from ..core.flags import Flag
from ..core.types import Model, ModelOutline
from ..images.psf import WELL_SAMPLED_FWHM
from ..models.templates import TemplateEngine

log = logging.getLogger(__name__)

MAX_DISTANCE_ARCSEC = 10.0
"""Distance outside a map of PSFs above which a source is flagged. Gaps between polygons are narrower, and over it the
PSF of a mosaic changes where other exposures begin."""


def psf_flags(
    engine: TemplateEngine,
    models: Mapping[int, Model | ModelOutline],
    ids: Sequence[int] | np.ndarray,
    widths: np.ndarray,
    name: str,
) -> np.ndarray:
    """Return the flags of sources, and warn of those outside the map of PSFs.

    Parameters
    ----------
    engine : TemplateEngine
        That of the band.
    models : mapping
        Models by ID.
    ids : sequence of int
        Sources in the order of the result; those without a model or a position in the band get no flag.
    widths : array (n,)
        FWHM of each PSF of the band in PSF pixels.
    name : str
        Name of the band.

    Returns
    -------
    int array
    """
    scale = pixel_scale(engine.wcs, engine.shape)
    flags, outside = np.zeros(len(ids), dtype=np.int64), []
    for row, i in enumerate(map(int, ids)):
        y, x = engine.position(models[i]) if i in models else (np.nan, np.nan)
        if not (np.isfinite(y) and np.isfinite(x)):
            continue
        weights = engine.psf.places.weights(y, x)
        if sum(widths[index] * weight for index, weight in weights) < WELL_SAMPLED_FWHM:
            flags[row] |= int(Flag.PSF_UNDERSAMPLED)
        distance = engine.psf.places.distance(y, x) * scale
        if distance > MAX_DISTANCE_ARCSEC:
            flags[row] |= int(Flag.PSF_FROM_AFAR)
        if distance > 0 and -0.5 <= y < engine.shape[0] - 0.5 and -0.5 <= x < engine.shape[1] - 0.5:
            outside.append(distance)
    if outside:
        log.warning("%s: %d of %d sources lie outside the map of PSFs, by up to %.1f arcsec; they use the "
                    "PSF of its nearest place (flag psf_from_afar beyond %.0f arcsec).",
                    name, len(outside), len(ids), max(outside), MAX_DISTANCE_ARCSEC)  # fmt: skip
    return flags
