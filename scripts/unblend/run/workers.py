"""Run tasks in forked workers, so that a task that crashes or never returns does no harm to the others.

A fit inside IMFIT cannot be interrupted: no signal reaches Python before it returns. So worker processes are given
the tasks one by one and send each result back. A worker that dies, or whose task exceeds its processor time, is
replaced by a new one (8 ms). Workers share what the parent has imported and read.

What a task does to its own worker (a crash, an exception, its time limit) is told apart from what happens to the worker
from outside (killed for lack of memory or by a scheduler, no memory, a full disk). The latter says nothing about the
task, which is therefore repeated once, in a new process and after all others.
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
"""Signals by which a process ends itself. All others are sent from outside."""

WALL_PER_PROCESSOR_TIME = 20.0
"""A worker without a result after this multiple of the limit of processor time is taken to hang. Its task is not timed
out, since the machine may be busy or asleep: it is repeated, and fails if it hangs again."""

MIN_WALL_S = 60.0
"""Time in seconds that a worker has in any case before it is taken to hang."""

LONGEST_WAIT_S = 3600.0
"""Longest single wait for the workers in seconds; the system call does not take arbitrary numbers."""

SHORTEST_TIMER_S, LONGEST_TIMER_S = 1e-3, 1e8
"""Range in seconds in which the timer of a task is set, for the same reason: up to three years; 0 would be no limit."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Failure:
    """Why a task has no result.

    Parameters
    ----------
    kind : {"timeout", "crash", "error", "mistake", "lost"}
        The task has used up its processor time, has crashed its process, has raised an exception or an `UnblendError`;
        or it was lost, twice, by something outside of it: a signal, `MemoryError`, `OSError`.
    message : str
        One sentence: that of an `UnblendError`, or the type and place of any other exception.
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
        Anything. Begun in order; one worker also ends them in order. Those whose worker was lost follow at the end,
        one at a time.
    timeout_s : float or None
        Largest processor time for one task, seconds; None: no limit.
    workers : int
        Number of processes.

    Raises
    ------
    UnblendError
        The machine does not allow another process.
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


def _attempt(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    indices: Sequence[int],
    timeout_s: float | None,
    workers: int,
) -> Generator[tuple[int, Any]]:
    """Yield (index, result) for the tasks of the given indices, each tried once."""
    crew: list[_Worker] = []
    try:
        for index in indices:
            if len(crew) < workers:
                worker = _Worker(function, tasks, timeout_s, crew)
                crew.append(worker)
            else:
                worker = _next_done(crew)
                yield worker.task, worker.outcome()
                if not worker.is_alive:
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
    """A forked process with a task; `is_alive` is False once it has died or been killed."""

    def __init__(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None, crew: Sequence[_Worker]
    ):
        try:
            self._start(function, tasks, timeout_s, crew)
        except OSError as error:
            raise UnblendError(
                f"A new process could not be started: {error}. Finished work is kept. Fix the cause (memory, number of "
                "processes or of open files) and run again."
            ) from error
        self.timeout_s, self.wall_s, self.deadline, self.task, self.is_alive = timeout_s, 0.0, float("inf"), -1, True

    def _start(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], timeout_s: float | None, crew: Sequence[_Worker]
    ) -> None:
        """Start the process."""
        context = multiprocessing.get_context("fork")
        self.pipe, child_end = context.Pipe()
        # with a copy of a parent's end open in any child, a worker whose parent was killed would wait for ever
        parent_ends = [self.pipe, *(worker.pipe for worker in crew)]
        arguments = (function, tasks, timeout_s, child_end, parent_ends, os.getpid())
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        # the child holds the only remaining copy of its end, so that its death is seen as the end of the file
        child_end.close()

    def begin(self, task: int) -> None:
        """Give the worker a task."""
        self.task = task
        if self.timeout_s is not None:
            self.wall_s = max(WALL_PER_PROCESSOR_TIME * self.timeout_s, MIN_WALL_S)
            self.deadline = time.monotonic() + self.wall_s
        with suppress(ConnectionError):  # if it has died meanwhile, `outcome` finds that out
            self.pipe.send(task)

    def outcome(self) -> Any:
        """Return the result of the task, or why there is none. A worker that was lost or has failed to answer ends."""
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
        """Return why the process has ended."""
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
        """End the worker, whatever it does."""
        self.is_alive = False
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _next_done(crew: Sequence[_Worker]) -> _Worker:
    """Wait for a worker that has a result, is dead, or is taken to hang, and return it."""
    first = min(crew, key=lambda worker: worker.deadline)
    while True:
        remaining = max(0.0, first.deadline - time.monotonic())
        done = wait([worker.pipe for worker in crew], min(remaining, LONGEST_WAIT_S))
        if done:
            return next(worker for worker in crew if worker.pipe in done)
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
    """Do the tasks that the parent asks for and send each result: the body of a worker."""
    # Ctrl-C reaches all processes: the parent ends its workers, which write nothing themselves
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # the parent may handle these in Python, which code in C would delay; nohup ignores SIGHUP
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    _end_with(parent)
    timer_s = 0.0 if timeout_s is None else min(max(timeout_s, SHORTEST_TIMER_S), LONGEST_TIMER_S)
    for end in parent_ends:
        end.close()
    while True:
        try:
            task = tasks[pipe.recv()]
            # SIGPROF ends the process once it has used that much processor time; waiting does not count
            signal.setitimer(signal.ITIMER_PROF, timer_s)
            result = _result(function, task)
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            pipe.send(result)
        except (EOFError, ConnectionError):
            return


def _end_with(parent: int) -> None:
    """Have this process killed when its parent dies, where the system can do that, even in the middle of a fit."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _result(function: Callable[[Any], Any], task: Any) -> Any:
    """Return what the function gives, or the failure that an exception is."""
    try:
        return function(task)
    except UnblendError as problem:
        return Failure("mistake", str(problem))
    except Exception as problem:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}, line {place.lineno}"
        kind = "lost" if isinstance(problem, MemoryError | OSError) else "error"
        return Failure(kind, f"{type(problem).__name__} in {where}: {problem}")
