"""Submit a job to Slurm and print its number: Snakemake calls it for each job (workflow/profiles/slurm).

python -IS slurm_submit.py [WILDCARD=VALUE ...] JOBSCRIPT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Submit the job; on standard output is its number, or why it was not submitted."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from unblend.run.slurm import RefusedError, submit

    *wildcards, jobscript = sys.argv[1:]
    try:
        print(submit(Path(jobscript), wildcards, Path(os.environ["UNBLEND_SLURM"])))
    except RefusedError as refused:
        print(refused)
        sys.exit(1)


if __name__ == "__main__":
    main()
