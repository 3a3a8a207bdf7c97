"""The PSF of a band or of the stack, prepared from the user's file."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from ..core.coordinates import pixel_scale
from ..core.errors import InputError
from ..core.types import Psf
from ..images.psf import WELL_SAMPLED_FWHM, fwhm, prepare_psf
from ..io.images import read_array, read_header, read_shape, read_wcs

log = logging.getLogger(__name__)

SCALE_TOLERANCE = 0.02
"""Largest relative difference between the sampling in the PSF's header and psf_oversampling."""
SCALE_CARDS = ("PIXELSCL", "PIXSCALE")
"""Header cards with the size of a PSF pixel in arcsec: STPSF writes the first."""


def prepared_psf(spec: Mapping[str, Any]) -> tuple[Psf, float]:
    """Return the PSF of a job spec and its FWHM in PSF pixels, after a check of its scale and sampling.

    Raises
    ------
    InputError
        The file is not a usable PSF, or the sampling in its header contradicts psf_oversampling.
    """
    _check_scale(spec)
    psf = psf_of(spec)
    width = fwhm(psf)
    arcsec = width / psf.oversampling * pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"]))
    log.info("%s: FWHM of the PSF %.3f arcsec (%.2f PSF pixels, oversampling %g), sum of the file %.4g (%s)",
             spec["name"], arcsec, width, psf.oversampling, psf.original_sum,
             "kept" if spec["sum"] == "given" else "set to 1")  # fmt: skip
    if width < WELL_SAMPLED_FWHM:
        log.warning("%s: the PSF's FWHM is %.2f of its own pixels: below %.1f bright point sources are off by 1 %% or "
                    "more between pixels; give an oversampled PSF (psf_oversampling).",
                    spec["name"], width, WELL_SAMPLED_FWHM)  # fmt: skip
    return psf, width


def psf_of(spec: Mapping[str, Any]) -> Psf:
    """Return the PSF of a job spec.

    Raises
    ------
    InputError
        The file is not a usable PSF.
    """
    name = spec["psf"]["file"]
    return prepare_psf(
        read_array(name),
        oversampling=spec["oversampling"],
        kind=spec["kind"],
        total=spec["sum"],
        position=spec["centre"],
        name=name,
    )


def _check_scale(spec: Mapping[str, Any]) -> None:
    """Compare the sampling in the PSF's header, where it has one, with psf_oversampling.

    Raises
    ------
    InputError
        They disagree by more than `SCALE_TOLERANCE`: all fluxes would be wrong by the square of the factor.
    """
    name, header = spec["psf"]["file"], read_header(spec["psf"]["file"])
    found = _pixel_size(name, header)
    if found is not None:
        image = pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"]))
        sampling, described = image / found, f"has pixels of {found:.4f} arcsec, the image of {image:.4f}"
    elif _is_positive(header.get("OVERSAMP")):
        sampling = float(header["OVERSAMP"])  # type: ignore[arg-type]
        described = f"has OVERSAMP = {sampling:g}"
    else:
        return
    if abs(spec["oversampling"] / sampling - 1.0) > SCALE_TOLERANCE:
        raise InputError(
            f"{name} {described} by its header, but psf_oversampling of band {spec['name']} is "
            f"{spec['oversampling']:g}: set it to {sampling:.3f}, or correct the header."
        )


def _pixel_size(name: str, header: Mapping[str, object]) -> float | None:
    """Return the size of a pixel of the PSF in arcsec by its header; None if that has none."""
    for card in SCALE_CARDS:
        if _is_positive(header.get(card)):
            return float(header[card])  # type: ignore[arg-type]
    if "CTYPE1" in header:
        return float(pixel_scale(read_wcs(name)))
    for cards in (("CDELT2",), ("CD1_2", "CD2_2")):
        steps = [step for card in cards if isinstance(step := header.get(card), float)]
        if steps and math.hypot(*steps) not in (0.0, 1.0):
            return 3600.0 * math.hypot(*steps)
    return None


def _is_positive(value: object) -> bool:
    """Return whether the value of a card is a number above 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
