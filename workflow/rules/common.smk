"""What all rules share: the configuration, the constraints of wildcards, the specs of jobs."""

import hashlib
import os
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
from unblend.plan.config_text import check_text
from unblend.io.files import digested_once

try:
    check_text(workflow.configfiles)
    CONFIG, JOBS = load_field(config, SCRIPTS, in_charge=workflow.is_main_process)
except UnblendError as error:
    raise WorkflowError(str(error))
# After a job Snakemake digests every input anew for each output: an image of 400 MB some 25 times a run.
hashlib.file_digest = digested_once(hashlib.file_digest)
R = Path(CONFIG.results_dir)
BANDS = list(CONFIG.bands)
os.environ.update(UNBLEND_WORK_LOG=str((R / "logs/work.jsonl").absolute()))
ENVIRONMENT = "../../envs/unblend.yaml"


wildcard_constraints:
    band="|".join(map(re.escape, BANDS)),
    batch=r"\d+",


def settled(product):
    """Return a product that must not trigger by its time; `ancient` on the output itself would hold for all its users."""
    return ancient(str(product))


def spec(rule, *wildcard_names):
    """Return the input function that writes the job spec of `rule` and gives its path."""

    def job_spec(wildcards):
        return written_spec(rule, {name: wildcards[name] for name in wildcard_names})

    return job_spec


def written_spec(rule, wildcards):
    """Write a job spec and return its path; Snakemake may have listed its folder before, and then believes the list."""
    path = JOBS.write(rule, **wildcards)
    workflow.iocache.exists_local[path] = True
    return path


def band_image(wildcards):
    """The user's image, which Snakemake must not judge by its time, or the cutout that the workflow makes."""
    band = CONFIG.bands[wildcards.band]
    image = JOBS.image(band).split("[")[0]
    return ancient(image) if band.mosaic is None else image


def batch_files(pattern):
    """Return the input function that asks for the groups and gives the file `pattern` of every batch."""

    def files(wildcards):
        checkpoints.group_sources.get()
        return expand(R / pattern, batch=JOBS.batches)

    return files
