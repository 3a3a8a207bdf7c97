"""Fits of a batch of groups: those whose inputs have changed are repeated, and one that fails does not stop the others.

If IMFIT crashes, raises an exception or exceeds its time limit, the group gets other models. If a process is killed, or
memory or disk space runs out, the fit itself is not at fault: nothing is stored for the group, and the job fails once
all other fits are finished.
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
from ..models.sersic_transform import load_tables
from .job_log import record_work
from .workers import Failure, run_tasks

log = logging.getLogger(__name__)

FROM_MOMENTS = "its models come from the moments of the segments"

MAX_LOST = 3
"""Number of lost fits after which a job stops: the cause probably persists, and each further fit may take minutes
before it is lost, too."""

MIN_FALLBACK_S = 60.0
"""Smallest limit of processor time, in seconds, for the models of a group whose fit has failed, even if
`models.timeout` is less. They take a second; the limit ends a process that hangs."""

NOT_STORED = "nothing was stored for it; fix the cause (memory, disk) and run again; finished fits are kept"


@dataclass(frozen=True)
class Fallback:
    """The models of a group whose fit crashed or exceeded its time limit, and their description in the log.

    Parameters
    ----------
    name : str
        Description of the models for the log. If their fit has not converged, the log says instead that they come from
        moments.
    fit : callable
        Returns the models, given the name of a group and whether its fit exceeded the time limit.
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
    """Fit every group of the spec that has no valid stored fit, in workers with a limit of processor time.

    Parameters
    ----------
    field : FitField
    spec : mapping
        `groups`: the key and user_files of each; `timeout_s`; `refine` in the second pass.
    which : {"first", "second"}
    fit : callable
        Returns the fit of a group, given its name.
    fallbacks : sequence of Fallback
        Tried in this order for a group whose fit crashed or exceeded its time limit; they may fail in the same way.
    workers : int
        Number of processes.

    Returns
    -------
    dict of str
        The key of every group; all of them have a stored fit.

    Raises
    ------
    InputError
        A file of the user could not be used. The fits of the other groups are stored.
    UnblendError
        Fits were lost because processes were killed, or for lack of memory or disk space. Nothing is stored for these.
    """
    keys, timeout_s = {group: entry["key"] for group, entry in spec["groups"].items()}, spec["timeout_s"]
    todo = [group for group in sorted(keys, key=int) if not field.is_current(group, which, keys[group], timeout_s)]
    log.info("%d of %d groups to fit", len(todo), len(keys))
    if todo:
        field.load()
        load_pyimfit()
        if spec.get("refine") == "exact":
            load_tables()
    unusable: list[tuple[str, str]] = []
    lost: list[tuple[str, str]] = []
    for group in todo:
        field.remove_temporary_files(group)
    for number, outcome in run_tasks(fit, todo, timeout_s, workers):
        group, timed_out = todo[number], False
        if isinstance(outcome, Failure):
            outcome, timed_out = _fallback_models(outcome, group, spec, fallbacks)
        if isinstance(outcome, GroupFit):
            outcome = _store(field, which, group, keys[group], outcome, timeout_s if timed_out else None)
        if outcome is not None:
            (lost if outcome.kind == "lost" else unusable).append((group, outcome.message))
        if len(lost) == MAX_LOST:
            break
    _raise_failures(unusable, lost)
    return keys


def _fallback_models(
    failure: Failure, group: str, spec: Mapping[str, Any], fallbacks: Sequence[Fallback]
) -> tuple[GroupFit | Failure, bool]:
    """Return the models of a group whose fit has failed, or the failure if there are none.

    Also returns whether a time limit was exceeded. Each fallback runs in a worker, because it may crash as the fit did.
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
    """Store a fit; return a failure if it cannot be written."""
    try:
        field.keep(group, which, key, fit, timed_out_at_s)
    except OSError as error:
        return Failure("lost", f"its fit could not be written: {error}")
    # If the user gives all models of a group, there is nothing to fit.
    if fit.members:
        record_work(f"fit_{which}", group, fit.seconds)
    log.info("group %s: chi2 %.1f for %d pixels", group, fit.final_chi2, fit.n_pixels)
    return None


def _raise_failures(unusable: Sequence[tuple[str, str]], lost: Sequence[tuple[str, str]]) -> None:
    """Raise an error that lists the groups without a fit, if there are any."""
    sentences = [f"group {group}: {message}" for group, message in sorted(unusable)]
    sentences += [f"group {group}: {message}; {NOT_STORED}" for group, message in sorted(lost)]
    if sentences:
        raise (UnblendError if lost else InputError)("; ".join(sentences))
