"""Edits drawn on the page as lines of the user's files: the shapes mean what was drawn, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from planned_jobs import RAW, jobs_of, write_field
from unblend.core.errors import InputError, OverrideError
from unblend.images.masks import region_mask
from unblend.io.regions import read_regions
from unblend.run.page_edits import (
    START,
    add_line,
    describe_file,
    editable_files,
    override_of,
    region_line,
    remove_line,
    wcs_of_panel,
    write_override,
)

CIRCLE = {"kind": "circle", "centre": [1.5, 2.0], "radius": 1.2}
POLYGON = {"kind": "polygon", "points": [[0.2, 0.1], [0.3, 2.4], [2.6, 2.2]]}
BOTH = ("circle", "polygon")


@pytest.fixture
def field(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_field(tmp_path)
    return tmp_path


@pytest.fixture
def jobs(field):
    return jobs_of(RAW)


def test_every_region_file_has_its_image(jobs):
    files = editable_files(jobs)
    assert set(files) == {"merge", "manual", "fits-bad", *(f"{k}:{b}" for k in ("bad", "sim") for b in RAW["bands"])}
    assert files["bad:k"].panel == "k" and str(files["bad:k"].path) == "data/k_im-bad.reg"
    assert str(files["sim:k"].path) == "data/k-sim.reg" and files["sim:k"].kinds == ("circle",)
    (jobs.inputs.data / "k-bad.reg").write_text("")
    assert str(editable_files(jobs)["bad:k"].path) == "data/k-bad.reg"


@pytest.mark.parametrize("shape", [CIRCLE, POLYGON])
def test_a_shape_covers_the_pixels_on_which_it_was_drawn(jobs, shape):
    file, wcs = editable_files(jobs)["bad:k"], wcs_of_panel(jobs, "k")
    add_line(file, region_line(wcs, shape, BOTH))
    rows, columns = np.indices((4, 4))
    expected = np.hypot(rows - 1.5, columns - 2.0) < 1.2
    if shape is POLYGON:
        expected = (
            (columns > 0.1 + 2.1 * (rows - 0.2) / 2.4) & (columns < 2.4 - 0.2 * (rows - 0.3) / 2.3) & (rows > 0.2)
        )
    np.testing.assert_array_equal(region_mask(read_regions(file.path), wcs, (4, 4)), expected)
    described = describe_file(file, wcs)
    assert [line for _, line in described["lines"]] == [file.path.read_text().strip()]
    assert described["outlines"][0]["kind"] == shape["kind"]
    for key in set(shape) - {"kind"}:
        np.testing.assert_allclose(described["outlines"][0][key], shape[key], atol=1e-3)


def test_the_other_lines_of_a_file_stay_and_the_file_is_kept(jobs):
    file, wcs = editable_files(jobs)["manual"], wcs_of_panel(jobs, "k")
    file.path.write_text("# mine\nimage\ncircle(2,2,1) # text={a}")  # no end of line
    before = file.path.read_text()
    line = region_line(wcs, CIRCLE, BOTH)
    add_line(file, line)
    assert file.path.read_text() == f"{before}\n{line}\n" and len(read_regions(file.path)) == 2
    assert file.path.with_name("det_manual.reg~").read_text() == before
    add_line(file, line)
    assert file.path.with_name("det_manual.reg~").read_text() == before
    remove_line(file, 3, line)
    assert file.path.read_text() == f"{before}\n{line}\n"
    with pytest.raises(InputError, match="has changed: its line 3 is no longer"):
        remove_line(file, 2, line)
    remove_line(file, 2, "circle(2,2,1) # text={a}")
    assert [lines[1] for lines in describe_file(file, wcs)["lines"]] == [line]


@pytest.mark.parametrize(
    ("shape", "kinds", "message"),
    [
        (POLYGON, ("circle",), "expected one of circle, found 'polygon'"),
        ({**CIRCLE, "radius": 0.0}, BOTH, "a radius above 0, found 0"),
        ({**POLYGON, "points": [[0, 0], [1, 1]]}, BOTH, "3 vertices or more, found 2"),
        ({}, BOTH, "found None"),
    ],
)
def test_shapes_without_an_area_are_refused(jobs, shape, kinds, message):
    with pytest.raises(InputError, match=message):
        region_line(wcs_of_panel(jobs, "k"), shape, kinds)


def test_an_override_is_written_changed_and_removed(jobs):
    path, text = override_of(jobs, 7)
    assert text == START and not path.exists()
    write_override(jobs, 7, "n 4 fixed", "")
    assert path.read_text() == "n 4 fixed\n"
    with pytest.raises(InputError, match=r"7\.dat has changed since the page has read it"):
        write_override(jobs, 7, "n 2 fixed", START)
    with pytest.raises(OverrideError, match="did you mean"):
        write_override(jobs, 7, "nn 2 fixed", "n 4 fixed\n")
    assert path.read_text() == "n 4 fixed\n"
    write_override(jobs, 7, " ", "n 4 fixed\n")
    assert not path.exists() and path.with_name("7.dat~").read_text() == "n 4 fixed\n"
