from __future__ import annotations

import errno
import faulthandler
import os
import resource
import signal
import time
from pathlib import Path

import pytest
from unblend.core.errors import InputError, UnblendError
from unblend.run import workers as workers_module
from unblend.run.workers import Failure, in_shares, run_tasks


def crash(number):
    """Crash, without the traceback that pytest would print."""
    faulthandler.disable()
    os.kill(os.getpid(), number)


def behave(task):
    """Do what the task says."""
    if task == "compute":
        while True:
            pass
    if task == "crash":
        crash(signal.SIGSEGV)
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "exit":
        os._exit(3)
    if task == "raise":
        raise ZeroDivisionError("by zero")
    if task == "complain":
        raise InputError("a.fits is missing.")
    return task * 2


def kinds(outcomes):
    """Return the results by index, and the kind of a failure instead of it."""
    return {index: getattr(result, "kind", result) for index, result in outcomes}


def test_results_come_in_order():
    assert list(run_tasks(behave, [1, 2, 3])) == [(0, 2), (1, 4), (2, 6)]


def test_whatever_a_task_does_the_others_are_done():
    began = time.monotonic()
    outcome = dict(run_tasks(behave, [1, "compute", 2, "crash", 3, "raise", "complain", 4], timeout_s=0.5))
    assert time.monotonic() - began < 20.0
    assert [outcome[k] for k in (0, 2, 4, 7)] == [2, 4, 6, 8]
    assert outcome[1] == Failure("timeout", "there was no result after 0.5 s of processor time")
    assert outcome[3] == Failure("crash", "the process crashed with SIGSEGV")
    assert outcome[5].kind == "error"
    assert "ZeroDivisionError in test_workers.py" in outcome[5].message and "by zero" in outcome[5].message
    assert outcome[6] == Failure("mistake", "a.fits is missing.")


@pytest.mark.parametrize("number", ["SIGSEGV", "SIGABRT", "SIGFPE", "SIGBUS", "SIGILL"])
def test_a_crash_is_the_task_s_own(number):
    ((_, result),) = run_tasks(lambda task: crash(signal.Signals[number]), [0])
    assert result == Failure("crash", f"the process crashed with {number}")


def once(folder, action):
    """Return a task function that acts at its first call for each task and returns the task at the second."""

    def function(task):
        mark = folder / f"{task}-done"
        if not mark.exists():
            mark.touch()
            action()
        return task

    return function


def raised(error):
    raise error


OUTSIDE = {
    "kill": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "ended from outside by SIGKILL, as happens for lack of memory",
    ),
    "terminate": (lambda: os.kill(os.getpid(), signal.SIGTERM), "ended from outside by SIGTERM"),
    "hang up": (lambda: os.kill(os.getpid(), signal.SIGHUP), "ended from outside by SIGHUP"),
    "cpu limit": (lambda: os.kill(os.getpid(), signal.SIGXCPU), "ended from outside by SIGXCPU"),
    "exit": (lambda: os._exit(3), "ended with exit code 3"),
    "exit 0": (lambda: os._exit(0), "ended with exit code 0"),
    "memory": (lambda: raised(MemoryError("no memory")), "MemoryError in test_workers.py"),
    "disk": (lambda: raised(OSError(errno.ENOSPC, "No space left on device")), "No space left on device"),
}


@pytest.mark.parametrize("cause", OUTSIDE)
def test_what_comes_from_outside_is_repeated_once(cause, tmp_path):
    action, message = OUTSIDE[cause]
    assert sorted(run_tasks(once(tmp_path, action), [1, 2])) == [(0, 1), (1, 2)]
    ((_, result),) = run_tasks(lambda task: action(), [0])
    assert result.kind == "lost" and message in result.message


def test_lost_tasks_are_repeated_after_the_others_and_in_a_new_process(tmp_path):
    def function(task):
        first = once(tmp_path, lambda: os.kill(os.getpid(), signal.SIGKILL)) if task == 1 else lambda task: task
        return first(task), os.getpid()

    found = list(run_tasks(function, [1, 2, 3], workers=2))
    assert [index for index, _ in found] == [1, 2, 0] or [index for index, _ in found] == [2, 1, 0]
    assert found[-1][1][1] not in [pid for _, (_, pid) in found[:-1]]


def test_waiting_takes_no_processor_time():
    assert list(run_tasks(lambda task: time.sleep(1.0) or task, [1, 2], timeout_s=0.3)) == [(0, 1), (1, 2)]


def test_the_limit_holds_for_each_task_of_a_worker():
    def compute(task):
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        return os.getpid()

    assert len(set(dict(run_tasks(compute, range(4), timeout_s=0.8)).values())) == 1


def test_the_limit_does_not_hold_between_tasks():
    stream = run_tasks(lambda task: task, [1, 2, 3], timeout_s=0.2)
    assert next(stream) == (0, 1)
    time.sleep(0.5)
    assert list(stream) == [(1, 2), (2, 3)]


@pytest.mark.parametrize("timeout_s", [1e-9, 1e300])
def test_limits_beyond_the_range_of_the_timer(timeout_s):
    ((_, result),) = run_tasks(lambda task: behave("compute") if timeout_s < 1 else task, [1], timeout_s=timeout_s)
    assert result == 1 if timeout_s > 1 else result.kind == "timeout"


