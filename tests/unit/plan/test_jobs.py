"""Which job specs change when a user touches what: the table of docs/incremental.md."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path

import pytest
from astropy.io import fits
from planned_jobs import (
    BANDS,
    GROUPS,
    PER_BAND,
    PER_BATCH,
    RAW,
    SHAPE,
    changed,
    jobs_of,
    of_band,
    specs,
    write_fits,
)
from unblend.io.files import read_json, write_json
from unblend.plan.jobs import SETTINGS

# without a moving background its product is zero: its pixel grid counts, not its pixels
IMAGE_STAGES = ("mask_band", "measure_shift", "extract_fluxes", "run_monte_carlo", "inspect_band")


def test_nothing_changes_by_itself(field):
    specs()
    assert changed() == set()


def test_a_touched_file_changes_nothing(field):
    specs()
    for path in (field / "data").glob("*.fits"):
        os.utime(path, (1, 1))
    shutil.copytree(field / "data", field / "copy")
    shutil.rmtree(field / "data")
    (field / "copy").rename(field / "data")
    assert changed() == set()


def test_new_pixels_of_a_band(field):
    specs()
    write_fits(field / "data" / "k_im.fits", 77)
    # templates and PSF depend on the pixel grid, not on the pixels
    assert changed() == of_band("k", *IMAGE_STAGES)


def test_new_pixels_of_a_detection_image(field):
    specs()
    write_fits(field / "data" / "b.fits", 77)
    assert changed() == of_band("f160w", *IMAGE_STAGES) | {"detect_sources", "edit_segments"}
    write_fits(field / "data" / "a.fits", 78)
    assert changed() == of_band("f125w", *IMAGE_STAGES) | {"detect_sources"}


def test_a_new_grid_of_a_band(field):
    specs()
    with fits.open(field / "data" / "k_im.fits", mode="update") as hdus:
        hdus[0].header["CRVAL1"] = 53.1
    assert changed() == of_band("k", *PER_BAND)


def test_a_new_psf(field):
    specs()
    write_fits(field / "data" / "kpsf.fits", 3.5)
    assert changed() == of_band("k", "prepare_psf")
    write_fits(field / "data" / "psf.fits", 4.5)
    fitted = {"prepare_fit_psf", "detect_sources"}  # the detection looks for unresolved pairs
    assert changed() == of_band("f125w", "prepare_psf") | of_band("f160w", "prepare_psf") | fitted
    raw = copy.deepcopy(RAW)
    raw["detection"]["second_pass"] = "off"
    specs(raw)
    write_fits(field / "data" / "psf.fits", 5.5)
    assert "detect_sources" not in changed(raw)


def test_polygons_of_a_psf(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"]["psf"] = {"file": "kpsf.fits", "polygons": "map.reg"}
    (field / "data" / "map.reg").write_text("fk5\npolygon(53,-27,53.1,-27,53.1,-27.1) # text={1}\n")
    specs()
    assert changed(raw) == of_band("k", "prepare_psf")
    (field / "data" / "map.reg").write_text("fk5\npolygon(53,-27,53.1,-27,53.1,-27.1) # text={1} color=red\n")
    assert changed(raw) == set()
    (field / "data" / "map.reg").write_text("fk5\npolygon(53,-27,53.1,-27,53.1,-27.2) # text={1}\n")
    assert changed(raw) == of_band("k", "prepare_psf")
    raw["bands"]["k"]["psf"]["polygons"] = "map.geojson"
    (field / "data" / "map.geojson").write_text("{}")
    assert changed(raw) == of_band("k", "prepare_psf")
    (field / "data" / "map.geojson").write_text("{} ")
    assert changed(raw) == of_band("k", "prepare_psf")


def test_a_psf_built_from_stars(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"]["psf"] = {"stars": "stars.csv"}
    (field / "data" / "stars.csv").write_text("ra,dec\n53,-27.8\n")
    specs(raw)
    (field / "data" / "stars.csv").write_text("ra,dec\n53,-27.9\n")
    assert changed(raw) == of_band("k", "prepare_psf")
    write_fits(field / "data" / "k_im.fits", 77)
    assert changed(raw) == of_band("k", *IMAGE_STAGES, "prepare_psf")
    (field / "data" / "k-bad.reg").write_text("image\ncircle(3,3,1)\n")
    assert "prepare_psf/k" in changed(raw)
    raw["bands"]["k"]["saturation"] = 900.0
    assert changed(raw) == of_band("k", "mask_band", "prepare_psf")
    raw["bands"]["k"]["psf"]["size"] = 3.0
    assert changed(raw) == of_band("k", "prepare_psf")
    (field / "results/bands/k").mkdir(parents=True, exist_ok=True)
    (field / "results/bands/k/psf_stars.fits").touch()
    assert changed(raw) == of_band("k", "prepare_psf")  # its figure was deleted


def test_the_fits_depend_on_the_stars_of_their_psf(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["f160w"]["psf"] = {"stars": "auto"}
    specs(raw)
    raw["bands"]["f160w"]["psf"]["oversampling"] = 2
    assert changed(raw) == {"prepare_psf/f160w", "prepare_fit_psf", "detect_sources"}


def test_a_new_weight_map(field):
    specs()
    write_fits(field / "data" / "k_w.fits", 5.5)
    assert changed() == of_band("k", *IMAGE_STAGES)


@pytest.mark.parametrize(
    ("band", "jobs"), [("f125w", {"detect_sources"}), ("f160w", {"detect_sources", "edit_segments"})]
)
def test_the_weight_map_of_a_detection_band(field, band, jobs):
    """It reaches the detection; that of the band of the fluxes, their errors too."""
    specs()
    raw = copy.deepcopy(RAW)
    raw["bands"][band]["weight"] = {"file": "w.fits", "kind": "rms"}
    write_fits(field / "data" / "w.fits", 7)
    assert changed(raw) == of_band(band, *IMAGE_STAGES) | jobs
    write_fits(field / "data" / "w.fits", 8)
    assert changed(raw) == of_band(band, *IMAGE_STAGES) | jobs
    raw["bands"][band]["weight"]["kind"] = "variance"
    assert changed(raw) == of_band(band, *IMAGE_STAGES) | jobs
    os.utime(field / "data" / "w.fits", (1, 1))
    assert changed(raw) == set()


def test_the_weight_map_of_a_mosaic_is_cut_before_the_detection(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["f160w"] = {"mosaic": "b.fits", "weight": "w.fits", "psf": "psf.fits", "cutout_size": 1.0}
    write_fits(field / "data" / "w.fits", 7)
    before = {name: json.loads(text) for name, (text, _) in specs(raw).items()}
    cut = {"file": "results/bands/f160w/cutout-weight.fits", "kind": "weight"}
    assert before["detect_sources"]["weights"] == {"f160w": cut}
    assert before["edit_segments"]["flux_weight"] == cut
    write_fits(field / "data" / "w.fits", 8)
    assert {"detect_sources", "edit_segments"} < changed(raw)


@pytest.mark.parametrize("key", ["segmentation", "catalogue"])
def test_a_detection_of_one_s_own(field, key):
    """It is judged by its content; giving it also changes the order in which groups are formed."""
    specs()
    raw = copy.deepcopy(RAW)
    raw["detection"][key] = "own.fits[SEG]"
    path = field / "data" / "own.fits"
    path.write_text("one")
    assert changed(raw) == {"detect_sources", "group_sources"}
    path.write_text("two")
    assert changed(raw) == {"detect_sources"}
    os.utime(path, (1, 1))
    assert changed(raw) == set()
    # the smallest segments around positions are as wide as the PSF
    write_fits(field / "data" / "psf.fits", 4.5)
    with_psf = {"detect_sources"} if key == "catalogue" else set()
    prepared = of_band("f125w", "prepare_psf") | of_band("f160w", "prepare_psf") | {"prepare_fit_psf"}
    assert changed(raw) == prepared | with_psf
    assert changed() == {"detect_sources", "group_sources"}


CIRCLE = 'fk5;circle(53.0,-27.8,{}")\n'


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("k-bad.reg", {"mask_band/k"}),
        ("k_im-bad.reg", {"mask_band/k"}),
        ("k-mask-border.reg", {"mask_band/k"}),
        ("mask_border.reg", {f"mask_band/{band}" for band in BANDS}),
        ("k-sim.reg", {"run_monte_carlo/k"}),
        ("k_im-sim.reg", {"run_monte_carlo/k"}),
        ("det_manual.reg", {"edit_segments"}),
        ("merged_segments.reg", {"edit_segments"}),
        ("det_stack-bad.reg", {"group_sources"}),
        ("a-bad.reg", {"mask_band/f125w", "detect_sources"}),
        ("b-bad.reg", {"mask_band/f160w", "detect_sources", "edit_segments"}),
        ("mask_all.reg", set()),
        ("unknown.reg", set()),
    ],
)
def test_region_files(field, name, jobs):
    specs()
    (field / "data" / name).write_text(CIRCLE.format(1))
    assert changed() == jobs
    (field / "data" / name).write_text("# a remark\n" + CIRCLE.format(1).replace("\n", " # color=red\n"))
    assert changed() == set()
    (field / "data" / name).write_text(CIRCLE.format(2))
    assert changed() == jobs
    (field / "data" / name).unlink()
    assert changed() == jobs


def test_an_empty_region_file_is_the_same_as_none(field):
    specs()
    (field / "data" / "det_manual.reg").write_text("# Region file format: DS9 version 4.1\n")
    assert changed() == set()


def test_mask_all_counts_where_there_is_a_background(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"]["background"] = {}
    specs(raw)
    (field / "data" / "mask_all.reg").write_text(CIRCLE.format(1))
    assert changed(raw) == {"subtract_background/k"}


SOLUTION = ("measure_shift", "extract_fluxes", "run_monte_carlo")


@pytest.mark.parametrize(
    ("key", "value", "jobs"),
    [
        ("bands/k/zero_point", 26.0, {"write_catalogue"}),
        ("bands/k/filter", "205", {"write_catalogue"}),
        ("bands/k/sed_filters", {"eazy": 205}, {"write_catalogue"}),
        ("catalogue/error_floor", 0.05, {"write_catalogue"}),
        ("catalogue/upper_limit", 2.0, {"write_catalogue"}),
        ("extinction", {"map": "dust.fits"}, {"write_catalogue"}),
        ("bands/k/rms", 0.5, of_band("k", *SOLUTION)),
        ("bands/k/shift", [0.1, 0.0], of_band("k", *SOLUTION, "make_templates")),
        ("bands/k/band_only_sources", "off", {"extract_fluxes/k"}),
        ("bands/k/band_only_sources", "auto", set()),
        ("bands/f160w/band_only_sources", "off", set()),  # the detection uses it
        ("bands/k/astrometry", {"radius": 2.0}, {"measure_shift/k"}),
        ("bands/k/background", {"box": 5.0}, {"subtract_background/k"}),
        ("bands/k/background", {"order": 2}, of_band("k", *SOLUTION)),
        ("bands/k/background", {"order": 0}, set()),
        ("bands/k/psf_oversampling", 2.0, {"prepare_psf/k"}),
        ("bands/k/saturation", 900.0, {"mask_band/k"}),
        ("bands/f160w/saturation", 900.0, {"mask_band/f160w", "detect_sources", "edit_segments"}),
        ("bands/f160w/psf_sum", "given", {"prepare_psf/f160w"}),
        ("bands/k/psf_error", 0.02, {"extract_fluxes/k"}),
        ("bands/f160w/psf_centre", "given", {"prepare_psf/f160w", "prepare_fit_psf", "detect_sources"}),
        ("bands/f160w/psf_kind", "optical", {"prepare_psf/f160w", "prepare_fit_psf", "detect_sources"}),
        ("detection/threshold", 2.0, {"detect_sources"}),
        ("detection/manual_regions", "mine.reg", {"edit_segments"}),
        ("models/refine", "none", {"fit_second_pass/1", "fit_second_pass/2", "fit_second_pass/5", "collect_models"}),
        ("models/oversampling", 3, {"fit_second_pass/1", "fit_second_pass/2", "fit_second_pass/5", "collect_models"}),
        ("target/ra", 53.001, {*of_band("f125w", "inspect_band"), *of_band("f160w", "inspect_band"),
                               *of_band("k", "inspect_band"), "write_report"}),
    ],
)  # fmt: skip
def test_settings(field, key, value, jobs):
    specs()
    raw = copy.deepcopy(RAW)
    *path, last = key.split("/")
    place = raw
    for part in path:
        place = place.setdefault(part, {})
    place[last] = value
    assert changed(raw) == jobs


def test_a_new_band_is_new_work_for_that_band_alone(field):
    specs()
    raw = copy.deepcopy(RAW)
    raw["bands"]["irac"] = {"image": "k_im.fits", "psf": "kpsf.fits"}
    before = {
        name: (Path("results/specs") / f"{name}/spec.json").read_text()
        for name in ("extract_fluxes/k", "detect_sources")
    }
    after = specs(raw)
    assert all(after[name][0] == text for name, text in before.items())
    assert "extract_fluxes/irac" in after


def test_the_time_limit_starts_the_jobs_of_fits_and_is_part_of_no_key(field):
    """The jobs find the fits that ran into a lower limit, which record it."""
    before = specs()
    raw = copy.deepcopy(RAW)
    raw["models"]["timeout"] = 900
    assert changed(raw) == {f"{rule}/{group}" for rule in PER_BATCH for group in GROUPS}
    after = specs(raw)
    for name in (f"{rule}/{group}" for rule in PER_BATCH for group in GROUPS):
        old, new = (json.loads(found[name][0]) for found in (before, after))
        assert (old.pop("timeout_s"), new.pop("timeout_s")) == (600.0, 900.0)
        assert old == new


FITS_OF_1 = {"fit_first_pass/1", "fit_second_pass/1"}
NEIGHBOUR_2 = {"fit_second_pass/2"}


def test_an_override_reaches_its_group_and_the_second_pass_of_its_neighbours(field):
    specs()
    (field / "data" / "overrides" / "3.dat").write_text("n 4 fixed\n")
    assert changed() == FITS_OF_1 | NEIGHBOUR_2 | {"collect_models"}
    (field / "data" / "overrides" / "3.dat").unlink()
    assert changed() == FITS_OF_1 | NEIGHBOUR_2 | {"collect_models"}
    (field / "data" / "overrides" / "5.dat").write_text("n 4 fixed\n")
    assert changed() == {"fit_first_pass/5", "fit_second_pass/5", "collect_models"}
    (field / "data" / "overrides" / "99.dat").write_text("n 4 fixed\n")
    assert changed() == set()


def test_only_what_an_override_says_of_groups_runs_the_grouping_again(field):
    path = field / "data/overrides/3.dat"
    path.write_text("n 4\n")
    specs()
    path.write_text("n 4\nGROUP alone\n")
    assert "group_sources" in changed()
    path.write_text("n 3 fixed\nGROUP alone # a comment\n")
    assert "group_sources" not in changed() and read_json("results/specs/group_sources/spec.json")["requested"][
        "alone"
    ] == [3]
    path.write_text("GROUP with 5\n")
    assert "group_sources" in changed()
    path.unlink()
    assert "group_sources" in changed()
    assert read_json("results/specs/group_sources/spec.json")["requested"] == {"alone": [], "together": []}


def test_a_custom_model(field):
    specs()
    write_fits(field / "data" / "custom_models" / "2.fits", 1)
    of_fits = {"fit_first_pass/2", "fit_second_pass/2", "fit_second_pass/1", "collect_models"}
    assert changed() == of_fits | {"subtract_models"}
    # its flux in the residual comes from the pixels of its group
    groups = copy.deepcopy(GROUPS)
    groups["2"]["digest"] = "other"
    write_json("results/imfit/groups.json", {"psf": "p", "grid": "g", "shape": SHAPE, "groups": groups})
    assert changed() == of_fits | {"subtract_models"}


def test_a_group_whose_pixels_changed(field):
    specs()
    groups = copy.deepcopy(GROUPS)
    groups["2"]["digest"] = "other"
    write_json("results/imfit/groups.json", {"psf": "p", "grid": "g", "shape": SHAPE, "groups": groups})
    assert changed() == {"fit_first_pass/2", "fit_second_pass/2", "fit_second_pass/1", "collect_models"}


def test_the_answer_does_not_depend_on_how_work_is_cut(field):
    def keys(batch_size):
        raw = copy.deepcopy(RAW)
        raw["models"]["batch_size"] = batch_size
        jobs = jobs_of(raw)
        found = {}
        for batch in jobs.fits.batches:
            for rule in PER_BATCH:
                groups = SETTINGS[rule](jobs, batch=batch)["groups"]
                found |= {(rule, group): content["key"] for group, content in groups.items()}
        return found, SETTINGS["collect_models"](jobs)

    assert keys(1) == keys("auto") == keys(100)


def test_second_pass_waits_for_the_batches_of_its_neighbours(field):
    fits = jobs_of(RAW).fits
    assert fits.neighbouring_batches("1") == ["1", "2"] and fits.neighbouring_batches("5") == ["5"]


def test_specs_are_plain_json_with_the_code(field):
    for text, _ in specs().values():
        assert len(json.loads(text)["code"]) == 16


# Files with special names -------------------------------------------------------------------------------------------


def test_the_band_s_own_region_file_goes_first(field):
    jobs = jobs_of(RAW)
    band = jobs.config.bands["k"]
    assert jobs.inputs.bad_regions(band) == "k_im-bad.reg" and jobs.inputs.border_regions(band) == "mask_border.reg"
    assert jobs.inputs.sim_regions(band) is None
    for name in ("k-bad.reg", "k-mask-border.reg", "k_im-sim.reg"):
        (field / "data" / name).write_text("")
    assert jobs.inputs.bad_regions(band) == "k-bad.reg" and jobs.inputs.border_regions(band) == "k-mask-border.reg"
    assert jobs.inputs.sim_regions(band) == "k_im-sim.reg"


def test_a_name_in_the_config_is_obeyed(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"] |= {"bad_regions": "x.reg", "border_regions": "mask_border_more.reg", "sim_regions": "y.reg"}
    jobs = jobs_of(raw)
    band = jobs.config.bands["k"]
    (field / "data" / "k-bad.reg").write_text("")
    found = (jobs.inputs.bad_regions(band), jobs.inputs.border_regions(band), jobs.inputs.sim_regions(band))
    assert found == ("x.reg", "mask_border_more.reg", "y.reg")


def test_mosaics_become_cutouts(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"] |= {"image": None, "mosaic": "https://x.org/big.fits[SCI]", "cutout_size": 30.0}
    jobs = jobs_of(raw)
    band = jobs.config.bands["k"]
    assert jobs.inputs.image(band) == "results/bands/k/cutout.fits"
    assert jobs.inputs.weight(band) == {"file": "results/bands/k/cutout-weight.fits", "kind": "weight"}
    spec = SETTINGS["cut_mosaic"](jobs, "k")
    assert spec["mosaic"]["file"] == "https://x.org/big.fits[SCI]" and spec["size_arcsec"] == 30.0
    before = SETTINGS["extract_fluxes"](jobs, "k")["image"]["digest"]
    raw["bands"]["k"]["cutout_size"] = 31.0
    assert SETTINGS["extract_fluxes"](jobs_of(raw), "k")["image"]["digest"] != before


def test_a_zero_point_of_the_header_follows_the_header_and_not_the_pixels(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"]["zero_point"] = "auto"
    specs(raw)
    settings = json.loads(specs(raw)["write_catalogue"][0])["bands"]["k"]
    assert settings["zero_point_ab"] == "auto" and settings["image"]["file"].endswith("k_im.fits")
    raw["bands"]["k"]["wavelength"] = 2.15
    assert "write_catalogue" in changed(raw)
