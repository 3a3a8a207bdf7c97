"""Zero points that a header gives as a magnitude (MAGZERO, PHOTZP …), and whether they are AB magnitudes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from .header_numbers import NotStatedError, number, positive

AB_KEYWORDS = (
    "ABMAGZP", "ABMAGZPT", "MAGZP_AB", "MAGZPAB", "ABZP", "ABZPT", "ABZERO", "AB_ZP", "ZP_AB", "ZPAB", "ZPT_AB",
    "ABMAG0", "AB_ZEROPOINT", "ZEROPOINT_AB",
)  # fmt: skip
"""Keywords that are AB magnitudes of one image unit by their name."""
KEYWORDS = (
    "MAGZERO", "MAGZPT", "MAGZP", "MAG_ZP", "MAG_ZERO", "MAGZEROP", "MAG0", "ZEROPOINT", "ZEROPNT", "ZEROPT", "ZPOINT",
    "PHOTZP", "ZPT", "ZP", "ZPMAG",
)  # fmt: skip
"""Keywords for the magnitude of one image unit in a system that another card or the comment may name. HST's PHOTZPT,
the zero point of the ST system, is not among them."""
SYSTEM_KEYWORDS = ("PHOTSYS", "MAGSYS", "ZPSYS", "MAGTYPE", "PHOT_SYS", "MAG_SYS")
_VEGA_ORIGINS = ("VISTA", "VIRCAM", "UKIRT", "WFCAM", "2MASS", "WISE", "NEOWISE", "CASU")
"""Telescopes, instruments and surveys whose pipelines give Vega magnitudes unless their header says otherwise."""
_AB_ORIGINS = ("EUCLID",)
"""The same, whose pipelines give AB magnitudes."""
ORIGIN_KEYWORDS = ("TELESCOP", "INSTRUME", "SURVEY", "ORIGIN", "OBSERVAT")
_USUAL_MAG = (10.0, 50.0)
"""Zero points outside this range are placeholders."""
_OTHER_CONDITIONS = re.compile(r"extinct|airmass|per sec|\b1 ?s\b|for 1 ?sec", re.IGNORECASE)
"""Comments of zero points that do not refer to the pixels as they are."""


def magnitude_keywords(
    header: Mapping[str, object], comments: Mapping[str, str]
) -> Iterator[tuple[float, str, str] | NotStatedError]:
    """Yield AB magnitude of one image unit, keyword with value, and what the header leaves open, for each keyword.

    In place of one that is not the AB magnitude of one image unit, or is a placeholder, the reason is yielded.

    Parameters
    ----------
    header : mapping
    comments : mapping of str to str
        Comments of the cards.
    """
    flux = positive(header, "FLUXMAG0")
    if flux is not None:
        yield 2.5 * math.log10(flux), f"FLUXMAG0 = {flux:.6g}", ""
    for key in (*AB_KEYWORDS, *KEYWORDS):
        value = number(header, key)
        if value is None:
            continue
        try:
            doubt = "" if key in AB_KEYWORDS else _system_doubt(key, value, header, comments.get(key, ""))
            yield _usual(key, value), f"{key} = {value:g}", doubt
        except NotStatedError as reason:
            yield reason


def _usual(key: str, value: float) -> float:
    if not _USUAL_MAG[0] < value < _USUAL_MAG[1]:
        raise NotStatedError(f"{key} = {value:g} is not the zero point of an image")
    return value


def _system_doubt(key: str, value: float, header: Mapping[str, object], comment: str) -> str:
    """Return what is left open about a magnitude keyword: empty where it is said to be AB.

    Raises
    ------
    NotStatedError
        It is a Vega magnitude, or for another exposure or airmass than that of the pixels.
    """
    cards = [f"{k} = {str(header[k]).strip()!r}" for k in SYSTEM_KEYWORDS if header.get(k)]
    said = " ".join([*cards, comment])
    if re.search(r"vega", said, re.IGNORECASE):
        raise NotStatedError(f"{key} = {value:g} is a Vega magnitude ({said.strip()})")
    if _OTHER_CONDITIONS.search(comment):
        raise NotStatedError(f"{key} = {value:g} is not for the pixels as they are ({comment.strip()})")
    if re.search(r"\bAB", said):
        return ""
    origins = {k: str(header.get(k) or "").strip() for k in ORIGIN_KEYWORDS}
    for origin, text in origins.items():
        words = re.split(r"[^A-Z0-9]+", text.upper())
        if any(word in words for word in _AB_ORIGINS):
            return ""
        if any(word in words for word in _VEGA_ORIGINS):
            raise NotStatedError(
                f"{key} = {value:g} may be a Vega magnitude, as {origin} = {text!r}, and no keyword says that it is AB"
            )
    return "no keyword says whether it is AB; taken as AB"
