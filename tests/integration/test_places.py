"""Folders with any name, and the workflow as a module of another one."""

from __future__ import annotations

import re
import subprocess

import pytest
from harness import ROOT, SNAKEMAKE, Field, environment
from smallfield import write

pytestmark = pytest.mark.integration

MODULE = re.search(r"```python\n(.*?)```", (ROOT / "docs/modules.md").read_text(), re.DOTALL)
"""The Snakefile of the documentation."""


def test_folders_with_any_name(warm_field: Field, tmp_path) -> None:
    """Nothing in a folder's name breaks a command or runs another; Snakemake itself refuses braces in the program's."""
    field = Field(tmp_path / "it's a {b} (1) ü[1] $(touch PWNED)")
    write(field.folder)
    field.edit_config(lambda c: c.update(results_dir="my 'results' (1) ü[1] `touch PWNED`"))
    place = ["--directory", str(field.folder), "--configfile", str(field / "config.yaml")]
    command = [*SNAKEMAKE, "-s", str(ROOT / "Snakefile"), *place, "--cores", "2"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = field / "my 'results' (1) ü[1] `touch PWNED`"
    assert (results / "catalogue.ecsv").read_bytes() == (warm_field / "results/catalogue.ecsv").read_bytes()
    assert not list(tmp_path.rglob("PWNED"))


def test_another_workflow_uses_this_one_as_a_module(tmp_path) -> None:
    write(tmp_path)
    assert MODULE
    program = str(ROOT / "workflow/Snakefile")
    (tmp_path / "Snakefile").write_text(MODULE[1].replace("unblend/workflow/Snakefile", program))
    command = [*SNAKEMAKE, "--directory", str(tmp_path), "-s", str(tmp_path / "Snakefile"), "--cores", "2"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "number.txt").read_text().strip().endswith("results/det_cat.fits")
    planned = [*command, "results/catalogue.fits", "--dry-run"]
    done = subprocess.run(planned, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "unblend_write_catalogue" in done.stdout, done.stdout + done.stderr
