"""The lines of overrides/{id}.dat that are ours and not IMFIT's: whom a source is fitted with, and in which pixels.

`GROUP alone` takes the source out of its group: it is fitted by itself, and the group masks its pixels and subtracts
its light as that of any neighbour. `GROUP with 12 15` brings these sources into one group, wherever they lie.
`PIXELS cutout` says that X0, Y0 count from the cutout imfit/{main}/img.fits instead of det_stack.fits; the files that
IMFIT and we write into a group's folder are recognised by their first lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..core.errors import OverrideError

KEYWORDS = ("GROUP", "PIXELS", "FUNCTION")
GROUP_FORM = "'GROUP alone' or 'GROUP with' and IDs"
PIXELS_FORM = "'PIXELS stack' or 'PIXELS cutout'"
ORIGIN = "pixels of the cutout whose first pixel is X={x} Y={y} of det_stack.fits"
"""The first comment line of our files of a group."""

_ORIGIN = re.compile(r"^#\s*" + ORIGIN.format(x=r"(-?\d+)", y=r"(-?\d+)"), re.MULTILINE)
_IMFIT = re.compile(r"^#.*\bmodel results for imfit\b", re.MULTILINE)


@dataclass(frozen=True)
class Directives:
    """What a file says beside IMFIT's lines.

    Parameters
    ----------
    alone : bool
        The source is a group of its own.
    partners : tuple of int
        Sources to be fitted with it.
    in_cutout : bool
        Positions are pixels of a cutout.
    origin : (y, x) or None
        0-based position of its first pixel on the stack; None: that of the source's present group.
    """

    alone: bool = False
    partners: tuple[int, ...] = ()
    in_cutout: bool = False
    origin: tuple[int, int] | None = None


def split_directives(text: str, source: str) -> tuple[Directives, str]:
    """Return the directives and the text without them, its lines in their places.

    Raises
    ------
    OverrideError
        File, line, what was expected and found.
    """
    alone, pixels = False, ""
    partners: set[int] = set()
    rest = []
    for number, raw in enumerate(text.splitlines(), start=1):
        words = raw.partition("#")[0].split()
        place = f"{source}, line {number}"
        if words and words[0] == "GROUP":
            ids = _group_ids(words[1:], place)
            alone, partners = alone or not ids, partners | ids
        elif words and words[0] == "PIXELS":
            if words[1:] not in (["stack"], ["cutout"]):
                raise OverrideError(f"{place}: expected {PIXELS_FORM}, found '{raw.strip()}'.")
            pixels = words[1]
        elif words and words[0] not in KEYWORDS and len(words[0]) > 3:
            close = difflib.get_close_matches(words[0].upper(), KEYWORDS, n=1, cutoff=0.75)
            if close:
                raise OverrideError(f"{place}: found '{words[0]}'; did you mean {close[0]}?")
        rest.append("" if words and words[0] in ("GROUP", "PIXELS") else raw)
        if alone and partners:
            raise OverrideError(f"{place}: a source is fitted alone or with others; keep one GROUP line.")
    origin = _ORIGIN.search(text)
    in_cutout = pixels == "cutout" or (not pixels and (origin is not None or _IMFIT.search(text) is not None))
    first = (int(origin.group(2)) - 1, int(origin.group(1)) - 1) if origin and in_cutout else None
    return Directives(alone, tuple(sorted(partners)), in_cutout, first), "\n".join(rest)


def _group_ids(words: list[str], place: str) -> set[int]:
    """Return the partners that a GROUP line names; none for `alone`."""
    if words == ["alone"]:
        return set()
    ids = [word.strip(",") for word in words[1:]]
    if words[:1] != ["with"] or not ids or not all(word.isdigit() and int(word) > 0 for word in ids):
        raise OverrideError(f"{place}: expected {GROUP_FORM}, found '{' '.join(['GROUP', *words])}'.")
    return {int(word) for word in ids}


def origin_line(y0: int, x0: int) -> str:
    """Return the comment that tells where a cutout lies whose first pixel is (y0, x0), 0-based, on the stack."""
    return ORIGIN.format(x=x0 + 1, y=y0 + 1)


def requested_groups(texts: Mapping[int, tuple[str, str]]) -> dict[str, list]:
    """Return what all overrides together say of the groups: `alone` (IDs) and `together` (lists of IDs), ordered.

    Parameters
    ----------
    texts : mapping of source to (text, name of the file)

    Raises
    ------
    OverrideError
        A file names its own source, or one that another file wants alone.
    """
    said = {id_: split_directives(text, name)[0] for id_, (text, name) in texts.items()}
    for id_, directives in said.items():
        name = texts[id_][1]
        for partner in directives.partners:
            if partner == id_:
                raise OverrideError(f"{name}: GROUP with {id_} names the source itself; name the others.")
            if partner in said and said[partner].alone:
                raise OverrideError(
                    f"{name}: GROUP with {partner}, but {texts[partner][1]} says GROUP alone; drop one of the two."
                )
    pairs = [{id_, *directives.partners} for id_, directives in said.items() if directives.partners]
    return {"alone": sorted(i for i, d in said.items() if d.alone), "together": _united(pairs)}


def _united(sets: Iterable[set[int]]) -> list[list[int]]:
    """Return sets that share a member as one."""
    united: list[set[int]] = []
    for new in sets:
        apart = [old for old in united if not old & new]
        united = [*apart, new.union(*(old for old in united if old & new))]
    return sorted(sorted(one) for one in united)
