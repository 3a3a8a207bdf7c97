"""The states of Slurm, the words of its programs and those of the jobs become one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unblend.run.slurm import ENDED
from unblend.run.slurm_reasons import Ended, newest, why, why_not_submitted

LIMITS = {"memory_mb": 1150, "minutes": 20}
NOWHERE: dict[str, Path | None] = {"log": None, "slurm_log": None}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("OUT_OF_MEMORY", Ended("killed by the memory limit of 1150 MB", "twice the memory")),
        ("TIMEOUT", Ended("killed by the time limit of 20 minutes", "twice the time")),
        ("NODE_FAIL", Ended("its node failed", "another node")),
        ("CANCELLED", Ended("cancelled in Slurm (scancel)")),
        ("FAILED", Ended("it failed and left no message")),
    ],
)
def test_the_state_is_a_sentence_and_only_what_may_succeed_is_repeated(status, expected):
    assert why(status, **LIMITS, **NOWHERE) == expected


def test_every_state_of_a_failed_job_but_its_own_failure_has_a_sentence():
    silent = {state for state in ENDED if why(state, **LIMITS, **NOWHERE).sentence.startswith("it failed")}
    assert silent == {"COMPLETED", "FAILED", "REVOKED"}


def test_a_job_that_slurm_does_not_accept():
    # the message of snakemake-executor-plugin-cluster-generic 1.0.9, with the words of slurm_submit.py
    said = (
        "Error submitting jobscript (exit code 1):\nsbatch: error: Memory specification can not be satisfied\nFor "
        "further error details see the cluster/cloud log and the log files of the involved rule(s)."
    )
    expected = "Slurm did not accept the job: sbatch: error: Memory specification can not be satisfied"
    assert why_not_submitted(said) == Ended(expected)
    assert why_not_submitted("") == Ended("Slurm did not accept the job")


def test_a_mistake_of_the_user_is_said_in_the_words_of_the_job(tmp_path):
    own, slurm = tmp_path / "own.log", tmp_path / "12.log"
    own.write_text("2026-11-27 09:53:30,310 INFO begins\n2026-11-27 09:53:31,310 ERROR k.fits has no WCS.\n")
    slurm.write_text("srun: error: vm: task 0: Exited with exit code 1\n")
    assert why("FAILED", **LIMITS, log=own, slurm_log=slurm) == Ended("k.fits has no WCS.")
    own.write_text("2026-11-27 09:53:31,310 ERROR unexpected error\nTraceback (most recent…):\n  x\nKeyError: 'id'\n")
    assert why("FAILED", **LIMITS, log=own, slurm_log=slurm).sentence == "unexpected error: KeyError: 'id'"
    own.write_text("2026-11-27 09:53:30,310 INFO begins\n")
    assert why("FAILED", **LIMITS, log=own, slurm_log=slurm).sentence == "vm: task 0: Exited with exit code 1"


def test_a_log_from_before_the_job_is_not_its_own(tmp_path):
    old, empty, new = (tmp_path / name for name in ("old", "empty", "new"))
    old.write_text("x")
    empty.write_text("")
    os.utime(old, (100.0, 100.0))
    assert newest([old, empty, new], 200.0) is None and newest([old, empty, new], 50.0) == old
    new.write_text("x")
    assert newest([old, empty, new], 200.0) == new
