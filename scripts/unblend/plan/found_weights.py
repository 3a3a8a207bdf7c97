"""What the weight maps beside an image are by their names and headers: inverse variances, exposure times, noise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import UnblendError
from ..io.images import read_header
from ..io.selections import split_extension
from .file_roles import EXPOSURE_WORDS, kind_of, words_in

_UNITS = {
    "exposure times": re.compile(r"s|secs?|seconds?", re.I),
    "coverages": re.compile(r"cov(erage)?|(n(umber)?[ _.]*(of)?[ _.]*)?(frames?|exposures?|images?)", re.I),
}
"""Values of BUNIT of exposure times and of numbers of frames."""
_NO_UNIT = "inverse variance, up to a factor"
_MEANINGS = {
    "weight": _NO_UNIT,
    "variance": "variance, in image units squared",
    "rms": "noise of a pixel, in image units",
}
_PREFERENCE = ("weight", "variance", "rms")
"""Kinds of weight maps, the preferred one first: maps of the noise often include the photon noise of the sources, which
biases the fluxes of bright ones, and maps of weights do not."""


@dataclass(frozen=True)
class FoundWeight:
    """A weight map.

    Parameters
    ----------
    file : str
        With the extension.
    kind : {"weight", "variance", "rms"}
    counts : {"", "exposure times", "coverages"}
        What the values of a map of kind weight count, where they are no inverse variances.
    """

    file: str
    kind: str
    counts: str = ""

    @property
    def meaning(self) -> str:
        """What the values are, for a comment."""
        return f"{self.counts}: {_NO_UNIT}" if self.counts else _MEANINGS[self.kind]

    @property
    def rank(self) -> tuple[int, bool]:
        """The smaller, the better: an inverse variance includes the noise of read-out and sky, a coverage does not."""
        return _PREFERENCE.index(self.kind), bool(self.counts)


def found_weight(file: str, kind: str | None = None) -> FoundWeight:
    """Return what a weight map is by the unit in its header, else by its name.

    Parameters
    ----------
    file : str
        May name an extension.
    kind : str, optional
        By the name of the extension; by default by that of the file.
    """
    kind = kind or kind_of(file)
    return FoundWeight(file, kind, _counts(file) if kind == "weight" else "")


def counts_by_unit(header: Mapping[str, object]) -> str:
    """Return what the values of an image count by its BUNIT, or by the type of its weights (WHTTYPE = EXP), else ""."""
    unit = str(header.get("BUNIT") or "").strip()
    if str(header.get("WHTTYPE") or "").strip().upper() == "EXP":
        return "exposure times"
    return next((counts for counts, pattern in _UNITS.items() if pattern.fullmatch(unit)), "")


def _counts(file: str) -> str:
    by_unit = counts_by_header(file)
    if by_unit:
        return by_unit
    path, extension = split_extension(file)
    words = words_in(extension) if extension else words_in(path)
    return next((EXPOSURE_WORDS[word] for word in reversed(words) if word in EXPOSURE_WORDS), "")


def counts_by_header(file: str) -> str:
    """Return `counts_by_unit` of a file, "" where it cannot be read."""
    try:
        return counts_by_unit(read_header(file))
    except UnblendError:
        return ""
