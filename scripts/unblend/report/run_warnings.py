"""The warnings of the jobs of a field, read from their logs: each sentence once, with the jobs that gave it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

URGENT_STAGES = ("measure_shift", "run_monte_carlo", "extract_fluxes", "detect_sources", "fit_second_pass")
"""Stages whose warnings come first: they concern all fluxes of a band."""
_MARK = " WARNING "
_PLACE_IN_CODE = re.compile(r"^\S+\.py:\d+: (\w+: )")
"""How the warning of a Python package begins: the place in its code, then its category."""


@dataclass(frozen=True)
class RunWarning:
    """A warning of one or more jobs.

    Parameters
    ----------
    sentence : str
    logs : tuple of str
        The logs that contain it, relative to the folder of the logs: "prepare_psf/ks.log".
    number : int
        How often it was given.
    """

    sentence: str
    logs: tuple[str, ...]
    number: int


def warnings_of(path: Path) -> list[str]:
    """Return the warnings in a log, without their time and place in the code; none if the log cannot be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [_PLACE_IN_CODE.sub(r"\1", line.split(_MARK, 1)[1]) for line in lines if _MARK in line]


def read_warnings(
    results: Path, bands: Collection[str] | None = None, without: Collection[str] = ()
) -> list[RunWarning]:
    """Return the warnings of all jobs of a field, the most urgent first.

    Every log describes the last run of its job. Logs of bands that no longer exist are ignored.

    Parameters
    ----------
    results : Path
        Folder of the products.
    bands : collection of str, optional
        The bands of the field; by default the logs of all bands are read.
    without : collection of str
        Stages whose logs are ignored.
    """
    folder = results / "logs"
    logs = {path: path.relative_to(folder) for path in folder.rglob("*.log")}
    found: dict[str, list[str]] = {}  # of each sentence: the log of every time that it was given
    for path, name in sorted(logs.items(), key=lambda item: _urgency(item[1])):
        if _stage(name) in without or not _is_current(name, bands):
            continue
        for sentence in warnings_of(path):
            found.setdefault(sentence, []).append(name.as_posix())
    return [RunWarning(sentence, tuple(dict.fromkeys(names)), len(names)) for sentence, names in found.items()]


def _stage(name: Path) -> str:
    return name.parts[0].removesuffix(".log")


def _is_current(name: Path, bands: Collection[str] | None) -> bool:
    """Whether a log is that of the field as it is: not of a band that is gone. Batches of fits have numbers."""
    return bands is None or len(name.parts) == 1 or name.stem in bands or name.stem.isdigit()


def _urgency(name: Path) -> tuple[int, str]:
    """Return the rank of a log among those whose warnings come first, and its name."""
    stage = _stage(name)
    rank = URGENT_STAGES.index(stage) if stage in URGENT_STAGES else len(URGENT_STAGES)
    return rank, name.as_posix()
