"""The AB zero points that the header of an image gives: its unit, or the cards of its photometric calibration."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

AGREEMENT_MAG = 0.1
"""Zero points that differ by less agree: calibrations are updated by a few per cent."""
JY_ZERO_POINT_AB = 8.9
"""AB magnitude of one jansky (Oke & Gunn 1983), rounded as in `units.UJY_ZERO_POINT_AB`."""
_ZERO_POINT_CARDS = ("ABMAGZP", "MAGZERO", "MAGZPT")
_PREFIXES = {"nano": "n", "micro": "u", "milli": "m", "mega": "M", "kilo": "k", "": ""}
_JANSKY = re.compile(r"(nano|micro|milli|mega|kilo)?jansk(?:ys|y|ies)", re.I)
_CAPITALS = re.compile(r"\b([NUK]?)JY\b")
_PER_PIXEL = re.compile(r"\s*(?:/\s*pix(?:el)?s?|[\s.*]\s*pix(?:el)?s?\s*(?:\*\*|\^)?\s*\(?-1\)?)\s*$", re.I)
_COUNTS = re.compile(
    r"(?:e-?|electrons?|counts?|cts?|dn|adu)\s*(/\s*s(?:ec(?:onds?)?)?|[\s.*]\s*s(?:ec)?\s*(?:\*\*|\^)?-1)?|(cps)", re.I
)


@dataclass(frozen=True)
class HeaderZeroPoint:
    """An AB zero point that a header gives, and the cards that give it, as text."""

    zero_point_ab: float
    cards: str


def header_zero_points(header: Mapping[str, object], pixel_area_sr: float) -> list[HeaderZeroPoint]:
    """Return the AB zero points that a header gives for one unit of its image.

    A unit of flux density (uJy, 10*nanoJansky, MJy/sr, nanomaggy) is decisive. Otherwise ABMAGZP, MAGZERO and MAGZPT
    are taken as they are, and PHOTFLAM with PHOTPLAM where the unit is counts or electrons, per second or, with
    EXPTIME, in total: -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408 (ACS Data Handbook, section 5.1).

    Parameters
    ----------
    header : mapping
        Cards of the image.
    pixel_area_sr : float
        Solid angle of a pixel in steradian.

    Returns
    -------
    list of HeaderZeroPoint
        Empty where the header gives none, or in a unit that is not known.
    """
    unit = str(header.get("BUNIT") or "").strip()
    jansky = _jansky_per_unit(unit, pixel_area_sr) if unit else None
    if jansky is not None:
        return [HeaderZeroPoint(JY_ZERO_POINT_AB - 2.5 * math.log10(jansky), f"BUNIT = '{unit}'")]
    found = [(key, _positive(header.get(key))) for key in _ZERO_POINT_CARDS]
    zero_points = [HeaderZeroPoint(value, f"{key} = {value:g}") for key, value in found if value is not None]
    return [*zero_points, *_of_counts(header, unit)]


def contradiction(found: list[HeaderZeroPoint], zero_point_ab: float) -> HeaderZeroPoint | None:
    """Return the first zero point of a header, if none of them agrees with another one; None if one does."""
    if any(abs(each.zero_point_ab - zero_point_ab) < AGREEMENT_MAG for each in found):
        return None
    return found[0] if found else None


def _jansky_per_unit(text: str, pixel_area_sr: float) -> float | None:
    """Return the flux density of one unit of a pixel in jansky; None if it is not a unit of flux density."""
    from astropy import units as u

    text = _JANSKY.sub(lambda found: _PREFIXES[(found[1] or "").lower()] + "Jy", text)
    if "SR" in text:
        text = text.replace("MJY", "MJy").replace("SR", "sr")
    text = _PER_PIXEL.sub("", _CAPITALS.sub(lambda found: found[1].lower() + "Jy", text))
    try:
        unit = u.Unit(text)
    except (ValueError, TypeError):
        return None
    for factor, base in ((1.0, u.Jy), (pixel_area_sr, u.Jy / u.sr), (3631.0, u.mgy)):
        if unit.is_equivalent(base):
            value = float(unit.to(base)) * factor
            return value if math.isfinite(value) and value > 0 else None
    return None


def _of_counts(header: Mapping[str, object], unit: str) -> list[HeaderZeroPoint]:
    counts = _COUNTS.fullmatch(unit)
    flux, wavelength = (_positive(header.get(key)) for key in ("PHOTFLAM", "PHOTPLAM"))
    if counts is None or flux is None or wavelength is None:
        return []
    zero_point = -2.5 * math.log10(flux) - 5.0 * math.log10(wavelength) - 2.408
    cards = f"BUNIT = '{unit}', PHOTFLAM = {flux:g}, PHOTPLAM = {wavelength:g}"
    if counts[1] or counts[2]:
        return [HeaderZeroPoint(zero_point, cards)]
    exposure_s = _positive(header.get("EXPTIME"))
    if exposure_s is None:
        return []
    return [HeaderZeroPoint(zero_point + 2.5 * math.log10(exposure_s), f"{cards}, EXPTIME = {exposure_s:g}")]


def _positive(value: object) -> float | None:
    """Return a card that is a positive number; None otherwise."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value > 0 else None  # type: ignore[arg-type, operator]
