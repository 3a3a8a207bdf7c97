"""The PSF of a band or of the stack, prepared from the user's file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..core.coordinates import pixel_scale
from ..core.errors import InputError
from ..core.types import Psf
from ..images.psf import WELL_SAMPLED_FWHM, fwhm, prepare_psf
from ..io.images import read_array, read_header, read_shape, read_wcs

log = logging.getLogger(__name__)

SCALE_TOLERANCE = 0.02
"""Largest relative difference between the pixel size in the PSF's header and that from psf_oversampling."""


def prepared_psf(spec: Mapping[str, Any]) -> tuple[Psf, float]:
    """Return the PSF of a job spec and its FWHM in PSF pixels, after a check of its scale and sampling.

    Raises
    ------
    InputError
        The file is not a usable PSF, or the pixel size in its header contradicts psf_oversampling.
    """
    _check_scale(spec)
    name = spec["psf"]["file"]
    psf = prepare_psf(read_array(name), oversampling=spec["oversampling"], kind=spec["kind"], name=name)
    width = fwhm(psf)
    log.info(
        "%s: sum %.4g, FWHM %.2f PSF pixels, oversampling %g", spec["name"], psf.original_sum, width, psf.oversampling
    )
    if width < WELL_SAMPLED_FWHM:
        log.warning("%s: the PSF's FWHM is %.2f of its own pixels: below %.1f bright point sources are off by 1 %% or "
                    "more between pixels; give an oversampled PSF (psf_oversampling).",
                    spec["name"], width, WELL_SAMPLED_FWHM)  # fmt: skip
    return psf, width


def _check_scale(spec: Mapping[str, Any]) -> None:
    """Compare the pixel size in the PSF's header, where it has one, with psf_oversampling."""
    header = read_header(spec["psf"]["file"])
    step = header.get("CDELT2")
    if "CTYPE1" in header:
        found = pixel_scale(read_wcs(spec["psf"]["file"]))
    elif isinstance(step, float) and step not in (0.0, 1.0):
        found = 3600.0 * abs(step)
    else:
        return
    image = pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"]))
    expected = image / spec["oversampling"]
    if abs(found / expected - 1.0) > SCALE_TOLERANCE:
        raise InputError(
            f"{spec['psf']['file']} has pixels of {found:.4f} arcsec by its header: psf_oversampling = "
            f"{spec['oversampling']:g} of band {spec['name']} says {expected:.4f}; set it to {image / found:.3f}."
        )
