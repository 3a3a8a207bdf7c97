"""A detection of the user's own in place of the automatic one: a segmentation map, a catalogue of positions."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from harness import BANDS, Field, behind_models, draws_of, fits_of, renders_of
from smallfield import BLURRED, SHARP, SMALL, empty_place, wcs_of
from unblend.core.coordinates import pixel_to_sky
from unblend.io.files import read_json
from unblend.io.labels import MAX_ID

pytestmark = pytest.mark.integration

LARGE = MAX_ID
"""An ID that no array can be indexed with."""
DETECTION = {"detect all", "edit all", "groups all"}


def test_the_program_s_own_segmentation_gives_the_same_fluxes_without_a_new_fit(field: Field) -> None:
    before = (field / "results/catalogue.fits").read_bytes()
    shutil.copy(field / "results/det_seg.fits", field / "own.fits")
    # neither min_snr nor min_area counts
    own = {"segmentation": "own.fits", "min_snr": 1e6, "min_area": 1000}
    field.edit_config(lambda c: c["detection"].update(own))
    field.redo(DETECTION)
    assert (field / "results/catalogue.fits").read_bytes() == before

    # A segment that loses pixels is fitted again; a faint one of a few pixels, with an ID far away, is kept.
    y, x = (round(v) for v in empty_place())
    with fits.open(field / "own.fits", mode="update") as hdus:
        labels = hdus[0].data
        rows, columns = np.nonzero(labels == 10)
        labels[rows[0], columns[0]] = 0
        labels[y : y + 2, x : x + 2] = LARGE
    # the sky around the other groups is measured off these segments, so that their fits may be repeated, too
    work = field.run().work
    assert DETECTION | fits_of(10, LARGE) | renders_of(10, LARGE) | draws_of(10, LARGE) | behind_models() <= work
    assert field.run().work == set()
    after = field.table("catalogue.fits")
    assert after["id"].tolist() == [*range(1, 13), LARGE]
    assert abs(after[f"flux_{BLURRED}"][-1]) < 5 * after[f"err_{BLURRED}"][-1]

    # Regions edit the segmentation of the user as they do the program's.
    eighth = SMALL.galaxies[7]
    (field / "det_manual.reg").write_text(f"image\ncircle({eighth.x + 16:.2f},{eighth.y + 1:.2f},3)\n")
    field.redo({"edit all", "groups all"} | fits_of(8) | renders_of(8, LARGE + 1) | draws_of(8) | behind_models())
    assert field.table("det_cat.fits")["id"].tolist()[-2:] == [LARGE, LARGE + 1]


def test_a_catalogue_of_positions_with_ids_of_its_own(field: Field) -> None:
    before = field.table("catalogue.fits")
    place = empty_place()
    y, x = np.array([*((source.y, source.x) for source in SMALL.galaxies), place, (-50.0, 10.0)]).T
    ra, dec = pixel_to_sky(wcs_of(SHARP), y, x)
    # the faintest galaxy has the lowest ID
    ids = [*(1000 - 37 * i for i in range(12)), 4, 2]
    Table([ids, ra, dec], names=("NUMBER", "ALPHA_J2000", "DELTA_J2000")).write(field / "mine.ecsv")
    field.edit_config(lambda c: c["detection"].update(catalogue="mine.ecsv"))
    # the same positions 0.3" farther west and 0.2" farther north, as those to compare with
    west = 0.3 / 3600.0 / np.cos(np.deg2rad(dec))
    Table([ra - west, dec + 0.2 / 3600.0], names=("ra", "dec")).write(field / "gaia.csv")
    field.edit_config(lambda c: c.update(reference_positions="gaia.csv"))
    field.run()
    compared = read_json(field / "results/reference_positions.json")
    assert compared["offset_arcsec"] == pytest.approx([0.3, -0.2], abs=0.01) and compared["used"] >= 10
    assert "Nothing was moved" in (field / "results/logs/compare_positions.log").read_text()
    assert "because outside the detection images: ID 2." in (field / "results/logs/detect_sources.log").read_text()
    after = field.table("catalogue.fits")
    assert after["id"].tolist() == sorted(set(ids) - {2})
    row = {int(i): k for k, i in enumerate(after["id"])}
    order = [row[i] for i in ids[:12]]
    for band in BANDS:
        flux, error = after[f"flux_{band}"][order], before[f"err_{band}"]
        # The segments of the pair are parted elsewhere; their fits see the same pixels.
        assert flux == pytest.approx(before[f"flux_{band}"], abs=0.3 * error.max())
        assert abs(after[f"flux_{band}"][row[4]]) < 5 * after[f"err_{band}"][row[4]]
    # a group is named after its brightest member
    assert sorted(field.groups()["1000"]["members"]) == [963, 1000]
    field.redo(set())

    # Without one source, which stands alone, its fit is not needed. Others around it may be repeated: the sky around
    # them is measured off the segments.
    keep = [i for i in range(14) if ids[i] != ids[9]]
    kept = Table([np.array(ids)[keep], ra[keep], dec[keep]], names=("id", "ra", "dec"))
    kept.write(field / "mine.ecsv", overwrite=True)
    assert DETECTION | behind_models() <= field.run().work
    assert field.run().work == set()
    assert ids[9] not in field.table("catalogue.fits")["id"]


def test_rows_one_by_one_give_the_same_segments(field: Field) -> None:
    """Of a map and of a catalogue: the same program, with strips of one row of the image."""
    shutil.copy(field / "results/det_seg.fits", field / "own.fits")
    y, x = np.array([(source.y, source.x) for source in SMALL.galaxies]).T
    ra, dec = pixel_to_sky(wcs_of(SHARP), y, x)
    Table([np.arange(12) * 150_000_000 + 5, ra, dec], names=("id", "ra", "dec")).write(field / "mine.csv")
    row_by_row = field.with_own_program()
    row_by_row.edit_code("unblend/core/strips.py", "STRIP_PIXELS = 1_000_000", "STRIP_PIXELS = 1")
    for own in ({"segmentation": "own.fits"}, {"segmentation": None, "catalogue": "mine.csv"}):
        field.edit_config(lambda c, own=own: c["detection"].update(own))
        products = []
        for program in (field, row_by_row):
            assert "detect all" in program.run("results/det_auto_cat.fits").work
            found = sorted((field / "results").glob("det_*.fits"))
            products.append({path.name: path.read_bytes() for path in found})
        assert products[0] == products[1] and "det_snr.fits" in products[0]
