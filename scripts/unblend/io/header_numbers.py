"""Numbers of header cards that may hold anything."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..core.errors import InputError


class NotStatedError(Exception):
    """A header does not state what is looked for; the message says why, as part of a sentence."""


def number(header: Mapping[str, object], key: str) -> float | None:
    """Return the finite number that a card holds, also as text; None without one."""
    value = header.get(key)
    if isinstance(value, bool) or value is None:
        return None
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def positive(header: Mapping[str, object], key: str) -> float | None:
    """Return the positive number that a card holds; None without one."""
    result = number(header, key)
    return result if result is not None and result > 0 else None


def needed_number(header: Mapping[str, object], key: str, name: str, *, default: float | None = None) -> float:
    """Return the finite number that a card holds, or the default if there is no such card.

    CFITSIO reads integers of more than 63 bits as text.

    Parameters
    ----------
    header : mapping
    key : str
    name : str
        Name of the file for the error.
    default : float, optional

    Raises
    ------
    InputError
        The card holds no number, or there is neither a card nor a default; `name` is that of the file.
    """
    value = header.get(key, default)
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        raise InputError(f"{name}: its header has {key} = {value!r}; expected a number. Correct the header.")
    return result
