"""The report as one self-contained HTML page: numbers as JSON, pixels as PNG, a program that draws them; no network."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

SECTIONS = (
    ("overview", "Field"),
    ("sources", "Sources"),
    ("bands", "Bands"),
    ("fits", "Fits"),
    ("time", "Time"),
)


def numbers(values: Iterable[Any], digits: int = 5) -> list[float | int | None]:
    """Return numbers for JSON: whole ones as they are, others with `digits` significant digits, None for NaN."""
    plain = np.asarray(values).tolist()
    return [v if isinstance(v, int) else float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in plain]


def decimals(values: Iterable[float], places: int) -> list[float | None]:
    """Return numbers for JSON with `places` decimals, None for NaN: positions, whose leading digits say little."""
    return [round(v, places) if math.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]


def base64_of(content: bytes) -> str:
    """Return bytes as text that a data address can hold."""
    return base64.b64encode(content).decode()


def page(
    title: str, data: Mapping[str, Any], images: Mapping[str, bytes], style: str, programs: Sequence[tuple[str, str]]
) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
    data : mapping
        What JSON can hold; NaN is not allowed.
    images : mapping
        PNG files by name. They are text until the page needs them.
    style : str
        CSS.
    programs : sequence of (name, JavaScript)
        In their order.
    """
    said = html.escape(title)
    links = "".join(f'<a href="#{name}">{html.escape(heading)}</a>' for name, heading in SECTIONS)
    body = "".join(f'<section id="{name}"><h2>{html.escape(heading)}</h2></section>' for name, heading in SECTIONS)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            # An icon of its own: browsers ask the disk for one otherwise.
            f'<link rel="icon" href="data:,"><title>{said}</title><style>{style}</style></head><body>',
            f'<header><h1>{said}</h1><p id="lead"></p><nav>{links}</nav></header>',
            "<noscript><p>This page draws itself with JavaScript: allow it for this file.</p></noscript>",
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
    """Return JSON that nothing in it can end the element it stands in."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
