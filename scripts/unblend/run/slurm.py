"""Jobs in Slurm: their submission, and what has become of them.

Snakemake starts one of two scripts for each submission and each question, so this module imports little. A folder, by
default `results/logs/slurm`, holds of each job what was asked for (`ID.json`), what Slurm and Snakemake have written
(`ID.log`) and its exit status (`ID.exit`), and what Slurm said last of all jobs (`states`). Snakemake asks for one job
after the other and a results folder has one run at a time, so nothing needs a lock.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

ENDED = {"COMPLETED": "success"} | dict.fromkeys(
    ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "LOST", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
     "REVOKED", "TIMEOUT"), "failed")  # fmt: skip
"""States of Slurm in which a job has ended, and LOST, with what Snakemake is told; in all others it waits or runs."""
REPEATED = {
    "OUT_OF_MEMORY": "twice the memory",
    "TIMEOUT": "twice the time",
    "DEADLINE": "twice the time",
    "NODE_FAIL": "another node",
    "BOOT_FAIL": "another node",
    "LAUNCH_FAILED": "another node",
    "PREEMPTED": "a new submission",
}
"""States of jobs that end for no fault of their own, and with what they are tried again."""
SQUEUE = ("squeue", "--me", "--states=all", "--noheader", "--format=%i|%T")
SACCT = ("sacct", "-X", "--noheader", "--parsable2", "--format=State")
ENDED_S = 0.5
"""How long an answer of `squeue` serves for a job that has left its exit status, seconds: for others of this round."""
SEEN_S = 3.0
"""How long a new job may be missing in the answer of `squeue`, seconds."""
MISSING_S = 60.0
"""How long the exit status of a job that Slurm has forgotten may take to be seen on another node, seconds."""
QUERY_TIMEOUT_S = 30.0
RULES = re.compile(r"--allowed-rules (.+?) --")
TOGETHER_VARIABLE = "UNBLEND_SUBMITTED_TOGETHER"
"""Environment variable of a submission of several jobs, for which a job server is worth its start."""
PROPERTIES = "# properties = "
"""What stands before the description of the job in Snakemake's script."""


class RefusedError(Exception):
    """A job that is not submitted, with the reason."""


def job_name(properties: dict[str, Any], wildcards: list[str], script: str) -> str:
    """Return the name of a job in Slurm, such as `extract_fluxes-irac-ch1`.

    Parameters
    ----------
    properties : dict
        What Snakemake says of the job, or of a group of jobs that are submitted together.
    wildcards : list of str
        Its band or batch, if it has one: `band=irac-ch1`.
    script : str
        Snakemake's script for the job.
    """
    rules = rules_in(script)
    label = rules[0] if len(rules) == 1 else properties.get("groupid") or properties["rule"]
    return "-".join([label, *(wildcard.partition("=")[2] for wildcard in wildcards)])


def rules_in(script: str) -> list[str]:
    """Return the rules of the jobs that a script of Snakemake runs."""
    found = RULES.search(script)
    return found[1].split() if found else []


