"""The report as one self-contained HTML page: numbers as JSON, pixels as PNG, and JavaScript that draws them."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SECTIONS = (
    ("summary", "Summary"),
    ("overview", "Field"),
    ("sources", "Sources"),
    ("bands", "Bands"),
    ("fits", "Fits"),
    ("edit", "Edit"),
    ("time", "Time"),
)


def numbers(values: Iterable[Any], digits: int = 5) -> list[float | int | None]:
    """Return numbers for JSON: integers unchanged, others with `digits` significant digits, None for NaN."""
    plain = np.asarray(values).tolist()
    return [v if isinstance(v, int) else float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in plain]


def decimals(values: Iterable[float], places: int) -> list[float | None]:
    """Return numbers for JSON with `places` decimals, None for NaN."""
    return [round(v, places) if math.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]


@dataclass(frozen=True)
class Column:
    """A column of the table of sources or of their cards, rounded where it is listed.

    Parameters
    ----------
    values : array (n,)
        Numbers, NaN where unknown, or texts.
    digits : int
        Number of significant digits; integers are not rounded.
    places : int or None
        Number of decimals, in place of `digits`.
    """

    values: np.ndarray
    digits: int = 5
    places: int | None = None

    def listed(self, rows: slice = slice(None)) -> list[Any]:
        """Return the values of these rows for JSON, None for NaN."""
        part = self.values[rows]
        if part.dtype.kind in "SU":
            return [_text(value) for value in part]
        return numbers(part, self.digits) if self.places is None else decimals(part, self.places)

    def typed(self, kind: str) -> np.ndarray:
        """Return the rounded values of all rows as little-endian numbers of this kind, "f4" for example; NaN stays."""
        return np.array(self.listed(), dtype=float).astype(f"<{kind}")

    @property
    def has_values(self) -> bool:
        """Whether a value of any row is known and not 0."""
        return bool(np.any(np.isfinite(self.values) & (self.values != 0)))


def _text(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def base64_of(content: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode()


def page(
    title: str, data: Mapping[str, Any], images: Mapping[str, bytes], style: str, programs: Sequence[tuple[str, str]]
) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
    data : mapping
        Content of the page for JSON; NaN is not allowed.
    images : mapping of str to bytes
        PNG files by name. The page decodes them only when they are shown.
    style : str
        CSS.
    programs : sequence of (name, JavaScript)
        In the order of execution.
    """
    heading_text = html.escape(title)
    links = "".join(f'<a href="#{name}">{html.escape(heading)}</a>' for name, heading in SECTIONS)
    body = "".join(f'<section id="{name}"><h2>{html.escape(heading)}</h2></section>' for name, heading in SECTIONS)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            # With an empty icon browsers do not look for one on disk.
            f'<link rel="icon" href="data:,"><title>{heading_text}</title><style>{style}</style></head><body>',
            f'<header><h1>{heading_text}</h1><p id="lead"></p><nav>{links}</nav></header>',
            "<noscript><p>This page needs JavaScript: allow it for this file.</p></noscript>",
            f"<main>{body}</main>",
            f'<script type="application/json" id="data">{in_script(data)}</script>',
            *(
                f'<script type="text/plain" id="png:{html.escape(name)}">{base64_of(content)}</script>'
                for name, content in images.items()
            ),
            *(f"<script>\n// {name}\n{text}</script>" for name, text in programs),
            "</body></html>",
            "",
        ]
    )


def in_script(data: Any) -> str:
    """Return JSON that can be placed inside a script element: no text in it can end the element."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
