"""The peak memory of the jobs of a run, as their benchmark files have it, beside what they ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unblend.plan.checks import jobs_of
from unblend.plan.config import load_config
from unblend.plan.config_text import read_config_file
from unblend.plan.resources import SNAKEMAKE_MB, Requests

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class JobMemory:
    """A job, the peak memory of the largest of its processes, and its request for one process, in MB.

    The request is without what is kept for Snakemake, which runs in a job on a cluster.
    """

    name: str
    peak_mb: float
    asked_mb: int


def benchmarks(results: Path) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield the rule and the wildcards of every job of the last run of a field, and the row of its benchmark file."""
    folder = results / "benchmarks"
    for path in sorted(folder.rglob("*.tsv")):
        columns, values = (line.split("\t") for line in path.read_text().splitlines())
        yield path.relative_to(folder).with_suffix("").parts, dict(zip(columns, values, strict=True))


def measured(folder: Path, config: str = "config.yaml") -> list[JobMemory]:
    """Return the jobs of the last run of a field."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        jobs = jobs_of(load_config(read_config_file(config)), ROOT / "scripts")
        requests, found = Requests(jobs), []
        for (rule, *rest), row in benchmarks(jobs.results):
            band = rest[0] if rest and rest[0] in jobs.config.bands else None
            peak = float(row["max_rss"])
            asked = requests.memory_mb(rule, band) - SNAKEMAKE_MB
            found.append(JobMemory("/".join([rule, *rest]), peak, asked))
        return found
    finally:
        os.chdir(before)


def check_requests(folder: Path, *, at_least: int) -> None:
    """Assert that no job of the last run of a field has used more than it asks for, and that none asks for the moon.

    Parameters
    ----------
    folder : Path
        The field.
    at_least : int
        Number of jobs that must have been measured.
    """
    jobs = measured(folder)
    assert len(jobs) >= at_least
    short = [job for job in jobs if job.peak_mb > job.asked_mb]
    assert not short, f"used more memory than they ask for: {short}"
    # on a cluster every job also has Snakemake's processes; fits ask for the drawing of large galaxies
    wasteful = [job for job in jobs if job.asked_mb > 5.0 * job.peak_mb + SNAKEMAKE_MB]
    assert not wasteful, f"ask for far more memory than they use: {wasteful}"
