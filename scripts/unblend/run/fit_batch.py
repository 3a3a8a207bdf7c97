"""A batch of fits: only what has changed is done, nothing that goes wrong with one group stops the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import InputError
from ..core.flags import Flag
from ..field.fit_field import FitField
from ..fits.imfit_loader import load_pyimfit
from ..fits.passes import replacement_fit
from ..fits.result import GroupFit
from .job_log import record_work
from .workers import Failure, run_tasks

log = logging.getLogger(__name__)


def fit_batch(
    field: FitField,
    spec: Mapping[str, Any],
    which: str,
    fit: Callable[[str], GroupFit],
    write: Callable[[str, GroupFit], None] | None = None,
    workers: int = 1,
) -> dict[str, str]:
    """Run `fit` for every group of the spec whose key differs from the stored one, in workers with a time limit.

    Parameters
    ----------
    field : FitField
    spec : mapping
        `groups`: key and user_files of each; `timeout_s`.
    which : {"first", "second"}
    fit : callable
        From the name of a group to its fit.
    write : callable or None
        Writes IMFIT's files of a group whose fit has crashed or run out of time; `fit` writes those of the others.
    workers : int
        Processes side by side.

    Returns
    -------
    dict of str
        The key of every group: all have a result.

    Raises
    ------
    InputError
        A user's file could not be used: the other groups are done and kept.
    """
    keys = {group: entry["key"] for group, entry in spec["groups"].items()}
    todo = [group for group in sorted(keys, key=int) if not field.is_current(group, which, keys[group])]
    log.info("%d of %d groups to fit", len(todo), len(keys))
    mistakes = []
    if todo:
        field.load()
        load_pyimfit()
    for number, outcome in run_tasks(fit, todo, spec["timeout_s"], workers):
        group = todo[number]
        user_files = spec["groups"][group]["user_files"]
        if isinstance(outcome, Failure) and outcome.kind == "error" and user_files:
            mistakes.append(f"group {group}: {outcome.message}")
            continue
        if isinstance(outcome, Failure):
            log.warning("group %s: %s: its models come from the moments of the segments", group, outcome.message)
            outcome = replaced(field, group, user_files, outcome)
            if write is not None:
                write_files(write, group, outcome, spec["timeout_s"])
        field.keep(group, which, keys[group], outcome)
        # A group of the user's own models leaves nothing to fit.
        if outcome.members:
            record_work(f"fit_{which}", group, outcome.seconds)
        log.info("group %s: chi2 %.1f for %d pixels", group, outcome.chi2, outcome.n_pixels)
    if mistakes:
        raise InputError("; ".join(sorted(mistakes)))
    return keys


def write_files(write: Callable[[str, GroupFit], None], group: str, fit: GroupFit, timeout_s: float) -> None:
    """Write the files of a replaced fit, in a worker: what has crashed once may crash again."""
    for _, outcome in run_tasks(lambda task: write(*task), [(group, fit)], timeout_s):
        if isinstance(outcome, Failure):
            log.warning("group %s: the files of its fit could not be written: %s", group, outcome.message)


def replaced(field: FitField, group: str, user_files: Mapping[str, Any], failure: Failure) -> GroupFit:
    """Return the models from moments of a group whose fit has crashed or run out of time."""
    flag = Flag.FIT_TIMED_OUT if failure.kind == "timeout" else Flag(0)
    return replacement_fit(field.data(group, user_files), field.psf, field.overrides(user_files), flag=flag)
