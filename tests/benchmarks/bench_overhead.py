"""What the workflow costs besides fits and drawings: processor seconds per source, planning, a run with nothing to do.

`make bench-overhead`, or `python tests/benchmarks/bench_overhead.py --run 180 1000 --plan 200 1000 5000`.

The runs are real: synthetic fields of isolated galaxies in two bands go through the whole workflow. For the plans alone
the fit groups and the products before them are made up: no fit is run, Snakemake only works out what it would do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/integration")]

import smallfield  # noqa: E402
from harness import copy_program  # noqa: E402

TARGET_OVERHEAD_S = {180: 0.15, 1000: 0.08}
TARGET_PLAN_S = {1000: 10.0}
TARGET_IDLE_S = {180: 4.0, 200: 4.0}
FEW_BANDS = 2


def snakemake(folder: Path, *options: str) -> tuple[float, float]:
    """Run Snakemake in `folder`; return seconds by the clock, and of all processors, user and system."""
    if not (folder / "program").exists():
        copy_program(folder)
    program, config = folder / "program/Snakefile", folder / "config.yaml"
    place = ["-s", str(program), "--directory", str(folder), "--configfile", str(config)]
    # A test machine may forbid Python to keep compiled modules, a user's does not.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "snakemake.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "snakemake", *place, "--cores", str(os.cpu_count()), *options],
            env={**environment, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log, check=True,
        )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, spent


def judged(value: float, target: float | None) -> str:
    """Return a value in seconds beside its target."""
    if target is None:
        return f"{value:.2f} s"
    return f"{value:.2f} s (target {target:g} s: {'met' if value <= target else 'MISSED'})"


def measure_run(folder: Path, number: int) -> None:
    """Run the workflow on `number` galaxies from start to end, then again with nothing to do."""
    smallfield.write(folder, smallfield.lonely(number))
    set_batch_size(folder, "auto")
    elapsed, spent = snakemake(folder)
    lines = [json.loads(line) for line in (folder / "results/logs/work.jsonl").read_text().splitlines()]
    fits = sum(line.get("seconds", 0.0) for line in lines if line["stage"].startswith("fit_"))
    drawings = sum(line.get("seconds", 0.0) for line in lines if line["stage"] == "render")
    benchmarks = list((folder / "results/benchmarks").rglob("*.tsv"))
    pictures = sum(line.get("seconds", 0.0) for line in lines if line["stage"] == "draw")
    found = len({line["what"] for line in lines if line["stage"] == "render"})
    overhead = (spent - fits - drawings) / found
    # Snakemake's own record, one line a job: what detection, bands and report took, most of it work of their own.
    stages = sum(job_seconds(path) for path in benchmarks if not path.parent.name.startswith(("fit_", "render_")))
    rate = judged(overhead, TARGET_OVERHEAD_S.get(number))
    print(
        f"{found} sources, {FEW_BANDS} bands, {len(benchmarks)} jobs: "
        f"{elapsed:.0f} s by the clock, {spent:.0f} s of processors"
    )
    print(f"  fits {fits:.1f} s, drawings of models {drawings:.1f} s, all else {rate} a source")
    print(f"  of which pictures of fits {pictures / found:.3f} s a source")
    print(f"  of which detection, bands, catalogue and report {stages / found:.2f} s a source (by the clock)")
    print(f"  nothing to do: {judged(snakemake(folder)[0], TARGET_IDLE_S.get(number))}", flush=True)


def job_seconds(benchmark: Path) -> float:
    """Return the seconds by the clock that a job took."""
    return float(benchmark.read_text().splitlines()[-1].split("\t")[0])


def set_batch_size(folder: Path, batch_size: int | str) -> None:
    """Undo the small batches of the small field."""
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("batch_size: 4", f"batch_size: {batch_size}"))


def cutout(number: int, columns: int) -> list[int]:
    """Return the box of a group, in rows of so many."""
    row, column = divmod(number - 1, columns)
    return [40 * row, 40 * column, 40 * row + 50, 40 * column + 50]


def make_up(folder: Path, number: int) -> None:
    """Write fit groups that no stage has made, each with two neighbours, and empty files for what comes before them."""
    columns = math.isqrt(number - 1) + 1
    groups = {
        str(i): {
            "members": [i],
            "box": cutout(i, columns),
            "neighbours": [j for j in (i - 1, i + 1) if 0 < j <= number],
            "digest": f"{i:016x}",
        }
        for i in range(1, number + 1)
    }
    results = folder / "results"
    (results / "imfit").mkdir(parents=True, exist_ok=True)
    products = ["det_stack", "det_error", "det_snr", "det_auto_seg", "det_auto_cat", "det_seg", "det_cat"]
    for name in [
        *(f"{product}.fits" for product in products),
        "det_cat.reg",
        "imfit/psf.fits",
        "imfit/mask.fits",
        "imfit/groups.reg",
    ]:
        (results / name).write_text("made up\n")
    (results / "imfit/groups.json").write_text(
        json.dumps({"psf": "", "grid": "", "shape": 2 * [40 * columns + 10], "groups": groups})
    )


def measure_plan(folder: Path, number: int, batch_size: int | str) -> None:
    """Time the planning of a field of `number` sources before its fits."""
    smallfield.write(folder)
    set_batch_size(folder, batch_size)
    make_up(folder, number)
    # The first plan writes the specs; the made-up products must be younger than those.
    snakemake(folder, "--dry-run")
    make_up(folder, number)
    elapsed, spent = snakemake(folder, "--dry-run")
    planned = int(re.findall(r"^total +(\d+)$", (folder / "snakemake.log").read_text(), re.MULTILINE)[-1])
    print(
        f"plan for {number} sources, batch_size {batch_size}: {planned} jobs, "
        f"{judged(elapsed, TARGET_PLAN_S.get(number))}, {spent:.2f} s of processors",
        flush=True,
    )


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=int, nargs="*", default=[180], help="numbers of sources of the real runs")
    parser.add_argument(
        "--plan", type=int, nargs="*", default=[200, 1000, 5000], help="numbers of sources of the plans alone"
    )
    arguments = parser.parse_args()
    print(f"load of the machine: {np.round(os.getloadavg()[0], 1)} on {os.cpu_count()} processors")
    for number in arguments.plan:
        for batch_size in ("auto", 1) if number <= 1000 else ("auto",):
            with tempfile.TemporaryDirectory() as folder:
                measure_plan(Path(folder), number, batch_size)
    for number in arguments.run:
        with tempfile.TemporaryDirectory() as folder:
            measure_run(Path(folder), number)


if __name__ == "__main__":
    main()
