"""Fluxes and errors of whole runs against drawn truth: bias, pulls, shifts, in bins; a table and figures in bench/.

`make bench-accuracy SEEDS="1 2"`, or `python tests/benchmarks/bench_accuracy.py --seeds 1 2 --scenarios clean psf`.

Every field goes through the workflow, from images to catalogue, twice: with models that are fitted ("fits", end to
end), and with the true shapes drawn by GalSim as the user's own models ("true"): that leaves the templates, the
shift, the solution and its errors. For precision ("noise") the fluxes of all true sources are solved on many draws of
the noise, without detection and shift. Fields stay in bench/accuracy/: a second run does only what a change of the
program asks for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests/integration")]

import accuracy_fields as fields  # noqa: E402
import accuracy_report as report  # noqa: E402
import accuracy_results as results  # noqa: E402
from harness import PROGRAM, copy_program  # noqa: E402
from unblend.io.tables import read_table  # noqa: E402

MODES = ("noise", "fits", "true")


def refresh_program(folder: Path) -> Path:
    """Copy the program beside the fields: an edit of the sources cannot reach a run under way."""
    if all((folder / "program" / name).exists() for name in PROGRAM):
        shutil.rmtree(folder / "program")
    copy_program(folder)
    return folder / "program/Snakefile"


def snakemake(program: Path, folder: Path, mode: str, cores: int, *targets: str) -> float:
    """Run the workflow in `folder` with the configuration of a mode; return seconds by the clock."""
    command = [sys.executable, "-m", "snakemake", *targets, "-s", str(program), "--directory", str(folder)]
    command += ["--configfile", str(folder / f"{mode}.yaml"), "--cores", str(cores), "--rerun-incomplete"]
    began = time.monotonic()
    with (folder / f"snakemake-{mode}.log").open("w") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
    if done.returncode:
        sys.exit(f"the workflow failed: see {folder}/snakemake-{mode}.log")
    return time.monotonic() - began


def draw(folder: Path, scenario: fields.Scenario, seed: int) -> None:
    """Draw the field and its true models unless this very one is there already."""
    key, mark = report.digest([repr(scenario), seed]), folder / "drawn.json"
    if mark.exists() and json.loads(mark.read_text())["key"] == key:
        return
    fields.draw(folder, scenario, seed)
    mark.write_text(json.dumps({"key": key}))


def run(program: Path, folder: Path, mode: str, cores: int) -> float:
    """Run the workflow in a mode; before true models are used, sources are detected and told which is whose."""
    if mode == "true":
        snakemake(program, folder, "fits", cores, "results-fits/det_cat.fits")
        truth, detected = read_table(folder / "truth.fits"), read_table(folder / "results-fits/det_cat.fits")
        number = fields.give_true_models(folder, truth, detected)
        print(f"{folder.name}: {len(truth)} sources, {len(detected)} detected, {number} true models", flush=True)
    return snakemake(program, folder, mode, cores)


def main() -> None:
    """Draw, run, measure, write."""
    known = fields.scenarios()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--scenarios", nargs="+", choices=list(known), default=list(known))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--redraw", type=int, default=25, help="draws of the noise in mode noise")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--no-run", action="store_true", help="measure what earlier runs left")
    arguments = parser.parse_args()
    work = arguments.out / "accuracy"
    work.mkdir(parents=True, exist_ok=True)
    rows, shifts, times = [], [], []
    for name in arguments.scenarios:
        for seed in arguments.seeds:
            folder = work / f"{name}-{seed}"
            if not arguments.no_run:
                draw(folder, known[name], seed)
                program = refresh_program(work)
            for mode in (mode for mode in arguments.modes if mode in known[name].modes):
                if mode == "noise":
                    kept = folder / f"noise-{arguments.redraw}.npy"
                    if not (arguments.no_run and kept.exists()):
                        np.save(kept, results.redrawn(folder, known[name], seed, arguments.redraw))
                    rows.append(np.load(kept))
                    continue
                if not arguments.no_run:
                    seconds = run(program, folder, mode, arguments.cores)
                    times.append({"scenario": name, "seed": seed, "mode": mode, "seconds": round(seconds, 1)})
                    print(f"{name}, seed {seed}, {mode}: {seconds:.0f} s", flush=True)
                elif not (folder / f"results-{mode}/catalogue.fits").exists():
                    continue
                rows.append(results.rows_of(folder, known[name], seed, mode))
                found = results.shift_errors(folder, known[name], mode)
                shifts += [{"scenario": name, "seed": seed, "mode": mode, **shift} for shift in found]
            if rows:
                report.write(arguments.out, np.concatenate(rows), shifts, times, known)
    print((arguments.out / "accuracy.md").read_text())


if __name__ == "__main__":
    main()
