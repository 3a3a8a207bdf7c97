"""Read the lines of overrides/{id}.dat that are not IMFIT's: groups, pixels, and free components.

`GROUP alone` takes the source out of its group: it is fitted by itself, and the remaining group masks its pixels and
subtracts its model like that of any neighbour. `GROUP with 12 15` puts these sources into one group, whatever their
positions. `PIXELS cutout` says that X0, Y0 are pixels of the cutout imfit/{main}/img.fits instead of det_stack.fits.
`COMPONENTS free` gives the components of a source amplitudes of their own in every band.
Files that IMFIT or this program has written into the folder of a group are recognised by their first lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..core.errors import OverrideError
from ..core.shown import shortened

KEYWORDS = ("GROUP", "PIXELS", "COMPONENTS", "FUNCTION")
"""First words of lines other than parameter lines, to suggest the right one for a misspelled word."""
GROUP_FORM = "'GROUP alone' or 'GROUP with' and IDs"
PIXELS_FORM = "'PIXELS stack' or 'PIXELS cutout'"
COMPONENTS_FORM = "'COMPONENTS free' or 'COMPONENTS tied'"
ORIGIN = "pixels of the cutout whose first pixel is X={x} Y={y} of det_stack.fits"
"""The first comment line of the IMFIT files that this program writes for a group."""

_ORIGIN_LINE = re.compile(r"^#\s*" + ORIGIN.format(x=r"(-?[0-9]{1,9})", y=r"(-?[0-9]{1,9})"), re.MULTILINE)
_IMFIT_HEADER = re.compile(r"^#.*\bmodel results for imfit\b", re.MULTILINE)


@dataclass(frozen=True)
class Directives:
    """Grouping, pixel coordinates and components that a file requests.

    Parameters
    ----------
    alone : bool
        The source is fitted as a group of its own.
    partners : tuple of int
        Sources to be fitted together with it.
    in_cutout : bool
        Positions are pixels of a cutout.
    origin : (y, x) or None
        0-based position of the cutout's first pixel on the stack; None for the cutout of the source's present group.
    free_components : bool
        The share of the first component in the flux is free in every band.
    """

    alone: bool = False
    partners: tuple[int, ...] = ()
    in_cutout: bool = False
    origin: tuple[int, int] | None = None
    free_components: bool = False


def split_directives(text: str, source: str) -> tuple[Directives, str]:
    """Return the directives of a file, and its text with the lines of the directives left empty.

    Raises
    ------
    OverrideError
        A line is not valid. The message gives file, line, what was expected and what was found.
    """
    alone, free, pixels = False, False, ""
    partners: set[int] = set()
    remaining_lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        words = raw.partition("#")[0].split()
        place = f"{source}, line {number}"
        if words and words[0] == "GROUP":
            ids = _group_ids(words[1:], place)
            alone, partners = alone or not ids, partners | ids
        elif words and words[0] == "PIXELS":
            if words[1:] not in (["stack"], ["cutout"]):
                raise OverrideError(f"{place}: expected {PIXELS_FORM}, found '{shortened(raw.strip())}'.")
            pixels = words[1]
        elif words and words[0] == "COMPONENTS":
            if words[1:] not in (["free"], ["tied"]):
                raise OverrideError(f"{place}: expected {COMPONENTS_FORM}, found '{shortened(raw.strip())}'.")
            free = words[1] == "free"
        elif words and words[0] not in KEYWORDS and len(words[0]) > 3:
            close = difflib.get_close_matches(words[0].upper(), KEYWORDS, n=1, cutoff=0.75)
            if close:
                raise OverrideError(f"{place}: found '{shortened(words[0])}'; did you mean {close[0]}?")
        remaining_lines.append("" if words and words[0] in ("GROUP", "PIXELS", "COMPONENTS") else raw)
        if alone and partners:
            raise OverrideError(f"{place}: found both GROUP alone and GROUP with; keep one of them.")
    origin_found = _ORIGIN_LINE.search(text)
    is_imfit_file = origin_found is not None or _IMFIT_HEADER.search(text) is not None
    in_cutout = pixels == "cutout" or (not pixels and is_imfit_file)
    origin = (int(origin_found.group(2)) - 1, int(origin_found.group(1)) - 1) if origin_found and in_cutout else None
    return Directives(alone, tuple(sorted(partners)), in_cutout, origin, free), "\n".join(remaining_lines)


def _group_ids(words: list[str], place: str) -> set[int]:
    """Return the partners that a GROUP line lists; none for `alone`."""
    if words == ["alone"]:
        return set()
    ids = [word.strip(",") for word in words[1:]]
    if words[:1] != ["with"] or not ids or not all(re.fullmatch("0*[1-9][0-9]{0,9}", word) for word in ids):
        raise OverrideError(f"{place}: expected {GROUP_FORM}, found '{shortened(' '.join(['GROUP', *words]))}'.")
    return {int(word) for word in ids}


def origin_line(y0: int, x0: int) -> str:
    """Return the comment that gives the position on the stack of a cutout with the first pixel (y0, x0), 0-based."""
    return ORIGIN.format(x=x0 + 1, y=y0 + 1)


def requested_groups(texts: Mapping[int, tuple[str, str]]) -> dict[str, list]:
    """Return the groups that all override files request: `alone` (IDs) and `together` (lists of IDs), sorted.

    Parameters
    ----------
    texts : mapping of source to (text, name of the file)
        Content of all override files.

    Raises
    ------
    OverrideError
        A file lists its own source as a partner, or a source that is requested alone by its own file.
    """
    requests = {id_: split_directives(text, name)[0] for id_, (text, name) in texts.items()}
    for id_, directives in requests.items():
        name = texts[id_][1]
        for partner in directives.partners:
            if partner == id_:
                raise OverrideError(f"{name}: GROUP with {id_} lists the source itself; list only other sources.")
            if partner in requests and requests[partner].alone:
                raise OverrideError(
                    f"{name}: GROUP with {partner}, but {texts[partner][1]} says GROUP alone; drop one of the two."
                )
    sets = [{id_, *directives.partners} for id_, directives in requests.items() if directives.partners]
    return {"alone": sorted(i for i, d in requests.items() if d.alone), "together": _merged(sets)}


def _merged(sets: Iterable[set[int]]) -> list[list[int]]:
    """Return the sets, sorted, with those that share a member merged into one."""
    merged: list[set[int]] = []
    for new in sets:
        disjoint = [old for old in merged if not old & new]
        merged = [*disjoint, new.union(*(old for old in merged if old & new))]
    return sorted(sorted(ids) for ids in merged)
