"""Numbers and angles written as text, in config.yaml and in tables."""

from __future__ import annotations

import re
from typing import Any

MAX_POSITION = 80
"""Characters of a position."""
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SEXAGESIMAL = re.compile(
    r"""(?P<sign>[+-]?)(?P<whole>\d{1,3})(?P<unit>\s*[hd°:]\s*|\s+)
        (?P<minutes>[0-5]?\d)(?:\s*[m'′:]\s*|\s+)
        (?P<seconds>[0-5]?\d(?:\.\d*)?)\s*[s"″]?""",
    re.ASCII | re.VERBOSE,
)


def number_from_text(value: Any) -> Any:
    """Return the number that plain text such as 1e-3 means, which YAML 1.1 does not read as a number; else `value`."""
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        return float(value)
    return value


def degrees_from_text(value: Any, *, hours: bool) -> Any:
    """Return the angle in degrees that sexagesimal text means; anything else is returned as it is.

    Parameters
    ----------
    value : str or anything else
        Text as 03:32:20.9, 3h32m20.9s, -27:50:24 or -27d50m24s; a plain number in it is in degrees.
    hours : bool
        Whether text without a unit (03:32:20.9) is in hours, and h allowed: True for right ascensions.
    """
    found = _SEXAGESIMAL.fullmatch(value.strip().replace("−", "-")) if isinstance(value, str) else None
    if found is None:
        return number_from_text(value)
    unit = found["unit"].strip()
    if unit == "h" and not hours:
        return value
    angle = int(found["whole"]) + int(found["minutes"]) / 60 + float(found["seconds"]) / 3600
    angle *= 15 if hours and unit in ("h", ":", "") else 1
    # The sign is taken from the text: -00:30:00 has a whole part of zero.
    return -angle if found["sign"] == "-" else angle


def position_from_text(text: str) -> tuple[str, str] | None:
    """Return the texts of right ascension and declination in the text of a position; None where it has not both.

    Parameters
    ----------
    text : str
        Two angles as `degrees_from_text` reads them, with white space or a comma between them.
    """
    words = text[:MAX_POSITION].replace("−", "-").replace(",", " ").split()
    for first in range(1, len(words)):
        ra, dec = " ".join(words[:first]), " ".join(words[first:])
        pair = degrees_from_text(ra, hours=True), degrees_from_text(dec, hours=False)
        if len(words) - first == first and all(isinstance(angle, float) for angle in pair):
            return ra, dec
    return None
