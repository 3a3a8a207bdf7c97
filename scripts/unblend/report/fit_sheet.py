"""The sheet of all fit groups: one page with the worst fits first. Pictures are loaded when they come into view."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.counts import count
from ..core.flags import describe
from .fit_descriptions import flag_words

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #14212b; --soft: #5c6b76; --line: #d8dee3; --warn: #9a3412; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #12181e; --ink: #e3e9ee; --soft: #9fadb8; --line: #34414c; --warn: #f0a36b; } a { color: #7db8ef; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1010px;
       margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } p.lead { color: var(--soft); margin: .3rem 0 1rem; }
form { position: sticky; top: 0; background: var(--paper); padding: .6rem 0; border-bottom: 1px solid var(--line);
       display: flex; gap: .8rem; flex-wrap: wrap; align-items: center; z-index: 1; }
input, select { font: inherit; padding: .2rem .4rem; } #shown { color: var(--soft); }
article { border-bottom: 1px solid var(--line); padding: .9rem 0; } article[hidden] { display: none; }
img { max-width: 100%; height: auto; display: block; } ul { margin: .2rem 0 .2rem 54px; padding: 0; list-style: none; }
li, .note { color: var(--warn); font-size: .9rem; } li b { color: var(--ink); font-weight: 600; }
"""
_SCRIPT = """
const cards = [...document.querySelectorAll('article')], list = document.querySelector('main');
const find = document.querySelector('#find'), order = document.querySelector('#order');
const keys = { worst: c => [-c.dataset.failed, -c.dataset.chi2], id: c => [+c.dataset.group, 0],
  size: c => [-c.dataset.size, -c.dataset.chi2] };
const sort = () => { const key = keys[order.value], pairs = cards.map(c => [key(c), c]);
  pairs.sort(([a], [b]) => a[0] - b[0] || a[1] - b[1]).forEach(p => list.append(p[1])); };
const filter = () => { const words = find.value.toLowerCase().split(/\\s+/).filter(Boolean); let n = 0;
  for (const c of cards) { const ids = c.dataset.ids.split(' ');
    c.hidden = !words.every(w => /^\\d+$/.test(w) ? ids.includes(w) : c.dataset.flags.includes(w)); n += !c.hidden; }
  document.querySelector('#shown').textContent = n + ' of ' + cards.length + ' groups'; };
order.onchange = sort; find.oninput = filter; document.querySelector('form').onsubmit = () => false; filter();
"""


@dataclass(frozen=True)
class Card:
    """One group on the sheet.

    Parameters
    ----------
    group : str
    members : tuple of int
        IDs of its sources.
    failed : int
        1 if every fit failed: such groups come first.
    chi2 : float
        Reduced chi2, by which the other groups are ordered.
    flags : tuple of (source, bits)
        Flags of each source.
    size : tuple of int or None
        Width and height of the picture; None if there is no picture.
    """

    group: str
    members: tuple[int, ...]
    failed: int
    chi2: float
    flags: tuple[tuple[int, int], ...]
    size: tuple[int, int] | None


def sheet(cards: Sequence[Card], groups: int | None = None) -> str:
    """Return the HTML page, which expects the pictures at `{group}/fit.png` next to it.

    Parameters
    ----------
    cards : sequence of Card
        The groups that are shown.
    groups : int, optional
        Number of all groups of the field, if these are the worst of them.
    """
    ordered = sorted(cards, key=lambda card: (-card.failed, -card.chi2, int(card.group)))
    sources = sum(len(card.members) for card in cards)
    flagged = sum(any(bits for _, bits in card.flags) for card in cards)
    shown = f"{count(len(cards), 'group')} of {count(sources, 'source')}"
    if groups is not None and groups > len(cards):
        shown = f"The worst {shown}, of {groups} groups in all (./unblend open ID draws another)"
    lead = (
        f"{shown}, worst first; {flagged} "
        f"{'has' if flagged == 1 else 'have'} a flag. Bright pixels are dark and "
        "masked pixels brown. Grey outlines are sources of other groups. Ellipses contain half the light of a Sersic "
        "profile. The model includes the sky and the subtracted light of neighbours. To change a fit: "
        "./unblend override ID."
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fits</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>Fits</h1>'
        f'<p class="lead">{html.escape(lead)}</p><form><label>Find <input id="find" type="search" '
        'placeholder="ID or part of a flag"></label><label>Order <select id="order">'
        '<option value="worst">worst first</option><option value="id">by ID</option>'
        '<option value="size">largest groups first</option></select></label>'
        f'<span id="shown"></span></form><main>{"".join(map(_card, ordered))}</main>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _card(card: Card) -> str:
    """Return the card of a group: its picture and the descriptions of its flags."""
    ids = " ".join(map(str, card.members))
    words = " ".join(word for _, bits in card.flags for word in flag_words(bits))
    items = "".join(
        f"<li><b>{source}</b> {html.escape(sentence)}</li>"
        for source, bits in card.flags
        for sentence in describe(bits)
    )
    picture = '<p class="note">There is no picture because the residual of this fit is missing. Run again.</p>'
    if card.size is not None:
        width, height = card.size
        name = f"Group {card.group}: data, model and residual of {ids}"
        picture = (
            f'<a href="{card.group}/fit.png"><img loading="lazy" width="{width}" height="{height}" alt="{name}" '
            f'src="{card.group}/fit.png"></a>'
        )
    data = (
        f'data-group="{card.group}" data-ids="{ids}" data-size="{len(card.members)}" data-flags="{html.escape(words)}"'
    )
    order = f'data-failed="{card.failed}" data-chi2="{card.chi2:.4f}"'
    return f'<article id="group-{card.group}" {data} {order}>{picture}{f"<ul>{items}</ul>" if items else ""}</article>'
