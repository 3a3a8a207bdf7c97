"""What edits of regions and sources re-run: several of them a run, each on galaxies of its own, as users make them.

Every run does the work of all its edits and nothing else; once all are taken back, the catalogue is the first one.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from harness import IDS, Field, behind_models, circle, draws_of, fits_of, renders_of, second_fits_of
from smallfield import BLURRED, PAIR_OFFSET, SHARP, SMALL, empty_place
from unblend.core.flags import Flag

pytestmark = pytest.mark.integration

EDIT = {"edit all", "groups all"}
ISOLATED, LARGER = ("image\n" + circle(*empty_place(), radius) for radius in (5, 6))
"""Manual source 13, in an empty place."""

BULGE_AND_DISC = "COMPONENTS free\nFUNCTION Sersic\nn 4 fixed\nFUNCTION Sersic\nn 1 fixed\n"

BESIDE_8 = circle(SMALL.galaxies[7].y, SMALL.galaxies[7].x + 15, 3)
"""Manual source 14, which is fitted together with 8."""

MERGING_1_AND_2 = "image\n" + circle(SMALL.galaxies[0].y, SMALL.galaxies[0].x + 0.5 * PAIR_OFFSET[1], 5)
BAD_BESIDE_10 = "image\n" + circle(SMALL.galaxies[9].y + 15, SMALL.galaxies[9].x, 3)


def own_model(field: Field, source: int) -> None:
    """Give a source a model of the user's, made from ours."""
    custom = field / f"custom_models/{source}.fits"
    shutil.copyfile(field / f"results/imfit/models/{source}.fits", custom)
    with fits.open(custom, mode="update") as hdus:
        hdus[0].data *= np.linspace(0.9, 1.1, hdus[0].data.shape[1], dtype=hdus[0].data.dtype)


def check_free_components(field: Field, source: int) -> None:
    """The band has its own share of the bulge; in the detection image it agrees with the fit."""
    for band in (SHARP, BLURRED):
        row = field.table(f"bands/{band}/fluxes.fits")
        share, error = row["first_component"], row["first_component_err"]
        assert np.isfinite(share[source - 1]) and 0.0 <= share[source - 1] <= 1.0 and error[source - 1] > 0
        assert np.isnan(np.delete(share, source - 1)).all()
    fitted = field.table("imfit/sersic.fits")[source - 1]
    assert fitted["functions"] == "Sersic+Sersic" and fitted["detail"] == 0 and not fitted["flag"] & Flag.WITH_DETAIL


