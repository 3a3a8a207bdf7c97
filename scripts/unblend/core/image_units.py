"""The unit of the pixels of an image, as BUNIT names it: flux densities, surface brightnesses, counts, count rates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .units import JY_ZERO_POINT_AB

Kind = Literal["flux density", "flux density per wavelength", "counts", "counts per second", "none", "unknown"]

_COUNTS = re.compile(r"(photo-?)?(?P<what>electrons?|e-?|counts?|cts?|dn|adu|photons?)")
_RATE = re.compile(r"\s*(/\s*s(ec(ond)?)?|[ .*]s(ec)?(\^|\*\*)?\(?-1\)?)$")
_PER_PIXEL = re.compile(r"\s*/\s*pix(els?)?$|\s+pix(el)?(\^|\*\*)?\(?-1\)?$", re.IGNORECASE)
_MAGGY = re.compile(r"(?P<prefix>nano|n|micro|u|milli|m)?(maggy|maggies|mgy)", re.IGNORECASE)
_PREFIXES = {"nano": 1e-9, "n": 1e-9, "micro": 1e-6, "u": 1e-6, "milli": 1e-3, "m": 1e-3, "": 1.0}
_SHORT = {"nano": "n", "micro": "u", "milli": "m", "mega": "M"}
_SPELLINGS = (
    (re.compile(r"\b(nano|micro|milli|mega)-?(?=jy|jansky)", re.IGNORECASE), lambda m: _SHORT[m[1].lower()]),
    (re.compile(r"\bmu(?=Jy)|[µμ]"), lambda _: "u"),
    (re.compile(r"(?<=[num])(jy|jansky)\b|\b(jy|jansky)\b", re.IGNORECASE), lambda _: "Jy"),
    (re.compile(r"\bMJY(?=\s*/\s*SR|\s*/\s*STERADIAN)"), lambda _: "MJy"),
    (re.compile(r"\b[UN](?=Jy\b|JY\b)"), lambda m: m[0].lower()),
    (re.compile(r"\bsteradians?\b|\bSR\b", re.IGNORECASE), lambda _: "sr"),
    (re.compile(r"\bsq\.?\s*arcsec\b|\barcsec\s?squared\b", re.IGNORECASE), lambda _: "arcsec2"),
    (re.compile(r"\bAngstroms?\b|\bAng\b|\bA\b(?=-1|\^|\*\*|$|[ /)])", re.IGNORECASE), lambda _: "Angstrom"),
    (re.compile(r"\bergs\b"), lambda _: "erg"),
    (re.compile(r"^\(([^()]+)\)(?=\s*/)"), lambda m: m[1]),
)
"""Spellings that are common in headers, and how Astropy expects them."""
_TWO_MEANINGS = re.compile(r"\bMJY\b(?!\s*/\s*(SR|STERADIAN)\b)|\bmjy\b")
"""Milli- or megajansky, in capitals or small letters throughout. A surface brightness of MJY/SR is in megajanskys."""


@dataclass(frozen=True)
class ImageUnit:
    """The unit of the pixels of an image.

    Parameters
    ----------
    kind : str
        What a pixel holds; "none" where the header names no unit, "unknown" where the name cannot be understood.
    scale : float
        The unit in Jy (flux density), or in erg/s/cm2/Angstrom (flux density per wavelength); with `per_sr` for a
        steradian. 1 for counts.
    per_sr : bool
        Whether the pixels hold a surface brightness.
    electrons : bool
        Whether counts are electrons, and not digital units, whose gain has to be known.
    """

    kind: Kind
    scale: float = 1.0
    per_sr: bool = False
    electrons: bool = False


def image_unit(text: object) -> ImageUnit:
    """Return the unit that the text of BUNIT names.

    Text that has two meanings (MJY: milli- or megajansky) or that depends on more than a pixel (Jy/beam) is "unknown".
    """
    words = str(text or "").strip().strip("'\"").strip()
    if not words:
        return ImageUnit("none")
    return _counts(words) or _maggies(words) or _parsed(_PER_PIXEL.sub("", words)) or ImageUnit("unknown")


def _counts(words: str) -> ImageUnit | None:
    plain = _PER_PIXEL.sub("", words.lower())
    if plain == "cps":
        return ImageUnit("counts per second")
    rate = _RATE.search(plain)
    match = _COUNTS.fullmatch(plain[: rate.start()] if rate else plain)
    if match is None:
        return None
    return ImageUnit("counts per second" if rate else "counts", electrons=match["what"].startswith("e"))


def _maggies(words: str) -> ImageUnit | None:
    """Return the unit of SDSS and of the Legacy Surveys: a flux of one maggy has the AB magnitude 0."""
    match = _MAGGY.fullmatch(_PER_PIXEL.sub("", words))
    if match is None:
        return None
    return ImageUnit("flux density", _PREFIXES[(match["prefix"] or "").lower()] * 10.0 ** (0.4 * JY_ZERO_POINT_AB))


def _parsed(words: str) -> ImageUnit | None:
    """Return a flux density of any scale that Astropy understands; None for anything else."""
    from astropy import units

    if _TWO_MEANINGS.search(words):
        return None
    for pattern, short in _SPELLINGS:
        words = pattern.sub(short, words)
    unit = _astropy_unit(words)
    if unit is None:
        return None
    per_wavelength = units.erg / units.s / units.cm**2 / units.AA
    for kind, base in (("flux density", units.Jy), ("flux density per wavelength", per_wavelength)):
        for per_sr in (False, True):
            try:
                scale = float(unit.to(base / units.sr if per_sr else base))
            except units.UnitConversionError:
                continue
            if scale > 0:
                return ImageUnit(kind, scale, per_sr)  # type: ignore[arg-type]
    return None


def _astropy_unit(words: str):  # type: ignore[no-untyped-def]
    """Return Astropy's unit of a text in its own syntax or in that of the FITS standard; None if it has none."""
    import warnings

    from astropy import units

    for form in ("fits", None):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", units.UnitsWarning)
                return units.Unit(words, format=form)
        except (ValueError, TypeError):
            continue
    return None
