"""The library on the import path, and the check of a configuration file before Snakemake reads it."""

import logging
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The folder of this file, also where another workflow uses this one as a module.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=False))
SCRIPTS = HERE.parents[1] / "scripts"
if not SCRIPTS.is_dir():
    raise WorkflowError(
        f"{SCRIPTS} does not exist: a job runs scripts, which have to lie beside the workflow on the disk. Clone the "
        "repository and name its workflow/Snakefile (a module from github(…), as snakedeploy writes it, has none)."
    )
sys.path.insert(0, str(SCRIPTS))
# Jobs use the Python that runs Snakemake, whether or not its environment is activated.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
)

from unblend.core.errors import UnblendError
from unblend.plan.config_text import check_text
from unblend.run.mistakes import show_sentences

show_sentences(logging.getLogger("snakemake.logging"))


def checked(*files):
    """Return the first of the configuration files, once the text of all is checked."""
    # Where another workflow uses this one as a module, the files are its own.
    if workflow.modifier.skip_configfile:
        return files[0]
    try:
        check_text(files)
    except UnblendError as error:
        raise WorkflowError(str(error))
    return files[0]