def test_a_worker_that_hangs_is_repeated_and_then_lost(monkeypatch, tmp_path):
    monkeypatch.setattr(workers_module, "MIN_WALL_S", 0.5)
    monkeypatch.setattr(workers_module, "WALL_PER_PROCESSOR_TIME", 2.0)
    assert list(run_tasks(once(tmp_path, lambda: time.sleep(60.0)), [1], timeout_s=0.1)) == [(0, 1)]
    ((_, result),) = run_tasks(lambda task: time.sleep(60.0), [1], timeout_s=0.1)
    assert result == Failure("lost", "there was no result after 0.5 s, although little processor time was used")


def test_a_crash_while_memory_is_short_comes_from_outside():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**28, resource.RLIM_INFINITY))
        ((_, result),) = run_tasks(behave, ["crash"])
        os.write(writer, result.kind.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 20) == b"lost"
    os.close(reader), os.close(writer)


def test_failures_at_both_ends_and_nothing_to_do():
    assert [type(result) for _, result in run_tasks(behave, ["crash", "crash"])] == [Failure, Failure]
    assert [type(result) for _, result in run_tasks(behave, ["exit", "exit"])] == [Failure, Failure]
    assert list(run_tasks(behave, [])) == []


def test_one_process_serves_many_tasks_until_it_dies():
    def function(task):
        if task == 1:
            behave("crash")
        return os.getpid()

    pids = [result for _, result in run_tasks(function, range(4))]
    assert isinstance(pids[1], Failure)
    assert pids[2] == pids[3] != pids[0]
    assert os.getpid() not in pids


def test_a_caller_that_stops_early_leaves_no_process():
    stream = run_tasks(lambda task: os.getpid() if task == 0 else time.sleep(60.0), range(2))
    _, pid = next(stream)
    stream.close()
    try:
        os.kill(pid, 0)
        alive = True
    except ProcessLookupError:
        alive = False
    assert not alive


def test_results_larger_than_a_pipe():
    ((_, result),) = run_tasks(lambda task: b"x" * 1_000_000, [0])
    assert len(result) == 1_000_000


def test_several_workers_do_every_task_once_and_side_by_side(tmp_path):
    def meet(task):
        """Leave a mark and wait until all others have: one worker alone would wait for ever."""
        (tmp_path / str(task)).touch()
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.01)
        return task, os.getpid()

    found = dict(run_tasks(meet, [10, 20, 30], timeout_s=30.0, workers=3))
    assert {index: task for index, (task, _) in found.items()} == {0: 10, 1: 20, 2: 30}
    assert len({pid for _, pid in found.values()}) == 3


def test_several_workers_survive_whatever_a_task_does():
    tasks = [1, "compute", "crash", 2, "raise", 3, "killed", "compute", 4, "exit"]
    outcome = list(run_tasks(behave, tasks, timeout_s=0.5, workers=2))
    assert sorted(index for index, _ in outcome) == list(range(len(tasks)))
    found = kinds(outcome)
    expected = [2, "timeout", "crash", 4, "error", 6, "lost", "timeout", 8, "lost"]
    assert [found[k] for k in range(len(tasks))] == expected
    # what was lost comes last
    assert {index for index, _ in outcome[-2:]} == {6, 9}


def test_an_interrupt_is_for_the_parent():
    def interrupted(task):
        os.kill(os.getpid(), signal.SIGINT)
        return task

    assert list(run_tasks(interrupted, [5])) == [(0, 5)]


def test_workers_end_with_a_parent_that_is_killed():
    # a process that runs two workers and is killed while one waits for its next task
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        for _, pid in run_tasks(lambda task: time.sleep(0.2 * task) or os.getpid(), [0, 1, 0, 1], workers=2):
            os.write(writer, f"{pid}\n".encode())
            time.sleep(0.5)
        os._exit(0)
    first = int(os.read(reader, 20).split()[0])
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until = time.monotonic() + 20.0
    while Path(f"/proc/{first}").exists() and "Z" not in Path(f"/proc/{first}/stat").read_text().split()[2]:
        assert time.monotonic() < until, "the worker waits for its dead parent"
        time.sleep(0.05)
    os.close(reader), os.close(writer)


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the system must tell processes that their parent died"
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_in_the_middle_of_a_task_ends_with_its_parent(number):
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:

        def function(task):
            os.write(writer, f"{os.getpid()}\n".encode())
            behave("compute")

        list(run_tasks(function, [0]))
        os._exit(0)
    worker = int(os.read(reader, 20))
    os.kill(parent, number)
    os.waitpid(parent, 0)
    until = time.monotonic() + 20.0
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < until, "the worker goes on without its parent"
        time.sleep(0.05)
    os.close(reader), os.close(writer)


def test_the_last_worker_has_ended_when_the_last_result_is_there():
    stream = run_tasks(lambda task: os.getpid(), [0, 1], workers=2)
    pids = {pid for _, pid in stream}
    again = run_tasks(lambda task: os.getpid(), [0])
    pids.add(next(again)[1])
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_results_in_shares_are_in_order(monkeypatch):
    monkeypatch.setattr("unblend.run.workers.SHARE", 3)

    def squares(numbers):
        time.sleep(0.2 if numbers[0] == 0 else 0.0)  # the first share is the last to be done
        return [(k * k, os.getpid()) for k in numbers]

    for workers in (1, 2):
        found = list(in_shares(squares, range(10), workers))
        assert [value for value, _ in found] == [k * k for k in range(10)]
        assert ({process for _, process in found} == {os.getpid()}) == (workers == 1)
    assert list(in_shares(squares, [], 2)) == []


def test_a_share_that_fails_ends_the_job(monkeypatch):
    monkeypatch.setattr("unblend.run.workers.SHARE", 2)
    with pytest.raises(UnblendError, match="by zero"):
        list(in_shares(lambda numbers: [1 // k for k in numbers], [1, 2, 3, 0], 2))
