"""A plan writes nothing, and a run keeps the settings that it started with."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import yaml
from harness import Field, environment
from snakemake_forks import run_snakemake

pytestmark = pytest.mark.integration


def everything_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and the modification time of every file."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def other_config(field: Field) -> Path:
    """Write a config that differs from the field's in settings of many stages."""
    content = yaml.safe_load((field / "config.yaml").read_text())
    content["catalogue"] = {"error_floor": 0.2}
    content["detection"]["min_area"] = 12
    content["models"]["timeout"] = 500
    path = field / "other.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def snakemake(field: Field, *options: str, config: Path | None = None) -> tuple[int, str]:
    """Run Snakemake on the field, with another config where one is named; return its exit status and messages."""
    place = [str(config) if config and word == str(field / "config.yaml") else word for word in field.options]
    return run_snakemake([*place, *options], environment())


def test_a_plan_leaves_every_byte_of_the_results(field: Field) -> None:
    other, before = other_config(field), everything_in(field / "results")
    status, messages = snakemake(field, "-n", config=other)
    assert status == 0 and "detect_sources" in messages
    page = str(field / "page.html")
    for options in (["--summary"], ["--dag"], ["--rulegraph"], ["--lint"], ["--list-rules"], ["--report", page]):
        snakemake(field, *options, config=other)
        assert everything_in(field / "results") == before, options
    assert Path(page).exists()
    # and what a dry run says is what a run does: nothing, with the settings of the results
    assert "Nothing to be done" in snakemake(field, "-n")[1]


def test_a_run_keeps_its_settings_whatever_is_asked_beside_it(field: Field) -> None:
    other = other_config(field)
    field.edit_config(lambda c: c.update(catalogue={"error_floor": 0.05}))
    run = subprocess.Popen([*field.command, "--forceall"], env=environment(), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)  # fmt: skip
    started = field / "results/specs/lock"
    began = time.monotonic()
    before = started.stat().st_mtime_ns
    while not list((field / ".snakemake/locks").glob("*")) and time.monotonic() - began < 60:
        time.sleep(0.2)
    assert before  # the results were made by a run, which has left its lock file
    planned, _ = snakemake(field, "-n", config=other)
    refused, messages = snakemake(field, config=other)
    assert run.poll() is None, "the run was over before it was disturbed"
    assert planned == 0
    assert refused != 0 and "another run is going on in results" in messages
    assert run.wait() == 0
    from astropy.io import fits

    assert fits.getheader(field / "results/catalogue.fits", 1)["FLOOR"] == 0.05
    field.redo([])
