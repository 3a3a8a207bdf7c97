"""What Slurm calls our jobs and says about them: their names, why one failed, and whether to try it again."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

STATUS = re.compile(r"SLURM status is: '(\w+)'")
REFUSED = re.compile(r"(?s)sbatch failed.*The error message was '(.*?)'\.\n")
REPEATED = {
    "OUT_OF_MEMORY": "twice the memory",
    "TIMEOUT": "twice the time",
    "DEADLINE": "twice the time",
    "NODE_FAIL": "another node",
    "BOOT_FAIL": "another node",
}
"""States of jobs that end for no fault of their own, and with what they are tried again."""
QUERY_TIMEOUT_S = 20.0
SLURM_LINE = re.compile(r"^(?:srun|slurmstepd\S*|sbatch): (?:error|fatal): (?P<said>.+)$", re.MULTILINE)
LOG_LINE = re.compile(r"^[\d-]{10} [\d:,]+ (?P<level>[A-Z]+) ")


@dataclass(frozen=True)
class Ended:
    """Why a job failed.

    Parameters
    ----------
    sentence : str
        What Slurm or the job itself says.
    remedy : str
        With what it may be tried again, empty where it would only fail again.
    """

    sentence: str
    remedy: str = ""


def job_name(label: str, wildcards: Iterable[Mapping[str, str]]) -> str:
    """Return the name of a job in Slurm, such as `extract_fluxes-irac-ch1`.

    Parameters
    ----------
    label : str
        The rule, or the group of rules that are submitted together.
    wildcards : iterable of dict
        Band or batch of each job; the name has it if all have the same.
    """
    found = {"-".join(values.values()) for values in wildcards}
    return "-".join([label, *(value for value in found if value and len(found) == 1)])


def squeue_command(_: str = "") -> str:
    """Return the command that lists number and state of the user's jobs, also of those that have ended lately."""
    return f"squeue --format='%i|%T' --states=all --noheader --user {getpass.getuser()}"


def sacct_command(_: str = "") -> str:
    """Return the same command for a cluster that keeps accounts, for the last two days."""
    since = datetime.now() - timedelta(days=2)
    return (
        "sacct -X --parsable2 --clusters all --noheader --format=JobIdRaw,State "
        f"--starttime {since:%Y-%m-%dT%H:00} --endtime now --user {getpass.getuser()}"
    )


@cache
def has_accounts() -> bool:
    """Return whether `sacct` answers on this cluster: without accounts it exists, and fails."""
    command = ["sacct", "-X", "--noheader", "--format=JobIdRaw", "--user", getpass.getuser()]
    try:
        return subprocess.run(command, capture_output=True, timeout=QUERY_TIMEOUT_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def why(message: str, *, memory_mb: int, minutes: int, log: Path | None, slurm_log: Path | None) -> Ended:
    """Return why a job failed.

    Parameters
    ----------
    message : str
        What Snakemake's plugin for Slurm says of the job.
    memory_mb, minutes : int
        Limits of the job.
    log : Path or None
        What the job itself has written, None if nothing.
    slurm_log : Path or None
        What Slurm and Snakemake have written while it ran.
    """
    refused = REFUSED.search(message)
    if refused:
        return Ended(f"Slurm did not accept the job: {' '.join(refused[1].split())}")
    found = STATUS.search(message)
    status = found[1] if found else "FAILED"
    limits = {
        "OUT_OF_MEMORY": f"killed by the memory limit of {memory_mb} MB",
        "TIMEOUT": f"killed by the time limit of {minutes} minutes",
        "DEADLINE": "killed at the deadline of Slurm",
        "NODE_FAIL": "its node failed",
        "BOOT_FAIL": "its node did not start",
        "CANCELLED": "cancelled in Slurm (scancel)",
    }
    if status in limits:
        return Ended(limits[status], REPEATED.get(status, ""))
    return Ended(last_error(log) or slurm_error(slurm_log) or "it failed and left no message")


def newest(logs: Iterable[Path], since: float) -> Path | None:
    """Return the log that was written last; None where none was written since a time, in seconds since 1970."""
    written = [(path.stat().st_mtime, path) for path in logs if path.exists() and path.stat().st_size]
    found = max(written, default=None)
    return found[1] if found and found[0] >= since else None


def last_error(log: Path | None) -> str:
    """Return the last error in the log of a job, an empty text where there is none."""
    lines = log.read_text(errors="replace").splitlines() if log else []
    for number in reversed(range(len(lines))):
        found = LOG_LINE.match(lines[number])
        if found and found["level"] in ("ERROR", "CRITICAL"):
            said = lines[number][found.end() :]
            # a traceback follows: its last line says what happened
            return f"{said}: {lines[-1]}" if lines[number + 1 :] else said
    return ""


def slurm_error(log: Path | None) -> str:
    """Return the last error of Slurm's own programs in the log of a submission, an empty text where there is none."""
    said = (
        [found["said"] for found in SLURM_LINE.finditer(log.read_text(errors="replace"))]
        if log and log.exists()
        else []
    )
    return said[-1] if said else ""
