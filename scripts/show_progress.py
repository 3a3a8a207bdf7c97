"""`./unblend progress`: the state of the fits and of the last run, and the stack minus the models fitted so far."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from unblend.plan.checks import jobs_of
from unblend.plan.jobs import Jobs
from unblend.run.commands import field_parser, read_field_config
from unblend.run.field_state import describe_field, is_running
from unblend.run.job_log import run

INTERVAL_S = 5.0


def main(*words: str) -> None:
    """Print the state of the field, once or until its run has ended."""
    parser = field_parser("progress", "Show the state of the fits of a field and of its run, at any time.", folder=True)
    parser.add_argument(
        "--stack", action="store_true", help="write imfit/det_stack-live.fits, the stack minus the models fitted so far"
    )
    parser.add_argument("--watch", action="store_true", help="repeat every 5 s until the run has ended")
    options = parser.parse_args(words)
    config = read_field_config(options)
    results = Path(config.results_dir)
    while True:
        continues = options.watch and is_running(results)
        jobs = jobs_of(config, Path(__file__).resolve().parent)
        sys.stdout.write("\n".join([*describe_field(jobs), *(live_stack(jobs) if options.stack else [])]) + "\n")
        sys.stdout.flush()
        if not continues:
            return
        time.sleep(INTERVAL_S)


def live_stack(jobs: Jobs) -> list[str]:
    """Write the stack minus the models fitted so far, and return a line of text about it."""
    from unblend.run.live_stack import write_live_stack

    if not (jobs.results / "imfit/groups.json").exists():
        return ["stack  nothing is fitted yet"]
    path, done, total = write_live_stack(jobs)
    return [f"stack  {path}: {done} of {total} sources are subtracted"]


if __name__ == "__main__":
    run(main)
