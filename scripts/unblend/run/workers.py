"""Run tasks in forked worker processes, so that a task that crashes or hangs does not affect the others.

A fit inside IMFIT cannot be interrupted, because Python handles no signal before it returns. Each worker therefore
receives one task at a time and sends back the result. A worker that dies, or whose task exceeds its limit of processor
time, is replaced by a new one (8 ms). Workers share the modules and data that the parent has loaded.

There are two kinds of failures. A crash, an exception or an exceeded time limit is caused by the task. A worker killed
for lack of memory or by a scheduler, or an error for lack of memory or disk space, has a cause outside the task, which
is therefore repeated once, in a new process and after all others.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from ..core.errors import UnblendError
from ..core.memory import has_free_memory

log = logging.getLogger(__name__)

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGILL)
"""Signals that mean a crash of the process itself. All others come from outside."""

WALL_PER_PROCESSOR_TIME = 20.0
"""A worker without a result after this multiple of the limit of processor time, as wall time, is assumed to hang. The
machine may just be busy or asleep, so its task is repeated once before it counts as lost."""

MIN_WALL_S = 60.0
"""Shortest wall time, in seconds, after which a worker is assumed to hang."""

LONGEST_WAIT_S = 3600.0
"""Longest single wait for the workers in seconds; the system call does not accept arbitrarily large numbers."""

SHORTEST_TIMER_S, LONGEST_TIMER_S = 1e-3, 1e8
"""Range of the timer of a task in seconds, up to three years, for the same reason; 0 would mean no limit."""

SHARE = 100
"""Tasks that a process takes at a time where each is short."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Failure:
    """Why a task has no result.

    Parameters
    ----------
    kind : {"timeout", "crash", "error", "mistake", "lost"}
        The task exceeded its processor time, crashed, raised an exception, or raised an `UnblendError`; or it was lost
        twice for a reason outside the task: a signal, `MemoryError`, `OSError`.
    message : str
        One sentence: the message of an `UnblendError`, or type, place and message of any other exception.
    """

    kind: str
    message: str


def run_tasks(
    function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None = None, workers: int = 1
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) of every task as soon as it is finished; the result is a `Failure` if the task failed.

    Parameters
    ----------
    function : callable
        Called with one task, in a forked process: results must be picklable, the function and the tasks need not.
    tasks : sequence
        Objects of any type, started in this order. With one worker the results have the same order, except that tasks
        whose worker was lost are repeated at the end, one at a time.
    timeout_s : float or None
        Limit of processor time for one task, in seconds; None: no limit.
    workers : int
        Number of processes.

    Raises
    ------
    UnblendError
        A new process could not be started.
    """
    lost: list[int] = []
    with closing(_attempt(function, tasks, range(len(tasks)), timeout_s, workers)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Failure) and outcome.kind == "lost":
                name = tasks[index] if isinstance(tasks[index], str) else f"number {index + 1}"
                log.warning("task %s: %s; it will be repeated after the others", name, outcome.message)
                lost.append(index)
            else:
                yield index, outcome
    for index in lost:
        with closing(_attempt(function, tasks, [index], timeout_s, 1)) as outcomes:
            yield from outcomes


def in_shares(function: Callable[[Sequence[Any]], Sequence[Any]], tasks: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield the result of every task, in their order, from processes that each take a share of them at a time.

    Parameters
    ----------
    function : callable
        Returns the results of some tasks in their order. In another process it must open files for itself: two
        processes that read from one open file disturb each other.
    tasks : sequence
    workers : int
        Number of processes; with one, everything is done in this process.

    Raises
    ------
    UnblendError
        A share has failed.
    """
    if workers == 1:
        yield from function(tasks)
        return
    shares = [tasks[k : k + SHARE] for k in range(0, len(tasks), SHARE)]
    done, following = {}, 0
    with closing(run_tasks(function, shares, workers=workers)) as outcomes:  # type: ignore[type-var]
        for index, outcome in outcomes:
            if isinstance(outcome, Failure):
                raise UnblendError(outcome.message)
            done[index] = outcome
            while following in done:
                yield from done.pop(following)
                following += 1


def _attempt(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    indices: Sequence[int],
    timeout_s: float | None,
    workers: int,
) -> Generator[tuple[int, Any]]:
    """Yield (index, result) of the tasks with the given indices, each tried once."""
    busy: list[_Worker] = []
    try:
        for index in indices:
            if len(busy) < workers:
                worker = _Worker(function, tasks, timeout_s, busy)
                busy.append(worker)
            else:
                worker = _next_done(busy)
                yield worker.task, worker.outcome()
                if not worker.is_alive:
                    busy.remove(worker)
                    worker = _Worker(function, tasks, timeout_s, busy)
                    busy.append(worker)
            worker.start_task(index)
        while busy:
            worker = _next_done(busy)
            outcome = worker.outcome()
            worker.stop()
            busy.remove(worker)
            yield worker.task, outcome
    finally:
        for worker in busy:
            worker.stop()


