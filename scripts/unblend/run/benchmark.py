"""The time and memory of a job, measured by the kernel for all of its processes."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from ..io.files import write_text

KB_PER_MB = 1024.0
RSS_PER_MB = KB_PER_MB**2 if sys.platform == "darwin" else KB_PER_MB
"""Units of `ru_maxrss` in a MB: Linux counts kB, macOS bytes."""


def logs_folder(log_file: str | Path) -> Path | None:
    """Return the folder `logs` of a results folder in which the log of a job lies; None where no folder is named so."""
    return next((folder for folder in Path(log_file).parents if folder.name == "logs"), None)


def benchmark_path(log_file: str | Path) -> Path | None:
    """Return the benchmark file of the job whose log is `logs/RULE/BAND.log`; None where no folder is named logs."""
    logs = logs_folder(log_file)
    return None if logs is None else (logs.parent / "benchmarks" / Path(log_file).relative_to(logs)).with_suffix(".tsv")


def write_benchmark(log_file: str | Path, started: float) -> None:
    """Write the benchmark file of this job, with those columns of Snakemake's that the kernel measures.

    Snakemake looks at the processes that descend from the command of a job, twice a second. It misses what a process
    did after the last look, whole jobs that are shorter, and jobs of the job server, which descend from that.

    Parameters
    ----------
    log_file : path
        Log of the job, below a folder `logs`; nothing is written for another.
    started : float
        `time.monotonic()` when the job began.

    Notes
    -----
    Columns: `s` and `h:m:s`, the time by the clock; `max_rss`, the peak memory in MB of the largest of its processes;
    `mean_load`, processor time over clock in per cent; `cpu_time`, processor time of all processes in seconds.
    """
    path = benchmark_path(log_file)
    if path is None:
        return
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    clock = max(time.monotonic() - started, 1e-3)
    processor = sum(part.ru_utime + part.ru_stime for part in (own, children))
    memory = max(_own_peak_mb(own.ru_maxrss), children.ru_maxrss / RSS_PER_MB)
    minutes, seconds = divmod(int(clock), 60)
    values = {
        "s": f"{clock:.4f}",
        "h:m:s": f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}",
        "max_rss": f"{memory:.2f}",
        "mean_load": f"{100.0 * processor / clock:.2f}",
        "cpu_time": f"{processor:.2f}",
    }
    write_text(path, "\t".join(values) + "\n" + "\t".join(values.values()) + "\n")


def _own_peak_mb(maxrss: float) -> float:
    """Return the peak memory of this process in MB.

    Linux hands `maxrss` on to the program that a process becomes: every job that Snakemake starts would seem to have
    used as much as Snakemake itself. `VmHWM` begins anew.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return maxrss / RSS_PER_MB
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / KB_PER_MB
