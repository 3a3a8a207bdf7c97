"""Print what has become of a job in Slurm, `running`, `success` or `failed`.

    python -IS slurm_status.py NUMBER

`slurm_status.sh`, which Snakemake calls, gives most answers itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Print the state of the job."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from unblend.run.slurm import job_state

    print(job_state(sys.argv[1], Path(os.environ["UNBLEND_SLURM"])))


if __name__ == "__main__":
    main()