def submit(jobscript: Path, wildcards: list[str], folder: Path) -> str:
    """Submit a job and return its number in Slurm.

    Parameters
    ----------
    jobscript : Path
        Snakemake's script for the job.
    wildcards : list of str
        Band or batch of the job, if it has one: `band=irac-ch1`.
    folder : Path
        Where the records of the jobs are.

    Raises
    ------
    RefusedError
        The job has failed in a way that would only come again, or Slurm does not accept it.
    """
    import subprocess

    # the number of an earlier attempt in the same run
    attempt = jobscript.with_name(f"{jobscript.name}.slurm")
    state = read_record(folder, attempt.read_text()).get("state", "") if attempt.exists() else ""
    if state in ENDED and state not in REPEATED:
        raise RefusedError("it has failed by itself, and is not tried again")
    script = jobscript.read_text()
    properties = json.loads(script.partition(PROPERTIES)[2].splitlines()[0])
    folder.mkdir(parents=True, exist_ok=True)
    command = sbatch_command(properties, job_name(properties, wildcards, script), folder)
    # a run that was itself started in a job must not hand the limits of that job on
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"
    }
    done = subprocess.run(
        command, input=with_exit_status(script, folder), env=outside, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RefusedError(" ".join(done.stderr.split()))
    number = done.stdout.strip().split(";")[0]
    resources = properties["resources"]
    limits = {"memory_mb": resources.get("mem_mb", 0), "minutes": resources.get("runtime", 0)}
    write_record(folder, number, {"job": str(properties["jobid"]), **limits, "submitted": time.time()})
    write_whole(attempt, number)
    return number


def sbatch_command(properties: dict[str, Any], name: str, folder: Path) -> list[str]:
    """Return the command that submits a job, which it reads from its standard input.

    Parameters
    ----------
    properties : dict
        Snakemake's properties of the job.
    name : str
        Name of the job in Slurm.
    folder : Path
        Where Slurm writes the output of the job.
    """
    resources = properties["resources"]
    options = {
        "job-name": name,
        "output": f"{folder}/".replace("%", "%%") + "%j.log",
        "cpus-per-task": properties["threads"],
        "mem": resources.get("mem_mb"),
        "time": resources.get("runtime"),
        "account": resources.get("slurm_account"),
        "partition": resources.get("slurm_partition"),
    }
    return ["sbatch", "--parsable", *(f"--{option}={value}" for option, value in options.items() if value)]


def with_exit_status(script: str, folder: Path) -> str:
    """Return Snakemake's script for a job, which also writes its exit status."""
    marker = f'{shlex.quote(str(folder))}/"$SLURM_JOB_ID".exit'
    together = f"export {TOGETHER_VARIABLE}=1\n" if len(rules_in(script)) > 1 else ""
    return f"#!/bin/sh\nwrite_status() {{ echo $? > {marker}; }}\ntrap write_status EXIT\n{together}{script}"


def job_state(number: str, folder: Path, *, fresh_s: float = 5.0) -> str:
    """Return `running`, `success` or `failed`; of a job that has failed its record tells the state then.

    Parameters
    ----------
    number : str
        Number of the job in Slurm.
    folder : Path
        Where the records of the jobs are.
    fresh_s : float
        How long an answer of `squeue` serves while nothing is known to have ended, seconds.
    """
    record = read_record(folder, number)
    has_ended = (folder / f"{number}.exit").exists()
    asked, states = known_states(folder, min(fresh_s, ENDED_S) if has_ended else fresh_s)
    state = states.get(number) or forgotten_state(number, folder, record, asked)
    answer = ENDED.get(state, "running")
    if answer == "failed":
        write_record(folder, number, {**record, "state": state})
    if answer == "success":
        for ending in ("json", "log", "exit"):
            (folder / f"{number}.{ending}").unlink(missing_ok=True)
    return answer


def known_states(folder: Path, fresh_s: float) -> tuple[float, dict[str, str]]:
    """Return when Slurm last answered, in seconds since 1970, and the states of the user's jobs by number.

    Where Slurm does not answer, what it said before holds.
    """
    path = folder / "states"
    try:
        is_fresh = time.time() - path.stat().st_mtime < fresh_s
    except OSError:
        is_fresh = False
    if not is_fresh:
        answer = run_slurm_command(SQUEUE)
        if answer is not None:
            write_whole(path, f"{time.time()}\n{answer}")
        elif path.exists():
            os.utime(path)
        else:
            write_whole(path, "0\n")
    asked, *lines = path.read_text().splitlines()
    return float(asked), dict(line.split("|", 1) for line in lines if "|" in line)


def forgotten_state(number: str, folder: Path, record: dict[str, Any], asked: float) -> str:
    """Return the state of a job that Slurm does not list.

    Parameters
    ----------
    number : str
        Number of the job in Slurm.
    folder : Path
        Where the records of the jobs are.
    record : dict
        What was asked for.
    asked : float
        When Slurm last answered, in seconds since 1970.
    """
    marker = folder / f"{number}.exit"
    if marker.exists() and (exit_status := marker.read_text().strip()):
        return "COMPLETED" if exit_status == "0" else "FAILED"
    if asked <= record.get("submitted", 0.0) + SEEN_S:
        return "PENDING"
    accounted = (run_slurm_command((*SACCT, f"--jobs={number}")) or "").split()
    if accounted:
        return accounted[0]
    missing = record.setdefault("missing", time.time())
    write_record(folder, number, record)
    return "LOST" if time.time() - missing > MISSING_S else "PENDING"


def cancel(folder: Path, since: float) -> None:
    """Cancel the jobs that are not known to have ended.

    Snakemake itself cancels no job for whose state it is asking when it is interrupted.

    Parameters
    ----------
    folder : Path
        Where the records of the jobs are.
    since : float
        Jobs that were submitted before this time are left alone, seconds since 1970.
    """
    records = {path.stem: read_record(folder, path.stem) for path in sorted(folder.glob("*.json"))}
    left = [
        number for number, record in records.items() if "state" not in record and record.get("submitted", 0.0) >= since
    ]
    if left:
        run_slurm_command(("scancel", *left))


def run_slurm_command(command: tuple[str, ...]) -> str | None:
    """Return what a command of Slurm prints; None where it fails."""
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def read_record(folder: Path, number: str) -> dict[str, Any]:
    """Return the record of a job, empty where there is none."""
    try:
        record: dict[str, Any] = json.loads((folder / f"{number}.json").read_text())
    except (OSError, ValueError):
        return {}
    return record


def write_record(folder: Path, number: str, record: dict[str, Any]) -> None:
    """Write the record of a job.

    Parameters
    ----------
    folder : Path
    number : str
        Slurm's number of the job.
    record : dict
    """
    write_whole(folder / f"{number}.json", json.dumps(record))


def write_whole(path: Path, text: str) -> None:
    """Write a file such that nobody reads half of it."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)
