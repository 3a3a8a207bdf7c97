from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from unblend.core.errors import InputError
from unblend.run.workers import Failure, run_tasks


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
    tasks = [1, "sleep", "die", 2, "raise", 3, "die", "sleep", 4]
    outcome = list(run_tasks(behave, tasks, timeout_s=0.5, workers=2))
    assert sorted(index for index, _ in outcome) == list(range(len(tasks)))
    said = {index: getattr(result, "kind", result) for index, result in outcome}
    assert [said[k] for k in range(9)] == [2, "timeout", "crash", 4, "error", 6, "crash", "timeout", 8]


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


def test_the_last_worker_has_ended_when_the_last_result_is_there():
    stream = run_tasks(lambda task: os.getpid(), [0, 1], workers=2)
    pids = {pid for _, pid in stream}
    again = run_tasks(lambda task: os.getpid(), [0])
    pids.add(next(again)[1])
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
