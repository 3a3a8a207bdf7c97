"""Numbers of header cards that may hold anything."""

from __future__ import annotations

import math
from collections.abc import Mapping


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
