"""The benchmark file of a job: where it is, and that it holds the time and memory of all its processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from unblend.run.benchmark import benchmark_path

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
WORK = """
import subprocess, sys, time
sys.path.insert(0, {scripts!r})
from unblend.run.job_log import run

def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))

def main():
    burn(0.3)
    child = "import time; b = bytearray(200_000_000)\\nwhile time.process_time() < 0.4: pass"
    subprocess.run([sys.executable, "-c", child])
    time.sleep(0.5)

run(main)
"""


def test_the_path_follows_the_log():
    assert benchmark_path("r/logs/extract_fluxes/ks.log") == Path("r/benchmarks/extract_fluxes/ks.tsv")
    assert benchmark_path("a b/logs/detect_sources.log") == Path("a b/benchmarks/detect_sources.tsv")
    assert benchmark_path("elsewhere/job.log") is None


def test_time_and_memory_of_all_processes(tmp_path):
    (tmp_path / "work.py").write_text(WORK.format(scripts=str(SCRIPTS)))
    log = tmp_path / "logs/rule/band.log"
    subprocess.run([sys.executable, str(tmp_path / "work.py"), "--log", str(log)], check=True)
    row = benchmark_of(tmp_path)
    processor, clock = float(row["cpu_time"]), float(row["s"])
    # the imports of two Pythons on top, and a busy machine takes longer
    assert 0.7 <= processor < 3.0
    assert clock >= 1.2 and row["h:m:s"].startswith("0:00:")
    assert float(row["mean_load"]) == pytest.approx(100.0 * processor / clock, rel=0.05)
    assert 190.0 < float(row["max_rss"]) < 300.0  # of 1024² bytes, as in Snakemake's


def test_the_memory_is_not_that_of_the_process_that_started_the_job(tmp_path):
    (tmp_path / "work.py").write_text(WORK.format(scripts=str(SCRIPTS)).replace("200_000_000", "1"))
    large = "import os, sys; b = bytearray(400_000_000); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    log = tmp_path / "logs/rule/band.log"
    subprocess.run([sys.executable, "-c", large, str(tmp_path / "work.py"), "--log", str(log)], check=True)
    assert 5.0 < float(benchmark_of(tmp_path)["max_rss"]) < 100.0


def benchmark_of(folder: Path) -> dict[str, str]:
    """Return the benchmark that the job `rule` has written for `band`, by column."""
    lines = (folder / "benchmarks/rule/band.tsv").read_text().splitlines()
    return dict(zip(*(line.split("\t") for line in lines), strict=True))


def test_a_job_that_fails_has_none(tmp_path):
    (tmp_path / "work.py").write_text(WORK.format(scripts=str(SCRIPTS)).replace("burn(0.3)", "1 / 0"))
    log = tmp_path / "logs/rule/band.log"
    failed = subprocess.run([sys.executable, str(tmp_path / "work.py"), "--log", str(log)], capture_output=True)
    assert failed.returncode == 1 and log.exists()
    assert not (tmp_path / "benchmarks").exists()
