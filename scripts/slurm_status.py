"""Print what has become of a job in Slurm, `running`, `success` or `failed`: Snakemake asks for each job in turn.

    python -IS slurm_status.py NUMBER

Most answers are `running`, and known from the question for another job. They need no library, and 25 ms.
"""

from __future__ import annotations

import os
import sys
import time

FRESH_S = 3.0
"""How long an answer of Slurm serves, seconds: for all jobs of one round of questions."""


def main() -> None:
    """Print the state of the job."""
    number, folder = sys.argv[1], os.environ["UNBLEND_SLURM"]
    if runs(number, folder):
        print("running")
        return
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from pathlib import Path

    from unblend.run.slurm import status

    print(status(number, Path(folder), fresh_s=FRESH_S))


def runs(number: str, folder: str) -> bool:
    """Return whether Slurm has said in the last seconds that a job waits or runs."""
    states = os.path.join(folder, "states")
    try:
        if time.time() - os.stat(states).st_mtime > FRESH_S:
            return False
        with open(states, encoding="utf-8") as stream:  # noqa: PTH123 - importing pathlib takes longer than all else
            return any(line.rstrip() in (f"{number}|RUNNING", f"{number}|PENDING") for line in stream)
    except OSError:
        return False


if __name__ == "__main__":
    main()
