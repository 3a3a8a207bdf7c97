"""Run tasks in a forked worker that may hang or crash without harm.

A fit inside IMFIT cannot be interrupted: no signal reaches Python before it returns. So a worker process does the
tasks one by one and sends each result back; a task that takes too long is killed with its worker, one that kills
its worker is reported, and a new worker (8 ms) goes on with the next.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

from .errors import UnblendError


@dataclass(frozen=True)
class Failure:
    """Why a task has no result: `kind` is "timeout", "crash" (the process died) or "error" (an exception).

    `message` is one sentence: that of an `UnblendError`, or the type and place of any other exception.
    """

    kind: str
    message: str


def run_tasks(
    function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) for every task, in order; the result is a `Failure` where there is none.

    Parameters
    ----------
    function : callable
        Takes one task. Runs in a forked process, so neither it nor the tasks need to be picklable; results do.
    tasks : sequence
        Anything.
    timeout_s : float or None
        Longest time for one task, seconds; None: no limit.
    """
    done = 0
    while done < len(tasks):
        worker, results = _start(function, tasks, done)
        try:
            while done < len(tasks):
                outcome, alive = _receive(worker, results, timeout_s)
                yield done, outcome
                done += 1
                if not alive:
                    break
        finally:
            _stop(worker, results)


def _start(function: Callable[[Any], Any], tasks: Sequence[Any], first: int) -> tuple[ForkProcess, Connection]:
    """Fork a worker for the tasks from number `first` on."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(function, tasks, first, sender, receiver), daemon=True)
    worker.start()
    # the child holds the only writing end left, so that its death is seen as the end of the file
    sender.close()
    return worker, receiver


def _work(
    function: Callable[[Any], Any], tasks: Sequence[Any], first: int, sender: Connection, receiver: Connection
) -> None:
    """Do the tasks and send each result: the body of the worker."""
    # with its own copy of the reading end open, a worker whose parent was killed would wait for ever
    receiver.close()
    for index in range(first, len(tasks)):
        try:
            sender.send(function(tasks[index]))
        except BrokenPipeError:
            return
        except UnblendError as problem:
            sender.send(Failure("error", str(problem)))
        except Exception as problem:
            place = traceback.extract_tb(problem.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}, line {place.lineno}"
            sender.send(Failure("error", f"{type(problem).__name__} in {where}: {problem}"))


def _receive(worker: ForkProcess, results: Connection, timeout_s: float | None) -> tuple[Any, bool]:
    """Return the next result and whether the worker can go on."""
    if not results.poll(timeout_s):
        return Failure("timeout", f"no result after {timeout_s:g} s"), False
    try:
        return results.recv(), True
    except EOFError:
        worker.join()
        return Failure("crash", f"the process ended with exit code {worker.exitcode}"), False


def _stop(worker: ForkProcess, results: Connection) -> None:
    """End the worker, whatever it does."""
    results.close()
    if worker.is_alive():
        worker.kill()
    worker.join()
