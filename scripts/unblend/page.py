"""The report as one self-contained HTML page: figures inside, no network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light; --ink: #14212b; --soft: #5c6b76; --line: #d8dee3; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.lead, figcaption { color: var(--soft); }
figure { margin: .8rem 0; } img { max-width: 100%; height: auto; border: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, td.words { text-align: left; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; } .warn { color: #9a3412; } nav a { margin-right: 1rem; }
"""


def png(figure: Figure, dpi: int = 110) -> str:
    """Return a figure as the address of an image inside the page."""
    buffer = io.BytesIO()
    # No creation date: the same results give the same page.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def image(figure: Figure, caption: str, dpi: int = 110) -> str:
    """Return a figure with its caption."""
    said = html.escape(caption)
    return f'<figure><img alt="{said}" src="{png(figure, dpi)}"><figcaption>{said}</figcaption></figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are text."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def section(title: str, *parts: str) -> str:
    """Return a section that the navigation can jump to."""
    name = html.escape(title)
    return f'<section id="{name.replace(" ", "-")}"><h2>{name}</h2>{"".join(parts)}</section>'


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text; `kind` is a class of the page's style."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return the whole page; `sections` are (title, HTML made by `section`)."""
    links = "".join(f'<a href="#{html.escape(name).replace(" ", "-")}">{html.escape(name)}</a>' for name, _ in sections)
    body = "".join(content for _, content in sections)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p><nav>{links}</nav>{body}</body></html>\n'
    )
