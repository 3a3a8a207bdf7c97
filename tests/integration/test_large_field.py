"""A field larger than a tile: IMFIT's files and pictures for the worst fits, and of others on request."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import Field, environment, second_fits_of

pytestmark = pytest.mark.integration

WORST = 2
STORED = {"first.json", "fit.json"}


def files_of(field: Field) -> dict[str, dict[str, bytes]]:
    """Return the files of every fit group by their names in its folder."""
    folders = {group: field / f"results/imfit/{group}" for group in field.groups()}
    return {
        group: {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for group, folder in folders.items()
    }


@pytest.fixture
def large(field: Field) -> Field:
    """The field with a program for which it is large."""
    field = field.with_own_program()
    field.edit_code("unblend/core/large_field.py", "MOST_DETECTION_PIXELS = 20e6", "MOST_DETECTION_PIXELS = 10.0")
    field.edit_code("draw_fits.py", "WORST = 200", f"WORST = {WORST}")
    return field


def test_the_files_of_a_fit_on_request(field: Field, large: Field) -> None:
    before, catalogue = files_of(field), field.table("catalogue.fits")
    models = {path.name: path.stat().st_size for path in (field / "results/imfit/models").iterdir()}
    own = field / "results/imfit" / next(iter(before)) / "mine.txt"
    own.write_text("a file of the user")
    assert second_fits_of(*map(int, before)) <= large.run().work

    after = files_of(large)
    drawn = [group for group, files in after.items() if "fit.png" in files]
    assert len(drawn) == WORST < len(after) and own.read_text() == "a file of the user"
    own.unlink()
    for group, files in files_of(large).items():
        assert set(files) == (set(before[group]) if group in drawn else STORED)
    sheet = (large / "results/imfit/sheet.html").read_text()
    assert f"The worst {WORST} groups" in sheet and f"of {len(after)} groups in all" in sheet
    assert set(re.findall(r'src="(\d+)/fit.png"', sheet)) == set(drawn)

    # the same fluxes, from models of fewer pixels
    again = large.table("catalogue.fits")
    for band in ("sharp", "blurred"):
        change = (again[f"flux_{band}"] - catalogue[f"flux_{band}"]) / catalogue[f"err_{band}"]
        assert np.nanmax(np.abs(change)) < 0.01
    small = [path.stat().st_size < models[path.name] for path in (large / "results/imfit/models").iterdir()]
    assert np.mean(small) > 0.5

    group = next(group for group in after if group not in drawn)
    command = [sys.executable, str(large.program / "scripts/open_fit.py"), str(large.folder), group]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    assert Path(said.split(":")[0]).resolve() == (large / f"results/imfit/{group}").resolve()
    opened = files_of(large)[group]
    assert set(opened) == set(before[group])
    # stored fits and pictures say under which key they were made
    assert {name for name in opened if opened[name] != before[group][name]} <= {*STORED, "fit.png"}
    large.redo(set())


def test_several_processes_find_the_same_pairs_and_groups(field: Field, large: Field) -> None:
    names = ("det_auto_cat.fits", "det_auto_seg.fits", "det_hidden.reg", "imfit/groups.json", "imfit/mask.fits")
    before = [(field / "results" / name).read_bytes() for name in names]
    found = large.run("results/imfit/groups.json", "--forcerun", "detect_sources", "group_sources", "-p")
    assert {"detect all", "groups all"} <= found.work and found.messages.count("--workers 2") == 2
    assert [(field / "results" / name).read_bytes() for name in names] == before
