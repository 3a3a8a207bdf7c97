"""The library on the import path, and the check of a configuration file before Snakemake reads it."""

import io
import logging
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from posixpath import dirname

from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import HostingProviderFile, LocalGitFile, LocalSourceFile


def scripts_of(basedir):
    """Return the folder of the scripts, which jobs run and which have to lie on the disk.

    They lie beside this file. Of a workflow from github(), gitlab() or gitfile(), Snakemake has only a repository, and
    reads the single files that it needs itself: the scripts are unpacked beside these in its source cache, once for
    each commit. `basedir` is the folder of this file, a local one or one in a repository.
    """
    place = basedir.get_path_or_uri(secret_free=True)
    if isinstance(basedir, LocalSourceFile):
        beside = Path(place).parents[1] / "scripts"
        if beside.is_dir():
            return beside
    given = os.environ.get("UNBLEND_SCRIPTS")
    if given and not workflow.is_main_process:
        # Those of the process that runs the workflow: a branch may have moved since.
        return Path(given)
    if isinstance(basedir, HostingProviderFile):
        repository = basedir.hosted_repo.repo
    elif isinstance(basedir, LocalGitFile):
        import git

        repository = git.Repo(basedir.repo_path)
    else:
        raise WorkflowError(
            f"{place}: there is no folder of scripts, which jobs run, beside this part of the workflow on the disk, nor "
            'a Git repository from which to take it. Name the workflow as github("OWNER/unblend", '
            'path="workflow/Snakefile", tag=…), gitlab(…) or gitfile(…), or clone the repository and name its '
            "workflow/Snakefile."
        )
    commit = repository.commit(basedir.ref).hexsha
    folder = Path(workflow.sourcecache.cache_path) / "unblend" / commit
    if not folder.is_dir():
        unpack(repository, f"{commit}:{dirname(dirname(basedir.path))}", folder)
    return folder / "scripts"


def unpack(repository, tree, folder):
    """Write the scripts of a tree of a repository into `folder`, complete or not at all, whoever else does so."""
    archive = io.BytesIO()
    repository.archive(archive, tree, path="scripts")
    archive.seek(0)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent)
    try:
        with tarfile.open(fileobj=archive) as files:
            files.extractall(unfinished, filter="data")
        os.rename(unfinished, folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not folder.is_dir():
            raise


SCRIPTS = scripts_of(workflow.current_basedir)
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