def test_edits_made_changed_and_taken_back(field: Field) -> None:
    """1 and 2 are one group, 3 and 4 neighbouring groups, all others are alone."""
    before, ninth = field.table("catalogue.fits").tobytes(), (field / "results/imfit/models/9.fits").read_bytes()
    best, second_x = (field / "results/imfit/1/imfit_bestfit.dat").read_text(), field.table("imfit/sersic.fits")["x"][1]
    manual, merged, bad = (field / name for name in ("det_manual.reg", "merged_segments.reg", "det_stack-bad.reg"))
    override = {source: field / f"overrides/{source}.dat" for source in (2, 3, 4, 7)}
    for folder in ("overrides", "custom_models"):
        (field / folder).mkdir()

    # Made. 1 and 2 are merged; the second pass of 4 sees another 3; 14 joins the group of 8.
    manual.write_text(ISOLATED + BESIDE_8)
    merged.write_text(MERGING_1_AND_2)
    bad.write_text(BAD_BESIDE_10)
    override[3].write_text("n 2 fixed\n")
    override[7].write_text("n 1 fixed\n")
    own_model(field, 9)
    fitted = fits_of(1, 3, 7, 8, 10, 13) | second_fits_of(4) | {"custom 9"}
    pictures = draws_of(1, 3, 4, 7, 8, 9, 10, 13)
    field.redo(EDIT | fitted | renders_of(1, 3, 4, 7, 8, 10, 13, 14) | pictures | behind_models())
    assert list(field.table("catalogue.fits")["id"]) == [1, *range(3, 15)]
    assert field.groups()["8"]["members"] == [8, 14]
    assert (field / "results/imfit/models/9.fits").read_bytes() == (field / "custom_models/9.fits").read_bytes()
    made = field.digests()

    # Changed. The best fit of a group, as it lies in the group's folder (pixels of the cutout, both sources in one
    # file, our first line above), overrides one of its sources; 3 and 4 become one group.
    manual.write_text(LARGER)
    merged.unlink()
    bad.unlink()
    override[2].write_text(best)
    override[3].unlink()
    override[4].write_text("GROUP with 3\n")
    override[7].write_text(BULGE_AND_DISC)
    (field / "custom_models/9.fits").unlink()
    groups = (1, 3, 7, 8, 9, 10, 13)
    field.redo(EDIT | fits_of(*groups) | renders_of(2, 4, *groups) | draws_of(*groups) | behind_models())
    sersic = field.table("imfit/sersic.fits")
    # it started in the minimum: 0.02 pixels are a tenth of its error
    assert abs(sersic["x"][1] - second_x) < 0.02 and sersic["flag"][1] & 2048 and not sersic["flag"][0] & 2048
    assert field.groups()["3"]["members"] == [3, 4]
    assert (field / "results/imfit/models/9.fits").read_bytes() == ninth
    assert not (field / "results/imfit/models/14.fits").exists()
    assert field.digests()["13"] != made["13"]
    check_free_components(field, 7)

    # Changed back, and 2 taken out of its group.
    manual.write_text(ISOLATED)
    override[2].write_text("GROUP alone\n")
    override[7].write_text("n 1 fixed\n")
    field.redo(EDIT | fits_of(1, 2, 7, 13) | renders_of(1, 2, 7, 13) | draws_of(1, 2, 7, 13) | behind_models())
    assert {source: field.digests()[source] for source in ("7", "13")} == {
        source: made[source] for source in ("7", "13")
    }
    alone = field.groups()
    assert alone["1"]["members"] == [1] and alone["2"]["members"] == [2] and alone["1"]["neighbours"] == [2]

    # The rest of a file that forms groups is edited: the groups are not formed again.
    override[2].write_text("GROUP alone\nn 1 fixed\n")
    override[7].unlink()
    field.redo(fits_of(2, 7) | second_fits_of(1) | renders_of(1, 2, 7) | draws_of(1, 2, 7) | behind_models())

    # All taken back: the first pass of 4 is still there under its key, models of vanished sources are moved aside.
    manual.unlink()
    shutil.rmtree(field / "overrides")
    fitted = fits_of(1, 3) | second_fits_of(4)
    field.redo(EDIT | fitted | renders_of(1, 2, 3, 4) | draws_of(1, 3, 4) | behind_models())
    assert not (field / "results/imfit/models/13.fits").exists()
    assert (field / "results/stale/imfit/models/13.fits").exists()
    assert field.table("catalogue.fits").tobytes() == before


def test_deleted_products_of_a_fit_are_made_again_and_nothing_else(field: Field) -> None:
    """A picture says under which key it was drawn; a second pass with the result of before has no consequences."""
    model, picture = field / "results/imfit/models/7.fits", field / "results/imfit/5/fit.png"
    drawn = model.read_bytes(), picture.read_bytes()
    for path in (model, picture, field / "results/imfit/9/fit.json"):
        path.unlink()
    field.redo(renders_of(7) | draws_of(5) | second_fits_of(9) | {"models all"})
    assert (model.read_bytes(), picture.read_bytes()) == drawn
    field.redo(set())


def test_all_models_deleted(field: Field) -> None:
    shutil.rmtree(field / "results/imfit/models")
    field.redo(renders_of(*IDS) | {"models all"})
    field.redo(set())


def test_a_stale_model_is_not_used(field: Field) -> None:
    models = field / "results/imfit/models"
    shutil.copyfile(models / "7.fits", models / "99.fits")
    field.redo(set())
    (models / "7.fits").unlink()
    field.run()
    assert sorted(map(int, field.digests())) == list(IDS)
    assert list(field.table("catalogue.fits")["id"]) == list(IDS)
