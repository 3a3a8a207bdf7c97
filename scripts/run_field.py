"""`./unblend run FIELD`: run the workflow on a field; all other words are handed on to Snakemake."""

from __future__ import annotations

import os
import sys

from unblend.run.job_log import run
from unblend.run.run_command import command


def main(*words: str) -> None:
    """Replace this process by Snakemake."""
    os.execv(sys.executable, command(words))


if __name__ == "__main__":
    run(main)
