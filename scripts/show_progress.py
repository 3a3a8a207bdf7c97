"""How far the fits and a run are; the stack minus what is fitted so far: `./unblend progress`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from unblend.plan.checks import jobs_of
from unblend.plan.jobs import Jobs
from unblend.run.commands import field_of, field_parser
from unblend.run.field_state import describe_field, is_running
from unblend.run.job_log import run

EVERY_S = 5.0


def main(*words: str) -> None:
    """Print how far the field is, once or until its run is over."""
    parser = field_parser("progress", "How far the fits of a field and its run are. It may be asked at any time.")
    parser.add_argument("--stack", action="store_true", help="write imfit/det_stack-live.fits: less what is fitted")
    parser.add_argument("--watch", action="store_true", help="look again every 5 s until the run is over")
    options = parser.parse_args(words)
    config = field_of(options)
    results = Path(config.results_dir)
    while True:
        goes_on = options.watch and is_running(results)
        jobs = jobs_of(config, Path(__file__).resolve().parent)
        sys.stdout.write("\n".join([*describe_field(jobs), *(live_stack(jobs) if options.stack else [])]) + "\n")
        sys.stdout.flush()
        if not goes_on:
            return
        time.sleep(EVERY_S)


def live_stack(jobs: Jobs) -> list[str]:
    """Write the stack minus what is fitted so far; return the line that says so."""
    from unblend.run.live_stack import write_live_stack

    if not (jobs.results / "imfit/groups.json").exists():
        return ["stack  nothing is fitted yet"]
    path, done, total = write_live_stack(jobs)
    return [f"stack  {path}: {done} of {total} sources are subtracted"]


if __name__ == "__main__":
    run(main)
