"""What a region file re-runs: circles drawn, changed, deleted, in every file that the workflow reads."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from harness import (
    BANDS,
    CATALOGUE,
    GROUPS,
    Field,
    behind_mask,
    behind_models,
    draws_of,
    fits_of,
    renders_of,
    stages,
)
from smallfield import BLURRED, SMALL, empty_place, to_band

pytestmark = pytest.mark.integration

EDIT = {"edit all", "groups all"}


def circle(y: float, x: float, radius: float) -> str:
    """Return a DS9 circle; y, x are 0-based."""
    return f"circle({x + 1:.2f},{y + 1:.2f},{radius:.2f})\n"


def test_manual_sources_created_changed_and_changed_back_extended_and_deleted(field: Field) -> None:
    before = field.table("catalogue.fits").tobytes()
    manual = field / "det_manual.reg"
    isolated = "image\n" + circle(*empty_place(), 5)
    catalogues = []
    for text in (isolated, "image\n" + circle(*empty_place(), 6), isolated):
        manual.write_text(text)
        field.redo(EDIT | fits_of(13) | renders_of(13) | draws_of(13) | behind_models())
        catalogues.append(field.table("catalogue.fits").tobytes())
    assert catalogues[0] == catalogues[2] != catalogues[1]

    eighth = SMALL.galaxies[7]
    manual.write_text(isolated + circle(eighth.y, eighth.x + 15, 3))
    field.redo(EDIT | fits_of(8) | renders_of(8, 14) | draws_of(8) | behind_models())
    assert field.groups()["8"]["members"] == [8, 14]

    manual.unlink()
    field.redo(EDIT | fits_of(8) | renders_of(8) | draws_of(8) | behind_models())
    # The models of the vanished 13 and 14 are moved aside, and the old answer is back.
    assert not (field / "results/imfit/models/13.fits").exists()
    assert (field / "results/stale/imfit/models/13.fits").exists()
    assert field.table("catalogue.fits").tobytes() == before


def test_a_circle_changed_and_changed_back_between_runs_does_nothing(field: Field) -> None:
    manual = field / "det_manual.reg"
    manual.write_text("# nothing yet\n")
    field.redo(set())
    manual.write_text("image\n" + circle(*empty_place(), 5))
    assert "edit_segments" in field.run("--dry-run").messages
    manual.write_text("# nothing yet\n")
    field.redo(set())


def test_segments_merged_and_parted_again(field: Field) -> None:
    first, second = SMALL.galaxies[:2]
    merge = field / "merged_segments.reg"
    merge.write_text("image\n" + circle((first.y + second.y) / 2, (first.x + second.x) / 2, 5))
    field.redo(EDIT | fits_of(1) | renders_of(1) | draws_of(1) | behind_models())
    assert list(field.table("catalogue.fits")["id"]) == [1, *range(3, 13)]
    merge.unlink()
    field.redo(EDIT | fits_of(1) | renders_of(1, 2) | draws_of(1) | behind_models())


def bad_regions(field: Field) -> Iterator[None]:
    """Create, edit, replace by an older file, delete {band}-bad.reg."""
    path = field / f"{BLURRED}-bad.reg"
    path.write_text("image\n" + circle(40, 20, 3))
    yield
    path.write_text("image\n" + circle(40, 20, 4))
    yield
    older = field / "older.reg"
    older.write_text("image\n" + circle(41, 20, 4))
    os.utime(older, (1e9, 1e9))
    os.replace(older, path)
    yield
    path.unlink()
    yield


def test_bad_regions_created_edited_replaced_by_an_older_file_and_deleted(field: Field) -> None:
    for _ in bad_regions(field):
        field.redo(behind_mask(BLURRED))


def test_border_regions_edited_touch_every_band_that_uses_them(field: Field) -> None:
    path = field / "mask_border.reg"
    path.write_text(path.read_text() + "fk5\n" + 'circle(150.0025,2.0,0.3")\n')
    field.redo(behind_mask(BANDS[0]) | behind_mask(BANDS[1]))


def test_simulation_regions_created(field: Field) -> None:
    places = [to_band(*empty_place(), BLURRED), (42.0, 56.0), (20.0, 42.0), (56.0, 42.0), (56.0, 70.0)]
    (field / f"{BLURRED}-sim.reg").write_text("image\n" + "".join(circle(y, x, 4) for y, x in places))
    field.redo(stages(BLURRED, "monte_carlo", "inspect") | CATALOGUE)


def test_stack_bad_regions_touch_the_groups_whose_pixels_they_cover(field: Field) -> None:
    tenth = SMALL.galaxies[9]
    (field / "det_stack-bad.reg").write_text("image\n" + circle(tenth.y + 15, tenth.x, 3))
    field.redo({"groups all"} | fits_of(10) | renders_of(10) | draws_of(10) | behind_models())


def test_comments_and_colours_do_nothing(field: Field) -> None:
    path = field / "mask_border.reg"
    lines = path.read_text().splitlines()
    path.write_text("# another comment\n" + "\n".join(f"{line} # color=red width=3" for line in lines) + "\n")
    field.redo(set())


def test_a_group_list_is_what_the_other_tests_expect(field: Field) -> None:
    groups = field.groups()
    assert sorted(map(int, groups)) == GROUPS
    assert groups["1"]["members"] == [1, 2]
    near = {int(g): entry["neighbours"] for g, entry in groups.items() if entry["neighbours"]}
    assert near == {3: [4], 4: [3]}
