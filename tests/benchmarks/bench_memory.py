"""The peak memory of the jobs of runs that have ended, beside what they ask for: docs/performance.md.

`python tests/benchmarks/bench_memory.py FIELD/config.yaml …`. Run the fields with UNBLEND_FRESH_JOBS=1: a job that is a
fork of the job server counts all libraries that the server has loaded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "scripts")]

from job_memory import measured  # noqa: E402


def main() -> None:
    """Print a table for every field."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="+", help="configurations whose products are there")
    for config in parser.parse_args().configs:
        print(f"\n{config}\n\n| job | peak | asked for | asked / peak |\n|---|---|---|---|")
        for job in measured(config.parent, config.name):
            print(f"| {job.name} | {job.peak_mb:.0f} MB | {job.asked_mb} MB | {job.asked_mb / job.peak_mb:.1f} |")


if __name__ == "__main__":
    main()
