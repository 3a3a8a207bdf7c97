"""Text of the user as a message shows it."""

from __future__ import annotations

MAX_SHOWN = 80
"""Characters that a message shows."""


def shortened(text: str) -> str:
    """Return text on one line, without its end where it is longer than `MAX_SHOWN`."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:MAX_SHOWN])
    return line if len(text) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…"
