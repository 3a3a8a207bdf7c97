"""A run of the workflow as `snakedeploy deploy-workflow` writes it: a module from a Git repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployment import OWNER, deploy

pytestmark = pytest.mark.integration


def test_a_deployed_workflow_runs_shows_what_it_does_and_repeats_nothing_with_a_new_tag(tmp_path: Path) -> None:
    deployed = deploy(tmp_path)
    deployed.name(f'github("{OWNER}", path="workflow/Snakefile", tag="v1")')
    done = deployed.snakemake()
    assert done.returncode == 0, done.stdout
    assert "sources in " in done.stdout and "(2 of 2 bands)" in done.stdout
    assert "report     results/report/index.html" in done.stdout and "Done in " in done.stdout
    assert (deployed.folder / "results/catalogue.fits").exists()

    (deployed.repository / "README.md").write_text("A new version with the same code.\n")
    deployed.git("add", ".")
    deployed.git("commit", "--quiet", "--message", "New")
    deployed.git("tag", "v2")
    deployed.name(f'github("{OWNER}", path="workflow/Snakefile", tag="v2")')
    planned = deployed.snakemake("--dry-run")
    assert planned.returncode == 0 and "Nothing to be done" in planned.stdout, planned.stdout
    assert len(deployed.unpacked) == 2
