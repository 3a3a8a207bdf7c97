"""What a key of the configuration re-runs: only what depends on that key."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from harness import BANDS, CATALOGUE, IDS, Field, Work, behind_models, draws_of, fits_of, renders_of, stages
from smallfield import BLURRED, RMS, SHARP, SMALL, empty_place, psf
from unblend.core.flags import Flag

pytestmark = pytest.mark.integration


def solved(band: str) -> Work:
    """Return what a band's new fluxes lead to, with the shift measured anew."""
    return stages(band, "astrometry", "extract", "monte_carlo", "inspect") | CATALOGUE


Values = dict[str, Any]

# One after the other on the same folder: each entry is judged against the state that the one before has left. What a
# key of one band touches has that band's name in it, so that a key of the other band can change in the same run.
KEYS: list[tuple[Values, Values, Work]] = [
    ({"zero_point": 24.0}, {"filter": "F160W"}, CATALOGUE),
    ({"psf_error": 0.02}, {}, solved(BLURRED)),
    # the catalogue has the offsets
    ({"astrometry": {"references": [7], "step": 0.05, "max_shift": 0.1}}, {}, {f"astrometry {BLURRED}"} | CATALOGUE),
    ({"rms": RMS[BLURRED]}, {"shift": [0.01, 0.0]}, stages(SHARP, "templates") | solved(BLURRED) | solved(SHARP)),
    ({"background": {"box": 6.0, "statistic": "median"}}, {}, stages(BLURRED, "background") | solved(BLURRED)),
    ({"psf": "wider-psf.fits"}, {}, stages(BLURRED, "psf", "background", "templates") | solved(BLURRED)),
]  # fmt: skip


def set_keys(values: dict[str, Values]) -> Callable[[dict[str, Any]], None]:
    """Return the change of keys of bands."""

    def change(config: dict[str, Any]) -> None:
        for band, new in values.items():
            config["bands"][band].update(new)

    return change


def test_each_key_of_a_band_touches_what_depends_on_it(field: Field) -> None:
    sharper = psf(BLURRED) + 0.1 * np.roll(psf(BLURRED), 1, axis=0)
    fits.writeto(field / "wider-psf.fits", sharper.astype(np.float32))
    for blurred, sharp, expected in KEYS:
        field.edit_config(set_keys({BLURRED: blurred, SHARP: sharp}))
        work = field.run().work
        keys = [*blurred, *sharp]
        assert work == expected, f"{keys}: needlessly {sorted(work - expected)}, left out {sorted(expected - work)}"


def test_a_band_added_and_removed(field: Field) -> None:
    before = field.table("catalogue.fits")
    # the same image with a map of PSFs, which are all that of the other band
    one = fits.getdata(field / f"{BLURRED}-psf.fits")
    fits.writeto(field / "map.fits", np.stack([one, one]))
    (field / "map.reg").write_text(
        "image\npolygon(-99,-99,-99,999,12,999,12,-99) # text={1}\npolygon(12,-99,12,999,999,999,999,-99) # text={2}\n"
    )
    psf = {"file": "map.fits", "polygons": "map.reg"}
    field.edit_config(lambda c: c["bands"].update(third={**c["bands"][BLURRED], "psf": psf}))
    third = stages("third", "psf", "mask", "background", "templates", "astrometry", "extract", "monte_carlo", "inspect")
    field.redo(third | CATALOGUE)
    found = field.table("catalogue.fits")
    for name in ("flux", "err", "flag", "err_shape"):
        assert np.array_equal(found[f"{name}_third"], found[f"{name}_{BLURRED}"], equal_nan=True), name
    field.edit_config(lambda c: c["bands"].pop("third"))
    field.redo(CATALOGUE)
    assert field.table("catalogue.fits").tobytes() == before.tobytes()


def test_a_higher_time_limit_repeats_the_fits_that_ran_into_it(field: Field) -> None:
    """Group 7 stands alone; its fits are deleted and get too little time, then enough."""
    models, seventh = "results/imfit/models.json", fits_of(7) | renders_of(7) | {"models all"}
    before = (field / "results/catalogue.fits").read_bytes()
    for name in ("first.json", "fit.json"):
        (field / f"results/imfit/7/{name}").unlink()
    field.edit_config(lambda c: c["models"].update(timeout=0.01))
    field.redo(seventh, models)
    flags = Flag(int(field.table("imfit/sersic.fits")["flag"][6]))
    assert Flag.FIT_TIMED_OUT in flags and Flag.FIT_REPLACED in flags
    field.redo(set(), models)
    field.edit_config(lambda c: c["models"].update(timeout=600))
    # with the picture that was drawn of this very fit
    field.redo(seventh)
    assert (field / "results/catalogue.fits").read_bytes() == before


def test_the_error_floor_and_another_target_extract_nothing(field: Field) -> None:
    fourth = next(row for row in field.table("det_cat.fits") if row["id"] == 4)
    target = {"ra": float(fourth["ra"]), "dec": float(fourth["dec"])}
    field.edit_config(lambda c: c.update(target=target, catalogue={"error_floor": 0.05}))
    field.redo({f"inspect {band}" for band in BANDS} | CATALOGUE)
    assert fits.getval(field / f"results/bands/{BLURRED}/neighbours-removed.fits", "TARGET") == 4


def change_pixels(field: Field, name: str, y: int, x: int, by: float) -> None:
    """Add `by` to a pixel (0-based) of an image."""
    with fits.open(field / name, mode="update") as hdus:
        hdus[0].data[y, x] += by


def test_a_detection_image_changed_near_one_source(field: Field) -> None:
    tenth = SMALL.galaxies[9]
    change_pixels(field, f"{SHARP}.fits", round(tenth.y), round(tenth.x), 0.3)
    detection = {"detect all", "edit all", "groups all", f"mask {SHARP}"}
    field.redo(detection | fits_of(10) | renders_of(10) | draws_of(10) | behind_models())


def test_images_changed_where_no_source_is(field: Field) -> None:
    """Both of a band on which nothing depends, and of the detection band, whose stack it changes."""
    y, x = empty_place()
    change_pixels(field, f"{SHARP}.fits", round(y), round(x), 0.01)
    change_pixels(field, f"{BLURRED}.fits", 40, 50, 1.0)
    detection = {"detect all", "edit all", "groups all", "subtract all"}
    field.redo(detection | stages(SHARP, "mask") | solved(SHARP) | stages(BLURRED, "mask") | solved(BLURRED))


def test_the_sky_of_a_detection_image_corrected_moves_models_without_new_fits(field: Field) -> None:
    fits.setval(field / f"{SHARP}.fits", "CRVAL2", value=2.0 + 0.01 / 3600)
    detection = {"detect all", "edit all", f"fit_psf {SHARP}", "groups all"}
    # Pixels and the PSF on them are what they were: no fit is new, and no picture of one.
    field.redo(detection | stages(SHARP, "mask", "psf", "background") | renders_of(*IDS) | behind_models())


def test_every_input_touched(field: Field) -> None:
    for path in sorted(field.folder.rglob("*")):
        if path.is_file() and not {"results", ".snakemake"} & set(path.relative_to(field.folder).parts):
            os.utime(path)
    field.redo(set())


def test_an_input_copied_over_itself(field: Field) -> None:
    for band in BANDS:
        shutil.copyfile(field / f"{band}.fits", field / "copy.fits")
        os.replace(field / "copy.fits", field / f"{band}.fits")
    field.redo(set())
