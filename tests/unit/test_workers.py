from __future__ import annotations

import os
import time

from unblend.errors import InputError
from unblend.workers import Failure, run_tasks


def behave(task):
    """Do what the task says."""
    if task == "sleep":
        time.sleep(60.0)
    if task == "die":
        os._exit(3)
    if task == "raise":
        raise ZeroDivisionError("by zero")
    if task == "complain":
        raise InputError("a.fits is missing.")
    return task * 2


def test_results_come_in_order():
    assert list(run_tasks(behave, [1, 2, 3])) == [(0, 2), (1, 4), (2, 6)]


def test_whatever_a_task_does_the_others_are_done():
    began = time.monotonic()
    outcome = dict(run_tasks(behave, [1, "sleep", 2, "die", 3, "raise", "complain", 4], timeout_s=0.5))
    assert time.monotonic() - began < 10.0
    assert [outcome[k] for k in (0, 2, 4, 7)] == [2, 4, 6, 8]
    assert outcome[1] == Failure("timeout", "no result after 0.5 s")
    assert outcome[3] == Failure("crash", "the process ended with exit code 3")
    assert outcome[5].kind == "error"
    assert "ZeroDivisionError in test_workers.py" in outcome[5].message and "by zero" in outcome[5].message
    assert outcome[6] == Failure("error", "a.fits is missing.")


def test_failures_at_both_ends_and_nothing_to_do():
    assert [type(result) for _, result in run_tasks(behave, ["die", "die"])] == [Failure, Failure]
    assert list(run_tasks(behave, [])) == []


def test_one_process_serves_many_tasks_until_it_dies():
    pids = [result for _, result in run_tasks(lambda task: os._exit(1) if task == 1 else os.getpid(), range(4))]
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
