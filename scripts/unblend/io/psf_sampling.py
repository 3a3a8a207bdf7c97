"""What the header of a PSF says of the size of its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.coordinates import pixel_scale
from ..core.errors import UnblendError
from .header_numbers import number, positive
from .images import read_wcs

SCALE_CARDS = ("PIXELSCL", "PIXSCALE", "PIXSCAL1", "PIXSCAL2", "SECPIX", "SECPIX1", "SECPIX2")
"""Header cards with the size of a PSF pixel in arcsec: STPSF writes the first, IRAF the last ones."""
SAMPLING_CARDS = ("OVERSAMP", "DET_SAMP")
"""Header cards with the number of PSF pixels per pixel of the detector. STPSF copies both into all images of a file."""
OVERSAMPLED = {"OVERSAMP": "DET_SAMP", "OVERDIST": "DET_DIST"}
"""Extensions of STPSF with pixels finer than those of the detector, and their counterparts on its pixels."""
ARCSEC = {"": 3600.0, "deg": 3600.0, "degree": 3600.0, "degrees": 3600.0, "arcmin": 60.0, "arcsec": 1.0,
          "mas": 1e-3, "rad": math.degrees(3600.0)}  # fmt: skip
"""Arcsec in the units of CUNIT; none means degrees."""


@dataclass(frozen=True)
class StatedSampling:
    """The number of PSF pixels per pixel of the detector, and the card that says it."""

    card: str
    value: float


def stated_pixels_arcsec(name: str, header: Mapping[str, object]) -> dict[str, float]:
    """Return the size of a pixel of the PSF in arcsec by each card, or group of cards, that says it.

    Parameters
    ----------
    name : str
        File of the PSF, for its world coordinates.
    header : mapping
        Cards with text that is a number count as numbers.

    Raises
    ------
    UnblendError
        It has nothing but world coordinates that cannot be read.
    """
    found = {card: value for card in SCALE_CARDS if (value := positive(header, card)) is not None}
    if "CTYPE1" in header:
        try:
            return found | {"its world coordinates": float(pixel_scale(read_wcs(name)))}
        except UnblendError:
            if not found:
                raise
            return found
    unit = ARCSEC.get(str(header.get("CUNIT2", header.get("CUNIT1", ""))).strip().lower())
    for label, cards in (("CDELT", ("CDELT2",)), ("CD", ("CD1_2", "CD2_2"))):
        step = math.hypot(*(number(header, card) or 0.0 for card in cards))
        # 1 is what programs write that know nothing of the sky
        if unit is not None and step not in (0.0, 1.0):
            found[label] = unit * step
    return found


def stated_sampling(header: Mapping[str, object]) -> StatedSampling | None:
    """Return what OVERSAMP or DET_SAMP say; None without them, and for an image on the pixels of the detector."""
    if _extension(header) in OVERSAMPLED.values():
        return None  # the cards are those of the oversampled image
    for card in SAMPLING_CARDS:
        if (value := positive(header, card)) is not None:
            return StatedSampling(card, value)
    return None


def oversampled_extension(header: Mapping[str, object]) -> str | None:
    """Return the name of an extension that is oversampled by its name; None for any other."""
    name = _extension(header)
    return name if name in OVERSAMPLED else None


def on_detector(extension: str) -> str:
    """Return the name of the extension with the same PSF as an oversampled one, on the pixels of the detector."""
    return OVERSAMPLED[extension]


def _extension(header: Mapping[str, object]) -> str:
    return str(header.get("EXTNAME", "")).strip().upper()
