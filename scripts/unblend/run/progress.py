"""The state of a run, and the lines of text that describe it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..core.counts import count
from ..core.flags import Flag, names

MIN_FITS = 5
"""Number of fits after which the remaining time is estimated."""


@dataclass
class RunState:
    """The state of a run.

    Parameters
    ----------
    fits_done, fits_total : int
        Fits of this run: a group counts once in each pass in which it is to be fitted.
    fits_s, bands_s : float
        Seconds since the first fit and since the first templates were started.
    retried, replaced : int
        Groups of this run with the flag fit_retried or fit_replaced so far.
    bands_done, bands_total : int
        Bands whose fluxes are measured in this run.
    jobs_done, jobs_total : int
        As Snakemake counts them; the total increases once the groups are known.
    warnings : int
        Number of warnings in the logs of the finished jobs of this run.
    failed : list of str
        Failed jobs, with their logs.
    """

    fits_done: int = 0
    fits_total: int = 0
    fits_s: float = 0.0
    retried: int = 0
    replaced: int = 0
    bands_done: int = 0
    bands_total: int = 0
    bands_s: float = 0.0
    jobs_done: int = 0
    jobs_total: int = 0
    warnings: int = 0
    failed: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain numbers and strings."""
        return asdict(self)


def duration(seconds: float) -> str:
    """Return a time as text: 12 s, 2 min 05 s, 1 h 04 min."""
    whole = max(0, math.ceil(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def time_left(done: int, total: int, seconds: float, least: int = 1) -> float | None:
    """Return the remaining time in seconds at the present rate; None before `least` are done, and when all are done.

    Parameters
    ----------
    done, total : int
        Numbers of fits or bands.
    seconds : float
        Wall time so far.
    least : int
        Number that must be done before the time is estimated.
    """
    if done < least or done >= total:
        return None
    return seconds / done * (total - done)


def status(state: RunState) -> str:
    """Return the line that describes the progress: fits, bands, warnings and failed jobs."""
    parts = []
    if state.fits_total:
        words = f"fits {state.fits_done} of {state.fits_total}"
        left = time_left(state.fits_done, state.fits_total, state.fits_s, MIN_FITS)
        parts.append(words + (f", about {duration(left)} left" if left is not None else "") + _problems(state))
    if state.bands_total:
        left = time_left(state.bands_done, state.bands_total, state.bands_s)
        words = f"bands {state.bands_done} of {state.bands_total}"
        parts.append(words + (f", about {duration(left)} left" if left is not None else ""))
    if state.jobs_total and state.fits_done >= state.fits_total:
        parts.append(f"jobs {state.jobs_done} of {state.jobs_total}")
    if state.warnings:
        parts.append(count(state.warnings, "warning"))
    if state.failed:
        parts.append(f"{count(len(state.failed), 'job')} failed")
    return "; ".join(parts)


def _problems(state: RunState) -> str:
    """Return the numbers of retried and replaced fits, in brackets."""
    pairs = ((state.retried, "retried"), (state.replaced, "replaced"))
    listed = ", ".join(f"{number} {word}" for number, word in pairs if number)
    return f" ({listed})" if listed else ""


def flag_counts(flags: Sequence[int]) -> str:
    """Return how many fits were retried, replaced, out of time, on a bound or have a poor chi2; zeros are omitted."""
    kinds = {
        "retried": Flag.FIT_RETRIED,
        "replaced": Flag.FIT_REPLACED,
        "out of time": Flag.FIT_TIMED_OUT,
        "on a bound": Flag.FIT_ON_BOUND,
        "poor chi2": Flag.FIT_POOR_CHI2,
    }
    found = {word: sum(bool(value & flag) for value in flags) for word, flag in kinds.items()}
    return ", ".join(f"{number} {word}" for word, number in found.items() if number)


def common_flags(flags: Sequence[int]) -> str:
    """Return how many sources have each flag, the most common first: "12 shape fixed, 3 on edge"."""
    found = {names(int(flag))[0]: sum(bool(value & flag) for value in flags) for flag in Flag}
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in ordered if number)


def success_lines(seconds: float, rows: Mapping[str, str]) -> list[str]:
    """Return the last lines of a successful run: how long it took, and where the results are."""
    width = max((len(name) for name in rows), default=0)
    return [f"Done in {duration(seconds)}.", *(f"  {name:{width}s}  {where}" for name, where in rows.items())]


def failure_lines(seconds: float, failed: Sequence[str]) -> list[str]:
    """Return the last lines of a run that stopped: the failed jobs with their logs, and what to do."""
    lines = [f"Stopped after {duration(seconds)}{': ' + count(len(failed), 'job') + ' failed' if failed else ''}."]
    lines += [f"  {job}" for job in failed]
    return [
        *lines,
        "Finished work is kept. " + ("Fix the cause and run again." if failed else "Run again to continue."),
    ]
