"""What the file of a stored fit records besides the fit: under which settings it holds.

The key of a fit is the digest of everything that it depends on (`plan.fit_keys`), except the time limit. A fit that ran
into the limit records it beside its key, so that a higher limit repeats this fit and no other. The second pass depends
on the first passes of its own group and of the neighbours: the limits that those ran into become part of its key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.damage import FITS_BLOCK
from ..io.files import digest_of

PASSES = {"first": "first.json", "second": "fit.json"}
"""The files of the two passes of a group."""

FILES = (
    *(f"{name}.fits" for name in ("img", "seg", "mask", "error", "psf", "imfit_bestfit_res", "refined_res")),
    *(f"{name}.dat" for name in ("imfit_config", "imfit_bestfit", "refined")), "fit.sh",
)  # fmt: skip
FILES_OF_SOURCE = (
    "mask_{}.fits", "imfit_bestfit_res_{}.fits", "imfit_config_{}.dat", "imfit_bestfit_{}.dat",
    "imfit_bestfit_full_{}.dat", "fit_{}.sh", "make_{}.sh", "make_conv_{}.sh",
)  # fmt: skip
"""What `fit_folder.write_group_files` writes with the second pass of a group, and for each of its sources."""

PICTURE = "fit.png"
"""The picture of a fit, drawn from these files."""

_END = re.compile(rb'"key": "(\w+)"(?:,\s*"timed_out_at_s": ([-+.\deE]+))?\s*}\s*$')
_TAIL = 128
"""Bytes at the end of a file in which the key and the time limit are found: they are its last entries."""


@dataclass(frozen=True)
class Stamp:
    """The key of a stored fit, and the processor time in seconds that it exceeded; None where it did not."""

    key: str
    timed_out_at_s: float | None = None

    def holds(self, key: str, timeout_s: float) -> bool:
        """Return whether the fit was made with `key` and would not get more time now than it had."""
        return self.key == key and (self.timed_out_at_s is None or self.timed_out_at_s >= timeout_s)

    def content(self) -> dict[str, Any]:
        """Return the entries of the file; in alphabetical order they follow "fit"."""
        entries: dict[str, Any] = {"key": self.key}
        return entries if self.timed_out_at_s is None else entries | {"timed_out_at_s": self.timed_out_at_s}


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp of a stored fit, read from the end of its file; None where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            found = _END.search(stream.read())
    except OSError:
        return None
    return Stamp(found[1].decode(), float(found[2]) if found[2] else None) if found else None


def first_pass_limits(folder: Path, groups: Iterable[str]) -> dict[str, float]:
    """Return the time limits that the first passes of `groups` ran into, by group; `folder` is that of all fits."""
    stamps = {group: read_stamp(folder / group / PASSES["first"]) for group in groups}
    return {
        group: stamp.timed_out_at_s
        for group, stamp in sorted(stamps.items())
        if stamp is not None and stamp.timed_out_at_s is not None
    }


def key_with_limits(key: str, limits: Mapping[str, float]) -> str:
    """Return the key under which a second pass is stored: `key`, where no first pass has run into its time limit."""
    return digest_of([key, dict(limits)]) if limits else key


def cut_files(folder: Path, members: Iterable[int]) -> list[Path]:
    """Return the files written with the second pass of a group that were cut or emptied; missing ones do not count.

    Parameters
    ----------
    folder : Path
        imfit/{main}.
    members : iterable of int
        The sources of the group.
    """
    names = [*FILES, *(f"indiv/{name.format(i)}" for i in members for name in FILES_OF_SOURCE)]
    return [folder / name for name in names if _is_cut(f"{folder}/{name}")]


def _is_cut(path: str) -> bool:
    """Whether a file is there and empty, or no whole number of blocks of FITS: not opened, as there are many."""
    try:
        size = os.stat(path).st_size
    except OSError:
        return False
    return size == 0 or (path.endswith(".fits") and size % FITS_BLOCK != 0)
