"""`./unblend check`: what is wrong with the configuration and the input files of a field; nothing is run."""

from __future__ import annotations

import sys
from pathlib import Path

from unblend.core.coordinates import pixel_scale
from unblend.detection.detection_image import smoothing_warning
from unblend.io.images import read_shape, read_wcs
from unblend.plan.checks import check_inputs, jobs_of, region_warnings, warn_of_images, zero_points_read
from unblend.plan.input_table import describe_images
from unblend.plan.jobs import Jobs
from unblend.plan.psf_checks import described_psfs
from unblend.plan.weight_checks import describe_weights
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
    psfs = described_psfs(jobs)
    weights, doubts = describe_weights(jobs)
    lines = [line for line, _ in psfs.values()] + weights
    table, warnings = describe_images(jobs, {band: fwhm for band, (_, fwhm) in psfs.items()})
    sys.stdout.writelines(f"{line}\n" for line in (*table, *lines))
    sys.stderr.writelines(f"unblend: {warning}\n" for warning in (*doubts, *warnings, *region_warnings(jobs)))
    warn_of_images(jobs)
    warn_of_smoothing(jobs)
    sys.stdout.writelines(f"{line}\n" for line in zero_points_read(jobs))
    sys.stdout.write(f"{options.configfile or 'config.yaml'}: no mistakes in the configuration and the input files\n")


def warn_of_smoothing(jobs: Jobs) -> None:
    """Print a sentence where the smoothing for the detection is far wider than any PSF."""
    detection = jobs.config.detection
    band = jobs.config.bands[detection.bands[0]]
    if band.mosaic is not None:
        return
    path = jobs.inputs.image(band)
    warning = smoothing_warning(detection.conv_fwhm, pixel_scale(read_wcs(path), read_shape(path)))
    sys.stderr.write(f"unblend: {warning}\n" if warning else "")


if __name__ == "__main__":
    run(main)
