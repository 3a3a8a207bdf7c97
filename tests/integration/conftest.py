"""The small field, run once through the workflow, and a copy of it for every scenario."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import smallfield
from harness import Field, copy_program


@pytest.fixture(scope="session")
def warm_field(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The field after its first run, made once for all workers of pytest-xdist. Not to be touched."""
    shared = tmp_path_factory.getbasetemp()
    if shared.name.startswith("popen-"):
        shared = shared.parent
    folder = shared / "warm"
    with (shared / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "results/report/index.html").exists():
            smallfield.write(folder)
            copy_program(folder)
            Field(folder).run()
    return Field(folder)


@pytest.fixture
def field(warm_field: Field, tmp_path: Path) -> Iterator[Field]:
    """A copy of the field after its first run, as `cp -a` makes it."""
    copy = tmp_path / "field"
    subprocess.run(["cp", "-a", str(warm_field.folder), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / "program")], check=True)
    yield Field(copy, warm_field.program)
    subprocess.run(["rm", "-rf", str(copy)], check=False)