class _Worker:
    """A forked process with a task; `is_alive` is False once it has died or been killed."""

    def __init__(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None, busy: Sequence[_Worker]
    ):
        try:
            self._fork(function, tasks, timeout_s, busy)
        except OSError as error:
            raise UnblendError(
                f"A new process could not be started: {error}. Finished work is kept. Fix the cause (memory, number of "
                "processes or of open files) and run again."
            ) from error
        self.timeout_s, self.wall_s, self.deadline, self.task, self.is_alive = timeout_s, 0.0, float("inf"), -1, True

    def _fork(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None, busy: Sequence[_Worker]
    ) -> None:
        """Start the process and the pipe to it."""
        context = multiprocessing.get_context("fork")
        self.pipe, child_end = context.Pipe()
        # while any child has a copy of a parent's end open, a worker whose parent was killed would wait for ever
        parent_ends = [self.pipe, *(worker.pipe for worker in busy)]
        arguments = (function, tasks, timeout_s, child_end, parent_ends, os.getpid())
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        # the child then has the only copy of its end, so that its death ends the stream
        child_end.close()

    def start_task(self, task: int) -> None:
        """Send a task to the worker."""
        self.task = task
        if self.timeout_s is not None:
            self.wall_s = max(WALL_PER_PROCESSOR_TIME * self.timeout_s, MIN_WALL_S)
            self.deadline = time.monotonic() + self.wall_s
        with suppress(ConnectionError):  # if it has died meanwhile, `outcome` returns the failure
            self.pipe.send(task)

    def outcome(self) -> Any:
        """Return the result or the failure of the task. A worker that was lost or does not answer is stopped."""
        if not self.pipe.poll():
            self.stop()
            return Failure(
                "lost", f"there was no result after {self.wall_s:g} s, although little processor time was used"
            )
        try:
            result = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            failure = self._death()
            self.stop()
            return failure
        if isinstance(result, Failure) and result.kind == "lost":
            self.stop()
        return result

    def _death(self) -> Failure:
        """Return the reason why the process has ended."""
        code = self.process.exitcode or 0
        if code >= 0:
            return Failure("lost", f"the process ended with exit code {code}")
        name = signal.Signals(-code).name
        if -code == signal.SIGPROF:
            return Failure("timeout", f"there was no result after {self.timeout_s:g} s of processor time")
        if -code not in CRASHES:
            hint = ", as happens for lack of memory" if -code == signal.SIGKILL else ""
            return Failure("lost", f"the process was ended from outside by {name}{hint}")
        if not has_free_memory():
            return Failure("lost", f"the process crashed with {name} while memory was short")
        return Failure("crash", f"the process crashed with {name}")

    def stop(self) -> None:
        """Stop the worker, whether or not it is busy."""
        self.is_alive = False
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _next_done(busy: Sequence[_Worker]) -> _Worker:
    """Wait until a worker has a result, has died or is assumed to hang, and return it."""
    first = min(busy, key=lambda worker: worker.deadline)
    while True:
        remaining = max(0.0, first.deadline - time.monotonic())
        done = wait([worker.pipe for worker in busy], min(remaining, LONGEST_WAIT_S))
        if done:
            return next(worker for worker in busy if worker.pipe in done)
        if time.monotonic() >= first.deadline:
            return first


def _work(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    timeout_s: float | None,
    pipe: Connection,
    parent_ends: Sequence[Connection],
    parent: int,
) -> None:
    """Run the tasks that the parent requests and send back each result: the body of a worker."""
    # Ctrl-C reaches all processes, and the parent stops its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a handler in Python, as the parent may have, would not run before C code returns; nohup ignores SIGHUP
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    end_with(parent)
    timer_s = 0.0 if timeout_s is None else min(max(timeout_s, SHORTEST_TIMER_S), LONGEST_TIMER_S)
    for end in parent_ends:
        end.close()
    while True:
        try:
            task = tasks[pipe.recv()]
            # SIGPROF ends the process after that much processor time; waiting does not count
            signal.setitimer(signal.ITIMER_PROF, timer_s)
            result = _result(function, task)
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            pipe.send(result)
        except (EOFError, ConnectionError):
            return


def end_with(parent: int) -> None:
    """Make Linux kill this process when its parent dies, even in the middle of a fit."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _result(function: Callable[[Any], Any], task: Any) -> Any:
    """Return the result of the function, or a failure if it raises an exception."""
    try:
        return function(task)
    except UnblendError as problem:
        return Failure("mistake", str(problem))
    except Exception as problem:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}, line {place.lineno}"
        kind = "lost" if isinstance(problem, MemoryError | OSError) else "error"
        return Failure(kind, f"{type(problem).__name__} in {where}: {problem}")
