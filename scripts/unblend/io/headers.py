"""The cards of FITS headers, long ones included.

CFITSIO looks for each card from the start of the header: the 5000 cards of a drizzled mosaic take six seconds. The text
of a long header is therefore parsed by Astropy, in 0.2 s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fitsio

LONG = 500
"""Number of cards above which Astropy parses a header; below it fitsio is faster than Astropy's import."""
_CARD = 80


def header_text(hdu: fitsio.hdu.ImageHDU) -> bytes | None:
    """Return the header of an extension as it is in its file; None if the file is compressed as a whole."""
    info = hdu.get_info()
    try:
        with Path(hdu.get_filename()).open("rb") as stream:
            stream.seek(info["header_start"])
            text = stream.read(info["data_start"] - info["header_start"])
    except OSError:
        return None
    return text if text[:8] in (b"SIMPLE  ", b"XTENSION") else None


def read_cards(hdu: fitsio.hdu.ImageHDU) -> dict[str, object]:
    """Return the cards of an extension without comments; of several with the same name the last one.

    Raises
    ------
    UnicodeDecodeError
        The header is not text.
    """
    return {name: value for name, value, _ in _records(hdu) if name != "COMMENT"}


def comments_of(hdu: fitsio.hdu.ImageHDU) -> dict[str, str]:
    """Return the comment of every card with a value of an extension; empty where it has none.

    Raises
    ------
    UnicodeDecodeError
        The header is not text.
    """
    return {name: comment for name, _, comment in _records(hdu) if name not in ("COMMENT", "HISTORY")}


def _records(hdu: fitsio.hdu.ImageHDU) -> list[tuple[str, object, str]]:
    """Return name, value and comment of all cards that have a name."""
    text = header_text(hdu)
    records = None if text is None or len(text) < LONG * _CARD else _parsed(text)
    if records is not None:
        return records
    found = hdu.read_header().records()
    return [(r["name"], r["value"], str(r.get("comment") or "")) for r in found if r["name"]]


def _parsed(text: bytes) -> list[tuple[str, object, str]] | None:
    """Return the records of a header; None if one of them does not follow the standard."""
    import warnings

    from astropy.io.fits import Header, VerifyError
    from astropy.io.fits.card import Undefined
    from astropy.io.fits.verify import VerifyWarning

    records: list[tuple[str, object, str]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", VerifyWarning)
            for card in Header.fromstring(text).cards:
                value = None if isinstance(card.value, Undefined) else card.value
                records += [(card.keyword, value, card.comment)] if card.keyword else []
    except (VerifyError, VerifyWarning, UnicodeDecodeError, ValueError):
        return None
    return records
