"""The files by which other programs find and cite the workflow."""

from __future__ import annotations

import tomllib
from pathlib import Path

import unblend
import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"] == unblend.__version__
    assert citation["license"] == project["license"] and citation["cff-version"] == "1.2.0"
    assert all(reference["doi"].startswith("10.") for reference in citation["references"])


def test_what_the_catalogue_of_workflows_looks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] and usage["report"]
    assert (ROOT / "workflow/Snakefile").is_file() and (ROOT / "config/README.md").is_file()
    assert (ROOT / "config/config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    assert 'include: "workflow/Snakefile"' in (ROOT / "Snakefile").read_text()
