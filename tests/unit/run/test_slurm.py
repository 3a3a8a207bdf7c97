"""What Slurm says, in the words of its plugin for Snakemake (version 2.8) and of its own programs."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest
from unblend.run.slurm import Ended, has_accounts, job_name, newest, sacct_command, squeue_command, why

FAILED = "SLURM-job '12' failed, SLURM status is: '{}'. Detailed failure reason unavailable (status command is not "
LIMITS = {"memory_mb": 1150, "minutes": 20}
NOWHERE: dict[str, Path | None] = {"log": None, "slurm_log": None}


@pytest.mark.parametrize(
    ("label", "wildcards", "name"),
    [
        ("extract_fluxes", [{"band": "irac-ch1"}], "extract_fluxes-irac-ch1"),
        ("detect_sources", [{}], "detect_sources"),
        ("band", [{"band": "k"}, {"band": "k"}], "band-k"),
        ("band", [{"band": "k"}, {"band": "j"}], "band"),
    ],
)
def test_the_name_of_a_job_is_that_of_its_rule_and_band(label, wildcards, name):
    assert job_name(label, wildcards) == name


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
    assert why(FAILED.format(status), **LIMITS, **NOWHERE) == expected


def test_a_job_that_slurm_does_not_accept():
    said = (
        "SLURM sbatch failed. The error message was 'sbatch: error: Memory specification can not be satisfied\n"
        "sbatch: error: Batch job submission failed'.\n    sbatch call:\n        sbatch --parsable\n"
    )
    assert why(said, **LIMITS, **NOWHERE) == Ended(
        "Slurm did not accept the job: sbatch: error: Memory specification can not be satisfied sbatch: error: Batch "
        "job submission failed"
    )


def test_a_mistake_of_the_user_is_said_in_the_words_of_the_job(tmp_path):
    own, slurm = tmp_path / "own.log", tmp_path / "12.log"
    own.write_text("2026-11-27 09:53:30,310 INFO begins\n2026-11-27 09:53:31,310 ERROR k.fits has no WCS.\n")
    slurm.write_text("srun: error: vm: task 0: Exited with exit code 1\n")
    assert why(FAILED.format("FAILED"), **LIMITS, log=own, slurm_log=slurm) == Ended("k.fits has no WCS.")
    own.write_text("2026-11-27 09:53:31,310 ERROR unexpected error\nTraceback (most recent…):\n  x\nKeyError: 'id'\n")
    assert why("", **LIMITS, log=own, slurm_log=slurm).sentence == "unexpected error: KeyError: 'id'"
    own.write_text("2026-11-27 09:53:30,310 INFO begins\n")
    assert why("", **LIMITS, log=own, slurm_log=slurm).sentence == "vm: task 0: Exited with exit code 1"


def test_a_log_from_before_the_job_is_not_its_own(tmp_path):
    old, empty, new = (tmp_path / name for name in ("old", "empty", "new"))
    old.write_text("x")
    empty.write_text("")
    os.utime(old, (100.0, 100.0))
    assert newest([old, empty, new], 200.0) is None and newest([old, empty, new], 50.0) == old
    new.write_text("x")
    assert newest([old, empty, new], 200.0) == new


def test_the_queries_are_for_the_jobs_of_the_user_whatever_their_names():
    for command in (squeue_command("run"), sacct_command("run")):
        assert f"--user {getpass.getuser()}" in command and "--name" not in command


def test_without_accounts_sacct_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    has_accounts.cache_clear()
    assert not has_accounts()
    (tmp_path / "sacct").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sacct").chmod(0o755)
    has_accounts.cache_clear()
    assert not has_accounts()
    (tmp_path / "sacct").write_text("#!/bin/sh\nexit 0\n")
    has_accounts.cache_clear()
    assert has_accounts()
    has_accounts.cache_clear()
