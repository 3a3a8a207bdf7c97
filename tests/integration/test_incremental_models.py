"""What an edit of single sources re-runs: overrides, custom models, deleted models."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from harness import IDS, Field, behind_models, draws_of, fits_of, renders_of, second_fits_of

pytestmark = pytest.mark.integration


def test_override_of_a_lone_source_added_edited_and_deleted(field: Field) -> None:
    before = field.table("catalogue.fits")
    override = field / "overrides/7.dat"
    override.parent.mkdir()
    override.write_text("n 1 fixed\n")
    field.redo(fits_of(7) | renders_of(7) | draws_of(7) | behind_models())
    override.write_text("n 1.5 fixed\n")
    field.redo(fits_of(7) | renders_of(7) | draws_of(7) | behind_models())
    override.unlink()
    field.redo(fits_of(7) | renders_of(7) | draws_of(7) | behind_models())
    assert field.table("catalogue.fits").tobytes() == before.tobytes()


def test_overrides_reach_the_rest_of_their_group_and_the_second_pass_of_its_neighbours(field: Field) -> None:
    """2 is fitted with 1; 3 is a group of its own beside that of 4. Nothing goes further."""
    (field / "overrides").mkdir()
    for source in (2, 3):
        (field / f"overrides/{source}.dat").write_text("n 2 fixed\n")
    fitted = fits_of(1, 3) | second_fits_of(4)
    field.redo(fitted | renders_of(1, 2, 3, 4) | draws_of(1, 3, 4) | behind_models())


def test_a_source_taken_out_of_its_group_and_two_brought_together(field: Field) -> None:
    """2 was fitted with 1, 3 and 4 apart; all four are neighbours of nobody else."""
    before = field.table("catalogue.fits")
    (field / "overrides").mkdir()
    (field / "overrides/2.dat").write_text("GROUP alone\n")
    (field / "overrides/4.dat").write_text("GROUP with 3\n")
    field.redo({"groups all"} | fits_of(1, 2, 3) | renders_of(1, 2, 3, 4) | draws_of(1, 2, 3) | behind_models())
    groups = field.groups()
    assert groups["1"]["members"] == [1] and groups["2"]["members"] == [2] and groups["3"]["members"] == [3, 4]
    assert groups["1"]["neighbours"] == [2]
    # an edit of the rest of the file is no affair of the groups
    (field / "overrides/2.dat").write_text("GROUP alone\nn 1 fixed\n")
    field.redo(fits_of(2) | second_fits_of(1) | renders_of(1, 2) | draws_of(1, 2) | behind_models())
    shutil.rmtree(field / "overrides")
    # the fit of 4 is still there under its key
    field.redo({"groups all"} | fits_of(1, 3) | renders_of(1, 2, 3, 4) | draws_of(1, 3) | behind_models())
    assert field.table("catalogue.fits").tobytes() == before.tobytes()


def test_a_best_fit_of_a_group_is_an_override_of_its_sources(field: Field) -> None:
    """As it lies in the group's folder: pixels of the cutout, both sources in one file, our first line above."""
    best = field / "results/imfit/1/imfit_bestfit.dat"
    (field / "overrides").mkdir()
    shutil.copyfile(best, field / "overrides/2.dat")
    x = field.table("imfit/sersic.fits")["x"][1]
    field.redo(fits_of(1) | renders_of(1, 2) | draws_of(1) | behind_models())
    row = field.table("imfit/sersic.fits")[1]
    # it started in the minimum: 0.02 pixels are a tenth of its error
    assert abs(row["x"] - x) < 0.02 and row["flag"] & 2048 and not field.table("imfit/sersic.fits")["flag"][0] & 2048


def test_own_model_added_and_removed(field: Field) -> None:
    """The user's model is made from ours: it is used as it is, and ours is back once it is gone."""
    rendered, custom = field / "results/imfit/models/9.fits", field / "custom_models/9.fits"
    drawn = rendered.read_bytes()
    custom.parent.mkdir()
    shutil.copyfile(rendered, custom)
    with fits.open(custom, mode="update") as hdus:
        hdus[0].data *= np.linspace(0.9, 1.1, hdus[0].data.shape[1], dtype=hdus[0].data.dtype)
    field.redo({"custom 9"} | draws_of(9) | behind_models())
    assert rendered.read_bytes() == custom.read_bytes()
    custom.unlink()
    field.redo(fits_of(9) | renders_of(9) | draws_of(9) | behind_models())
    assert rendered.read_bytes() == drawn


def test_a_deleted_model_is_drawn_again_and_nothing_else(field: Field) -> None:
    model = field / "results/imfit/models/7.fits"
    drawn = model.read_bytes()
    model.unlink()
    field.redo(renders_of(7) | {"models all"})
    assert model.read_bytes() == drawn
    field.redo(set())


def test_all_models_deleted(field: Field) -> None:
    shutil.rmtree(field / "results/imfit/models")
    field.redo(renders_of(*IDS) | {"models all"})
    field.redo(set())


def test_a_deleted_fit_is_done_again(field: Field) -> None:
    """The result of the second pass is the same as before, so that nothing follows from it."""
    (field / "results/imfit/7/fit.json").unlink()
    field.redo(second_fits_of(7) | {"models all"})


def test_a_deleted_picture_is_drawn_again(field: Field) -> None:
    """A picture says under which key it was drawn: the others are kept."""
    picture = field / "results/imfit/7/fit.png"
    drawn = picture.read_bytes()
    picture.unlink()
    field.redo(draws_of(7))
    assert picture.read_bytes() == drawn
    field.redo(set())


def test_a_stale_model_is_not_used(field: Field) -> None:
    models = field / "results/imfit/models"
    shutil.copyfile(models / "7.fits", models / "99.fits")
    field.redo(set())
    (models / "7.fits").unlink()
    field.run()
    assert sorted(map(int, field.digests())) == list(IDS)
    assert list(field.table("catalogue.fits")["id"]) == list(IDS)
