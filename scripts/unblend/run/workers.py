"""Run tasks in forked workers that may hang or crash without harm.

A fit inside IMFIT cannot be interrupted: no signal reaches Python before it returns. So worker processes are handed
the tasks one by one and send each result back; a task that takes too long is killed with its worker, one that kills
its worker is reported, and a new worker (8 ms) goes on with the next. They share what the parent has imported and read.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from ..core.errors import UnblendError


@dataclass(frozen=True)
class Failure:
    """Why a task has no result: `kind` is "timeout", "crash" (the process died) or "error" (an exception).

    `message` is one sentence: that of an `UnblendError`, or the type and place of any other exception.
    """

    kind: str
    message: str


def run_tasks(
    function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None = None, workers: int = 1
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) for every task as it is done; the result is a `Failure` where there is none.

    Parameters
    ----------
    function : callable
        Takes one task. Runs in a forked process, so neither it nor the tasks need to be picklable; results do.
    tasks : sequence
        Anything. Begun in order; one worker ends them in order, too.
    timeout_s : float or None
        Longest time for one task, seconds; None: no limit.
    workers : int
        Processes side by side.
    """
    crew: list[_Worker] = []
    try:
        for index in range(len(tasks)):
            if len(crew) < workers:
                worker = _Worker(function, tasks, timeout_s, crew)
                crew.append(worker)
            else:
                worker = _next_done(crew)
                yield worker.task, worker.outcome()
                if not worker.is_fit:
                    crew.remove(worker)
                    worker = _Worker(function, tasks, timeout_s, crew)
                    crew.append(worker)
            worker.begin(index)
        while crew:
            worker = _next_done(crew)
            outcome = worker.outcome()
            worker.stop()
            crew.remove(worker)
            yield worker.task, outcome
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A forked process with a task in hand; `is_fit` is False once it has died or been killed."""

    def __init__(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None, crew: Sequence[_Worker]
    ):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        # with a copy of a parent's end open in any child, a worker whose parent was killed would wait for ever
        parents = [self.pipe, *(worker.pipe for worker in crew)]
        self.process = context.Process(target=_work, args=(function, tasks, theirs, parents), daemon=True)
        self.process.start()
        # the child holds the only other end left, so that its death is seen as the end of the file
        theirs.close()
        self.timeout_s, self.deadline, self.task, self.is_fit = timeout_s, float("inf"), -1, True

    def begin(self, task: int) -> None:
        """Hand the worker a task."""
        self.task = task
        if self.timeout_s is not None:
            self.deadline = time.monotonic() + self.timeout_s
        with suppress(ConnectionError):  # if it has died meanwhile, `outcome` finds that out
            self.pipe.send(task)

    def outcome(self) -> Any:
        """Return the result of the task, or why there is none; then the worker is dead."""
        if not self.pipe.poll():
            self.stop()
            return Failure("timeout", f"no result after {self.timeout_s:g} s")
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            code = self.process.exitcode
            self.stop()
            return Failure("crash", f"the process ended with exit code {code}")

    def stop(self) -> None:
        """End the worker, whatever it does."""
        self.is_fit = False
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _next_done(crew: Sequence[_Worker]) -> _Worker:
    """Wait for a worker that has a result, is dead, or is out of time, and return it."""
    first = min(crew, key=lambda worker: worker.deadline)
    patience = None if first.deadline == float("inf") else max(0.0, first.deadline - time.monotonic())
    done = wait([worker.pipe for worker in crew], patience)
    return next((worker for worker in crew if worker.pipe in done), first)


def _work(
    function: Callable[[Any], Any], tasks: Sequence[Any], pipe: Connection, parents: Sequence[Connection]
) -> None:
    """Do the tasks that the parent asks for and send each result: the body of a worker."""
    # Ctrl-C reaches all: the parent ends its workers, and they say nothing
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for end in parents:
        end.close()
    while True:
        try:
            pipe.send(_result(function, tasks[pipe.recv()]))
        except (EOFError, ConnectionError):
            return


def _result(function: Callable[[Any], Any], task: Any) -> Any:
    """Return what the function gives, or the failure that an exception is."""
    try:
        return function(task)
    except UnblendError as problem:
        return Failure("error", str(problem))
    except Exception as problem:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}, line {place.lineno}"
        return Failure("error", f"{type(problem).__name__} in {where}: {problem}")
