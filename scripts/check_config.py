"""`./unblend check`: what is wrong with the configuration and the input files of a field; nothing is run."""

from __future__ import annotations

import sys
from pathlib import Path

from unblend.plan.checks import check_inputs, jobs_of, warn_of_images, zero_points_read
from unblend.plan.psf_checks import describe_psfs
from unblend.run.commands import field_parser, read_field_config
from unblend.run.job_log import run


def main(*words: str) -> None:
    """Check the configuration, then the input files; every mistake is one sentence."""
    description = (
        "Check the configuration and the input files of a field, without Snakemake and without running anything."
    )
    options = field_parser("check", description, folder=True).parse_args(words)
    config = read_field_config(options)
    jobs = jobs_of(config, Path(__file__).resolve().parent)
    check_inputs(jobs)
    sys.stdout.writelines(f"{line}\n" for line in describe_psfs(jobs))
    warn_of_images(jobs)
    sys.stdout.writelines(f"{line}\n" for line in zero_points_read(jobs))
    sys.stdout.write(f"{options.configfile or 'config.yaml'}: no mistakes in the configuration and the input files\n")


if __name__ == "__main__":
    run(main)
