"""Why a job in Slurm failed, in a sentence, and with what it is tried again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .slurm import REPEATED

SUBMISSION = re.compile(r"(?s)Error submitting jobscript \(exit code \d+\):\n(.*?)(?:For further error details|$)")
"""What Snakemake says of a job that was not submitted, with the words of slurm_submit.py."""
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


def why(state: str, *, memory_mb: int, minutes: int, log: Path | None, slurm_log: Path | None) -> Ended:
    """Return why a job failed.

    Parameters
    ----------
    state : str
        The last state of the job in Slurm.
    memory_mb, minutes : int
        Limits of the job.
    log : Path or None
        What the job itself has written, None if nothing.
    slurm_log : Path or None
        What Slurm and Snakemake have written while it ran.
    """
    sentences = {
        "OUT_OF_MEMORY": f"killed by the memory limit of {memory_mb} MB",
        "TIMEOUT": f"killed by the time limit of {minutes} minutes",
        "DEADLINE": "killed at the deadline of Slurm",
        "NODE_FAIL": "its node failed",
        "BOOT_FAIL": "its node did not start",
        "LAUNCH_FAILED": "its node could not start it",
        "PREEMPTED": "ended in favour of another job",
        "CANCELLED": "cancelled in Slurm (scancel)",
        "LOST": "Slurm has forgotten it, and it left no exit status",
    }
    if state in sentences:
        return Ended(sentences[state], REPEATED.get(state, ""))
    return Ended(last_error(log) or slurm_error(slurm_log) or "it failed and left no message")


def why_not_submitted(message: str) -> Ended:
    """Return why a job was not submitted, from Snakemake's message about it, which may be empty."""
    found = SUBMISSION.search(message)
    said = " ".join(found[1].split()) if found else ""
    return Ended(f"Slurm did not accept the job{': ' if said else ''}{said}")


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
