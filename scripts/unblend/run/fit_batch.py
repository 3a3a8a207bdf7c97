"""A batch of fits: only what has changed is fitted, and nothing that goes wrong with one group stops the others.

What IMFIT does to a group (a crash inside it, an exception, its time limit) ends in other models for that group. What
happens to the machine (a process killed, no memory, a full disk) says nothing about the group: nothing is stored for
it, and the job fails once the others are finished.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InputError, UnblendError
from ..field.fit_field import FitField
from ..fits.imfit_loader import load_pyimfit
from ..fits.result import GroupFit
from .job_log import record_work
from .workers import Failure, run_tasks

log = logging.getLogger(__name__)

FROM_MOMENTS = "its models come from the moments of the segments"

MAX_LOST = 3
"""Number of groups lost to the machine after which a job gives up: the cause does not pass, and every fit may take
minutes before it is lost, too."""

MIN_FALLBACK_S = 60.0
"""Processor time in seconds that is allowed for the models of a group whose fit has failed, even if `models.timeout` is
less. They take a second; the limit is for a crash that does not end."""

NOTHING_STORED = "nothing was stored for it; fix the cause (memory, disk) and run again; finished fits are kept"


@dataclass(frozen=True)
class Fallback:
    """The models of a group whose fit crashed or ran out of time, and what the log calls them.

    Parameters
    ----------
    name : str
        What is adopted, for the log, unless the result has not converged: then the models come from moments.
    fit : callable
        From the name of a group and whether its fit ran out of time to its models.
    """

    name: str
    fit: Callable[[str, bool], GroupFit]


def fit_batch(
    field: FitField,
    spec: Mapping[str, Any],
    which: str,
    fit: Callable[[str], GroupFit],
    fallbacks: Sequence[Fallback],
    workers: int = 1,
) -> dict[str, str]:
    """Run `fit` for every group of the spec whose stored fit does not hold, in workers with a limit of processor time.

    Parameters
    ----------
    field : FitField
    spec : mapping
        `groups`: key and user_files of each; `timeout_s`.
    which : {"first", "second"}
    fit : callable
        From the name of a group to its fit.
    fallbacks : sequence of Fallback
        Tried in this order for a group whose fit crashed or ran out of time; each may do the same itself.
    workers : int
        Number of processes.

    Returns
    -------
    dict of str
        The key of every group: all have a result.

    Raises
    ------
    InputError
        A user's file could not be used: the other groups are done and kept.
    UnblendError
        Fits were lost because processes were killed, or for lack of memory or disk space; nothing is stored for these.
    """
    keys, timeout_s = {group: entry["key"] for group, entry in spec["groups"].items()}, spec["timeout_s"]
    todo = [group for group in sorted(keys, key=int) if not field.is_current(group, which, keys[group], timeout_s)]
    log.info("%d of %d groups to fit", len(todo), len(keys))
    if todo:
        field.load()
        load_pyimfit()
    mistakes: list[tuple[str, str]] = []
    lost: list[tuple[str, str]] = []
    for group in todo:
        field.remove_leftovers(group)
    for number, outcome in run_tasks(fit, todo, timeout_s, workers):
        group, timed_out = todo[number], False
        if isinstance(outcome, Failure):
            outcome, timed_out = _without_fit(outcome, group, spec, fallbacks)
        if isinstance(outcome, GroupFit):
            outcome = _store(field, which, group, keys[group], outcome, timeout_s if timed_out else None)
        if outcome is not None:
            (lost if outcome.kind == "lost" else mistakes).append((group, outcome.message))
        if len(lost) == MAX_LOST:
            break
    _report(mistakes, lost)
    return keys


def _without_fit(
    failure: Failure, group: str, spec: Mapping[str, Any], fallbacks: Sequence[Fallback]
) -> tuple[GroupFit | Failure, bool]:
    """Return the models of a group whose fit has failed, or the failure where there are to be none.

    Also returns whether a time limit has played a part. The fallbacks run in a worker each: what has crashed once may
    crash again.
    """
    timed_out = failure.kind == "timeout"
    if failure.kind in ("lost", "mistake") or (failure.kind == "error" and spec["groups"][group]["user_files"]):
        return failure, False
    cause = failure
    for fallback in fallbacks:

        def models(name: str, fallback: Fallback = fallback) -> GroupFit:
            return fallback.fit(name, failure.kind == "timeout")

        ((_, outcome),) = run_tasks(models, [group], max(spec["timeout_s"], MIN_FALLBACK_S))
        if not isinstance(outcome, Failure):
            adopted = fallback.name if outcome.converged else FROM_MOMENTS
            log.warning("group %s: %s: %s", group, failure.message, adopted)
            return outcome, timed_out
        if outcome.kind in ("lost", "mistake"):
            return outcome, False
        timed_out |= outcome.kind == "timeout"
        log.warning("group %s: not possible: %s: %s", group, fallback.name, outcome.message)
        cause = outcome
    return Failure("mistake", cause.message), False


def _store(
    field: FitField, which: str, group: str, key: str, fit: GroupFit, timed_out_at_s: float | None
) -> Failure | None:
    """Store a fit; return a failure where that is not possible."""
    try:
        field.keep(group, which, key, fit, timed_out_at_s)
    except OSError as error:
        return Failure("lost", f"its fit could not be written: {error}")
    # A group of the user's own models leaves nothing to fit.
    if fit.members:
        record_work(f"fit_{which}", group, fit.seconds)
    log.info("group %s: chi2 %.1f for %d pixels", group, fit.chi2, fit.n_pixels)
    return None


def _report(mistakes: Sequence[tuple[str, str]], lost: Sequence[tuple[str, str]]) -> None:
    """Raise the error that says which groups have no fit, if there are any."""
    sentences = [f"group {group}: {message}" for group, message in sorted(mistakes)]
    sentences += [f"group {group}: {message}; {NOTHING_STORED}" for group, message in sorted(lost)]
    if sentences:
        raise (UnblendError if lost else InputError)("; ".join(sentences))
