"""Run the real workflow on a copy of the small field and say exactly what work was done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from smallfield import BLURRED, SHARP
from snakemake_forks import run_snakemake

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ("Snakefile", "workflow", "profiles", "scripts", "envs")
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
IDS = range(1, 13)
GROUPS = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
BANDS = (SHARP, BLURRED)

Work = set[str]


class Run:
    """What one call of Snakemake has done: `work` as "stage what", its exit status, its messages."""

    def __init__(self, status: int, messages: str, work: Work):
        self.status, self.messages, self.work = status, messages, work


class Field:
    """A folder with the small field, its results, and the copy of the program that made them.

    The program is copied so that an edit of the sources by somebody else cannot reach a scenario. Scenarios share one
    copy, which the first run has read already, unless they edit it (`with_own_program`).
    """

    def __init__(self, folder: Path, program: Path | None = None):
        self.folder, self.program = folder, program or folder / "program"

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def command(self) -> list[str]:
        """The command line a user would type."""
        return [*SNAKEMAKE, *self.options]

    @property
    def options(self) -> list[str]:
        """The options of the command line."""
        config = self / "config.yaml"
        place = ["-s", str(self.program / "Snakefile"), "--directory", str(self.folder), "--configfile", str(config)]
        return [*place, "--cores", "2"]

    @property
    def log(self) -> Path:
        """The work log that the stages write."""
        return self / "results/logs/work.jsonl"

    def with_own_program(self) -> Field:
        """Return the field with a copy of its program in its folder, which a test may edit."""
        subprocess.run(["cp", "-a", str(self.program), str(self / "program")], check=True)
        return Field(self.folder)

    def work_since(self, start: int) -> Work:
        """Return the work logged after byte `start`; nothing may be done twice in one run."""
        if not self.log.exists():
            return set()
        lines = [json.loads(line) for line in self.log.read_bytes()[start:].splitlines()]
        done = [f"{line['stage']} {line['what']}" for line in lines]
        twice = sorted({what for what in done if done.count(what) > 1})
        assert not twice, f"done twice in one run: {twice}"
        return set(done)

    @property
    def log_size(self) -> int:
        """Bytes of the work log so far."""
        return self.log.stat().st_size if self.log.exists() else 0

    def run(self, *options: str, ok: bool | None = True, new_python: bool = False) -> Run:
        """Run the workflow to its end and return what was done; it must end well, or must not (None: either)."""
        start = self.log_size
        if new_python:  # for what Python reads at its start, such as PYTHONPATH
            done = subprocess.run(
                [*self.command, *options],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            status, messages = done.returncode, done.stdout
        else:
            status, messages = run_snakemake([*self.options, *options], environment())
        assert ok is None or (status == 0) == ok, f"exit status {status}:\n{messages[-6000:]}"
        return Run(status, messages, self.work_since(start))

    def redo(self, expected: Iterable[str], *options: str) -> None:
        """Run the workflow: exactly the `expected` work must be done, and nothing more by a second run's plan."""
        expected, found = set(expected), self.run(*options)
        assert found.work == expected, (
            f"needlessly done: {sorted(found.work - expected)}; left undone: {sorted(expected - found.work)}\n"
            + found.messages[-5000:]
        )

    def edit_config(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Let `change` alter the configuration in place."""
        content = yaml.safe_load((self / "config.yaml").read_text())
        change(content)
        (self / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def edit_code(self, script: str, old: str, new: str) -> None:
        """Replace text in the copy of the program; `old` must be there once."""
        path = self.program / "scripts" / script
        text = path.read_text()
        assert text.count(old) == 1, f"{script}: {old!r} occurs {text.count(old)} times"
        path.write_text(text.replace(old, new))

    def table(self, name: str) -> Any:
        """Return a product's table."""
        from astropy.io import fits

        return fits.getdata(self / f"results/{name}")

    def groups(self) -> dict[str, Any]:
        """Return the fit groups by their main source."""
        return json.loads((self / "results/imfit/groups.json").read_text())["groups"]

    def digests(self) -> dict[str, str]:
        """Return the digest of every model by ID."""
        listed = json.loads((self / "results/imfit/models.json").read_text())["models"]
        return {i: model["digest"] for i, model in listed.items()}


def environment() -> dict[str, str]:
    """Return the environment of a run: one thread a job, no profile of the user's."""
    kept = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}


def copy_program(folder: Path) -> None:
    """Copy Snakefile, rules and scripts into `folder`/program."""
    target = folder / "program"
    target.mkdir(parents=True)
    for name in PROGRAM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)


def circle(y: float, x: float, radius: float) -> str:
    """Return a DS9 circle; y, x are 0-based."""
    return f"circle({x + 1:.2f},{y + 1:.2f},{radius:.2f})\n"


# Expected work ---------------------------------------------------------------------------------------------------

CATALOGUE = {"catalogue all", "covariance all", "report all"}


def stages(band: str, *names: str) -> Work:
    """Return the named stages of a band."""
    return {f"{name} {band}" for name in names}


def behind_mask(band: str) -> Work:
    """What a band's mask (or its image) leads to: the templates and a background of zero are left alone."""
    return stages(band, "mask", "astrometry", "extract", "monte_carlo", "inspect") | CATALOGUE


def fits_of(*groups: int) -> Work:
    """Return both passes of the groups."""
    return {f"fit_{which} {group}" for which in ("first", "second") for group in groups}


def second_fits_of(*groups: int) -> Work:
    """Return the second pass alone."""
    return {f"fit_second {group}" for group in groups}


def renders_of(*sources: int) -> Work:
    """Return the drawing of models."""
    return {f"render {source}" for source in sources}


def draws_of(*groups: int) -> Work:
    """Return the pictures of groups whose fit, or what it looks at, has changed."""
    return {f"draw {group}" for group in groups}


def behind_models(*bands: str) -> Work:
    """What new models lead to in the bands (both unless named)."""
    work = CATALOGUE | {"models all", "subtract all"}
    for band in bands or BANDS:
        work |= stages(band, "templates", "astrometry", "extract", "monte_carlo", "inspect")
    return work
