"""The plan of the workflow as a module from a Git repository, in which no scripts lie beside it on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployment import OWNER, Deployment, deploy

pytestmark = pytest.mark.rules


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return deploy(tmp_path_factory.mktemp("deployment"))


def files_of(folder: Path) -> set[str]:
    """Return the files of the user, without Snakemake's own."""
    own = folder / ".snakemake"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if own not in path.parents and path != own}


def github(reference: str) -> str:
    return f'github("{OWNER}", path="workflow/Snakefile", {reference})'


@pytest.mark.parametrize("form", ['tag="v1"', 'branch="main"', 'commit="{commit}"', "gitfile", "git+file"])
def test_a_workflow_from_a_repository_has_a_plan(form: str, deployed: Deployment) -> None:
    repository, commit = deployed.repository, deployed.git("rev-parse", "v1^{commit}")
    sources = {
        "gitfile": f'gitfile("{repository}", path="workflow/Snakefile", tag="v1")',
        "git+file": f'"git+file://{repository}/workflow/Snakefile@v1"',
    }
    deployed.name(sources.get(form) or github(form.format(commit=commit)))
    before = files_of(deployed.folder)
    done = deployed.snakemake("--dry-run")
    assert done.returncode == 0 and "detect_sources" in done.stdout and "write_report" in done.stdout, done.stdout
    assert files_of(deployed.folder) == before
    # unpacked once, whatever names the commit
    assert [path.parent.name for path in deployed.unpacked] == [commit]
    assert (deployed.unpacked[0] / "start_job.py").exists() and (deployed.unpacked[0] / "unblend/fits").is_dir()


def test_a_branch_that_has_moved_has_its_new_scripts(tmp_path: Path) -> None:
    deployed = deploy(tmp_path)
    deployed.name(github('branch="main"'))
    assert deployed.snakemake("--dry-run").returncode == 0
    (deployed.repository / "scripts/new.py").write_text("pass\n")
    deployed.git("add", ".")
    deployed.git("commit", "--quiet", "--message", "New")
    assert deployed.snakemake("--dry-run").returncode == 0
    assert sorted((path / "new.py").exists() for path in deployed.unpacked) == [False, True]
