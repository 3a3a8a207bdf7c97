"""Shared by all rules: the configuration, the wildcard constraints, the specs of jobs."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

from unblend.io.damage import describe_damage
from unblend.io.files import DamagedFileError
from unblend.io.selections import split_extension
from unblend.plan.checks import load_field
from unblend.plan.example import example_is_missing
from unblend.plan.resources import PROCESSES, Requests


def purpose():
    """Whether this process runs the workflow, only plans it, or runs one job for another Snakemake process."""
    if not workflow.is_main_process:
        return "job"
    runs = workflow.executor_plugin is not None and not workflow.dryrun
    return "run" if runs else "plan"


try:
    CONFIG, JOBS = load_field(config, SCRIPTS, purpose, check=workflow.is_main_process)
except UnblendError as error:
    raise WorkflowError(str(error))
REQUESTS = Requests(JOBS)
R = Path(CONFIG.results_dir)
BANDS = list(CONFIG.bands)
# In the environment and not in the commands: a moved program re-runs nothing, and a workflow that uses this one as a
# module does not know our variables.
os.environ.update(
    UNBLEND_SCRIPTS=str(SCRIPTS),
    UNBLEND_WORK_LOG=str((R / "logs/work.jsonl").absolute()),
    UNBLEND_SLURM=str((R / "logs/slurm").absolute()),
)
ENVIRONMENT = "../../envs/unblend.yaml"
# An image in which all jobs run, with --software-deployment-method apptainer.
CONTAINER = os.environ.get("UNBLEND_CONTAINER")
EXAMPLE_IS_MISSING = example_is_missing(CONFIG)


if CONTAINER:

    container: CONTAINER


# A large image is measured in tiles: hst/tiles/1_2 is a band of its own in the rules that look at pixels, and the
# products of hst are joined from those of its tiles.
TILED = [band for band in BANDS if JOBS.bands.of(band)]


def names_of(bands, tiles_of=()):
    """Return the expression for the wildcard of these bands, and of the tiles of others."""
    tiles = [re.escape(f"{band}/tiles/") + r"\d+_\d+" for band in tiles_of]
    return "|".join([*map(re.escape, bands), *tiles]) or "(?!)"


WHOLE = [band for band in BANDS if band not in TILED]
SEARCHED = [band for band in TILED if CONFIG.bands[band].is_shift_measured]
MEASURED = [name for band in BANDS for name in JOBS.bands.measured(band)]
GIVEN = [band for band in TILED if band not in SEARCHED]


wildcard_constraints:
    band=names_of(BANDS, TILED),
    batch=r"\d+",


def ignore_time(product):
    """Return a product whose time must not trigger a job; `ancient` on the output itself would apply to all rules."""
    return ancient(str(product))


def wait_for_example():
    """Make whatever asks for the input files wait until the example field is drawn."""
    if EXAMPLE_IS_MISSING:
        checkpoints.make_example_field.get()


def spec(rule, *wildcard_names):
    """Return an input function that returns the path of the job spec of `rule`."""

    def job_spec(wildcards):
        wait_for_example()
        return spec_path(rule, {name: wildcards[name] for name in wildcard_names})

    return job_spec


def spec_path(rule, wildcards):
    """Return the path of a job spec; what is wrong with the inputs is one sentence."""
    with one_sentence():
        return JOBS.spec(rule, **wildcards)


@contextmanager
def one_sentence():
    """Turn what is wrong with the inputs, and with products that planning reads, into one sentence."""
    try:
        yield
    except (UnblendError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UnblendError) and not isinstance(error, DamagedFileError):
            raise WorkflowError(str(error))
        damaged = describe_damage(R, move=purpose() == "run")
        raise WorkflowError("\n".join(damaged)) if damaged else error


def band_image(wildcards):
    """Return the image of the user, whose time Snakemake must ignore, or the cutout that the workflow makes."""
    wait_for_example()
    band = JOBS.bands[wildcards.band]
    image = split_extension(JOBS.inputs.image(band))[0]
    return ancient(image) if band.mosaic is None else image


def band_weight(wildcards):
    """Return the weight map of a band, as `band_image` does its image; nothing for a band without one."""
    wait_for_example()
    band = JOBS.bands[wildcards.band]
    if band.weight is None:
        return []
    weight = split_extension(JOBS.inputs.weight(band)["file"])[0]
    return ancient(weight) if band.mosaic is None else weight


def batch_files(pattern):
    """Return an input function that waits for the groups and returns the file `pattern` of every batch."""

    def files(wildcards):
        checkpoints.group_sources.get()
        with one_sentence():
            return expand(R / pattern, batch=JOBS.fits.batches)

    return files


def processes_of_detection(wildcards):
    """Return the number of processes of a job that looks at all sources of the detection."""
    return REQUESTS.processes_of_detection()


def memory_of(rule):
    """Return the function that gives the memory of a job of `rule` in MB."""

    def mem_mb(wildcards, attempt, threads):
        band = wildcards.get("band")
        return REQUESTS.memory_mb(rule, band, attempt=attempt, processes=threads)

    return mem_mb


def time_of(rule):
    """Return the function that gives the time limit of a job of `rule` in minutes."""

    def runtime(wildcards, attempt):
        return REQUESTS.runtime_minutes(rule, wildcards.get("band"), attempt=attempt)

    return runtime
