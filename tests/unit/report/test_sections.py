from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from field_products import COARSE, SCALE, TARGET
from unblend.core.flags import Flag
from unblend.core.shift_field import ShiftField
from unblend.io.tables import read_table
from unblend.report.band_images import read_band_image
from unblend.report.sections import (
    card_sides,
    colour_choice,
    colour_scales,
    field_numbers,
    flag_list,
    psf_numbers,
    rows_in_order,
    shift_numbers,
    target_of,
    time_list,
    zero_point_of,
)


def test_flags_have_names_and_descriptions():
    listed = flag_list()
    assert len(listed) == len(Flag) and listed[0]["bit"] == 1 and listed[0]["name"] == "no_pixels"
    assert all(flag["sentence"].endswith(".") for flag in listed)


def test_rows_in_the_order_of_the_ids():
    table = np.array([(7,), (3,), (5,)], dtype=[("id", "i4")])
    assert rows_in_order(table, np.array([3, 5, 7])).tolist() == [1, 2, 0]


def test_the_side_of_a_card(made):
    folder, _, _, _, _ = made
    catalogue = read_table(folder / "results/catalogue.fits")
    # the FWHM of the sharp bands is 2.355 × 2.5 pixels of 0.06 arcsec; the smallest side is 5 arcsec
    assert card_sides(folder / "results", catalogue, SCALE, {"green": SCALE}) == pytest.approx(5.0)
    # six times the FWHM of a band with pixels three times as large
    sides = card_sides(folder / "results", catalogue, SCALE, {"green": 3 * SCALE})
    assert sides == pytest.approx(6 * 2.355 * 2.5 * 3 * SCALE, rel=1e-4)
    # five times the radius of a source of 80 pixels
    sides = card_sides(folder / "results", catalogue, 0.3, {"green": SCALE})
    assert sides == pytest.approx(5.0 * 0.3 * np.sqrt(80 / np.pi))


def test_a_shift_without_a_search():
    nothing = {"shift_arcsec": [0.0, 0.1], "message": "too few", "grid": None, "offsets": None}
    assert shift_numbers(nothing)["message"] == "too few" and shift_numbers(nothing)["common"] is None


def test_three_bands_on_the_grid_of_the_stack_make_the_colour_image():
    waves = {"a": 1.6, "b": 0.8, "c": 1.2, "d": 2.2}
    assert colour_choice(dict.fromkeys("abcd", True), waves) == ["b", "a", "d"]
    assert colour_choice(dict.fromkeys("abcd", True), {**waves, "a": None}) == ["a", "c", "d"]
    assert colour_choice({"a": True, "b": True, "c": False}, waves) == []


def test_the_target_is_read_from_the_products_of_the_bands(made):
    folder, _, _, _, _ = made
    assert target_of(folder / "results", ["green"]) == TARGET
    assert target_of(folder / "results", []) is None


def test_the_median_bright_source_is_white():
    fluxes = np.array([(100.0, 50.0, 200.0), (100.0, 50.0, 200.0), (0.0, 9.0, 1.0)],
                      dtype=[(f"flux_{b}", float) for b in "abc"])  # fmt: skip
    catalogue = np.zeros(3, dtype=[*fluxes.dtype.descr, *[(f"err_{b}", float) for b in "abc"]])
    for name in fluxes.dtype.names:
        catalogue[name], catalogue[name.replace("flux", "err")] = fluxes[name], 1.0
    assert colour_scales(catalogue, list("abc")) == [0.5, 1.0, 0.25]
    catalogue["flux_a"] = 0.0
    assert colour_scales(catalogue, list("abc")) == [1.0, 1.0, 1.0]


def test_times_are_summed_by_rule_without_bands_that_no_longer_exist(made):
    folder, _, _, _, _ = made
    assert time_list(folder / "results", ["green"]) == [
        {"rule": "extract_fluxes", "jobs": 1, "clock": 10.0, "processor": 2.0, "memory": 100},
        {"rule": "detect_sources", "jobs": 1, "clock": 3.5, "processor": 2.0, "memory": 100},
    ]
    assert time_list(folder, []) == []


def test_a_map_of_psfs_has_a_range_of_widths():
    header = {"FWHM": 3.2, "ORIGSUM": 0.97, "FWHMMIN": 3.1, "FWHMMAX": 3.6, "NPSFS": 26}
    assert psf_numbers(header) == {"fwhm": 3.2, "sum": 0.97, "range": [3.1, 3.6], "number": 26}
    assert psf_numbers({"FWHM": float("nan"), "ORIGSUM": 1.0}) == {"fwhm": None, "sum": 1.0}


def test_zero_points_of_the_catalogue():
    header = {"BAND1": "j", "BAND2": "k", "ZP2": 25.0, "ZPFR2": "BUNIT = 'nJy' ", "ZPFR1": ""}
    assert zero_point_of(header, "k") == {"value": 25.0, "source": "BUNIT = 'nJy'"}
    assert zero_point_of(header, "j") == {"value": None, "source": ""}
    assert zero_point_of({}, "k") == {"value": None, "source": ""}


def test_the_field_of_shifts_on_the_places_of_the_page(made):
    _, _, content, _, _ = made
    assert content["bands"][1]["shift"]["field"] is None
    drawn = content["bands"][3]["shift"]["field"]
    # 24 x 24 pixels of 0.3 arcsec, eight places along each side
    assert drawn["order"] == 1 and len(drawn["x"]) == 64
    assert drawn["x"][:2] == [1.0, 4.0] and drawn["y"][:2] == [1.0, 1.0] and drawn["y"][-1] == 22.0
    # 0.005 pixels times the coordinate from -1 at 0 to 1 at 30
    assert drawn["dy"][-1] == pytest.approx(0.3 * 0.005 * (22.0 / 15.0 - 1.0), rel=1e-3)
    assert drawn["dx"][0] == pytest.approx(0.3 * 0.005 * (1.0 / 15.0 - 1.0), rel=1e-3)
    offsets = content["bands"][3]["shift"]["offsets"]
    assert offsets["field_dx"] == [0.02] * 6 and "field_dx" not in content["bands"][1]["shift"]["offsets"]


def test_one_shift_for_the_whole_image_is_no_field(made):
    folder, field, _, _, _ = made
    image = read_band_image(folder / "results", COARSE, field.spec["bands"][COARSE]["image"], 8)
    assert field_numbers(image)["order"] == 1
    assert field_numbers(replace(image, shift_field=ShiftField.constant((0.1, 0.2)))) is None
