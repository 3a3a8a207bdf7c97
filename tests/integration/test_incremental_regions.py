"""What a region file of a band re-runs: circles drawn, changed, deleted; the same words in other order do nothing."""

from __future__ import annotations

import os

import pytest
from harness import BANDS, CATALOGUE, GROUPS, Field, behind_mask, circle, stages
from smallfield import BLURRED, empty_place, to_band

pytestmark = pytest.mark.integration


def test_comments_colours_and_a_circle_drawn_and_deleted_between_runs_do_nothing(field: Field) -> None:
    manual, border = field / "det_manual.reg", field / "mask_border.reg"
    manual.write_text("# nothing yet\n")
    lines = "\n".join(f"{line} # color=red width=3" for line in border.read_text().splitlines())
    border.write_text(f"# another comment\n{lines}\n")
    field.redo(set())
    manual.write_text("image\n" + circle(*empty_place(), 5))
    assert "edit_segments" in field.run("--dry-run").messages
    manual.write_text("# nothing yet\n")
    field.redo(set())


def test_regions_of_one_band_and_of_all_bands(field: Field) -> None:
    """{band}-bad.reg is drawn, replaced by an older file, deleted; mask_border.reg masks every band."""
    bad, border = field / f"{BLURRED}-bad.reg", field / "mask_border.reg"
    bad.write_text("image\n" + circle(40, 20, 3))
    field.redo(behind_mask(BLURRED))
    older = field / "older.reg"
    older.write_text("image\n" + circle(41, 20, 4))
    os.utime(older, (1e9, 1e9))
    os.replace(older, bad)
    field.redo(behind_mask(BLURRED))
    bad.unlink()
    border.write_text(border.read_text() + "fk5\n" + 'circle(150.0025,2.0,0.3")\n')
    field.redo(behind_mask(BANDS[0]) | behind_mask(BANDS[1]))


def test_simulation_regions_created(field: Field) -> None:
    places = [to_band(*empty_place(), BLURRED), (42.0, 56.0), (20.0, 42.0), (56.0, 42.0), (56.0, 70.0)]
    (field / f"{BLURRED}-sim.reg").write_text("image\n" + "".join(circle(y, x, 4) for y, x in places))
    field.redo(stages(BLURRED, "monte_carlo", "inspect") | CATALOGUE)


def test_a_group_list_is_what_the_other_tests_expect(field: Field) -> None:
    groups = field.groups()
    assert sorted(map(int, groups)) == GROUPS
    assert groups["1"]["members"] == [1, 2]
    near = {int(g): entry["neighbours"] for g, entry in groups.items() if entry["neighbours"]}
    assert near == {3: [4], 4: [3]}
