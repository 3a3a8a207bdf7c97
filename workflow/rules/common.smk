"""What all rules share: the configuration, the constraints of wildcards, the specs of jobs."""

import os
import re
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))
# Jobs are started with the Python that runs Snakemake, whether or not its environment is activated.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
)

from snakemake.exceptions import WorkflowError
from unblend.core.errors import UnblendError
from unblend.plan.checks import load_field
from unblend.plan.example import example_is_missing


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
R = Path(CONFIG.results_dir)
BANDS = list(CONFIG.bands)
os.environ.update(UNBLEND_WORK_LOG=str((R / "logs/work.jsonl").absolute()))
ENVIRONMENT = "../../envs/unblend.yaml"
EXAMPLE_IS_MISSING = example_is_missing(CONFIG)


wildcard_constraints:
    band="|".join(map(re.escape, BANDS)),
    batch=r"\d+",


def settled(product):
    """Return a product that must not trigger by its time; `ancient` on the output itself would hold for all its users."""
    return ancient(str(product))


def wait_for_example():
    """Make whatever asks for the input files wait until the example field is drawn."""
    if EXAMPLE_IS_MISSING:
        checkpoints.make_example_field.get()


def spec(rule, *wildcard_names):
    """Return the input function that gives the path of the job spec of `rule`."""

    def job_spec(wildcards):
        wait_for_example()
        return spec_path(rule, {name: wildcards[name] for name in wildcard_names})

    return job_spec


def spec_path(rule, wildcards):
    """Return the path of a job spec; what is wrong with the inputs is one sentence."""
    try:
        return JOBS.spec(rule, **wildcards)
    except UnblendError as error:
        raise WorkflowError(str(error))


def band_image(wildcards):
    """The user's image, which Snakemake must not judge by its time, or the cutout that the workflow makes."""
    wait_for_example()
    band = CONFIG.bands[wildcards.band]
    image = JOBS.inputs.image(band).split("[")[0]
    return ancient(image) if band.mosaic is None else image


def batch_files(pattern):
    """Return the input function that asks for the groups and gives the file `pattern` of every batch."""

    def files(wildcards):
        checkpoints.group_sources.get()
        return expand(R / pattern, batch=JOBS.fits.batches)

    return files
