"""A large page beside the page of one file, from the products of one field: all numbers and pixels are the same."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from field_products import COARSE, TARGET
from matplotlib.image import imread
from unblend.core.types import Box
from unblend.io.tables import read_table, write_table
from unblend.report import survey, survey_images
from unblend.report.page_folder import PageFolder
from unblend.report.survey import best_offsets, worst_fits, write_survey
from unblend.report.survey_images import band_source, stack_source, strips


@pytest.fixture(scope="module")
def large(made, tmp_path_factory):
    """Return the content of the large page, its pictures, and a function that reads a file of it."""
    folder, field, _, _, _ = made
    to = tmp_path_factory.mktemp("files")
    content, pictures = write_survey(field.spec, folder / "results", PageFolder(to))

    def read(name):
        text = (to / content["files"]["folder"] / f"{name}.js").read_text()
        return json.loads(text.removeprefix("chunk(").removesuffix(");\n").partition(",")[2])

    return content, pictures, read


def pixels(content):
    return np.rint(imread(io.BytesIO(content)) * 255)


def test_the_page_opens_with_what_the_page_of_one_file_says(made, large):
    _, _, small, _, _ = made
    content, _, _ = large
    for name in ("coding", "target", "position", "flags", "fit_problems", "colour", "warnings", "times"):
        assert content[name] == small[name], name
    assert content["files"]["number"] == 6 and content["files"]["problems"] == 1 and content["files"]["warnings"] == 0
    for band, same in zip(content["bands"], small["bands"], strict=True):
        assert band["columns"] == {} and band.pop("levels") == 1
        for name in ("sigma", "high", "jacobian", "scale", "width", "height", "corner", "depth", "noise", "psf"):
            assert band[name] == same[name], name
        for name in ("above", "known", "own_number", "simulated", "wavelength"):
            assert band[name] == same[name], name


def test_a_card_has_the_numbers_of_the_source_in_all_bands(made, large):
    _, _, small, _, _ = made
    _, _, read = large
    card = read("cards/0")
    assert card["first"] == 0 and card["source"] == small["sources"]
    assert (card["panels"][0]["y"], card["panels"][0]["x"]) == (small["stack"]["y"], small["stack"]["x"])
    for panel, band in zip(card["panels"][1:], small["bands"], strict=True):
        assert {name: panel[name] for name in band["columns"]} == band["columns"]
        assert (panel["y"], panel["x"], panel["tile"]) == (band["y"], band["x"], band["tiles"])


def test_cards_are_divided_among_files(made, tmp_path, monkeypatch):
    folder, field, small, _, _ = made
    monkeypatch.setattr("unblend.report.survey_cards.CARDS", 4)
    monkeypatch.setattr(survey, "CARDS", 4)
    content, _ = write_survey(field.spec, folder / "results", PageFolder(tmp_path))
    assert content["files"]["cards"] == 4
    texts = [path.read_text() for path in sorted((tmp_path / content["files"]["folder"] / "cards").iterdir())]
    cards = [json.loads(text.removeprefix("chunk(").removesuffix(");\n").partition(",")[2]) for text in texts]
    assert [(card["first"], card["source"]["id"]) for card in cards] == [(0, [1, 2, 3, 4]), (4, [5, 6])]
    tiles = [tile for card in cards for tile in card["panels"][2]["tile"]]
    assert tiles == small["bands"][1]["tiles"]


def test_columns_are_the_numbers_of_the_table(made, large):
    _, _, small, _, _ = made
    _, _, read = large

    def column(name):
        kind, text = read(f"columns/{name}")
        return np.frombuffer(base64.b64decode(text), dtype=f"<{kind}")

    assert column("id").tolist() == small["sources"]["id"] and column("id").dtype == np.int32
    np.testing.assert_array_equal(column("ra"), small["sources"]["ra"])
    np.testing.assert_array_equal(column("n"), np.array(small["sources"]["n"], dtype=np.float32))  # None is NaN
    coarse = small["bands"][3]
    np.testing.assert_array_equal(column(f"snr_{COARSE}"), np.array(coarse["columns"]["snr"], dtype=np.float32))
    flags = np.array([small["sources"]["flag"], *(band["columns"]["flag"] for band in small["bands"])])
    np.testing.assert_array_equal(column("flags"), np.bitwise_or.reduce(flags))
    assert column(f"x_band-{COARSE}") == pytest.approx(coarse["x"], abs=0.006)


def test_pixels_are_those_of_the_page_of_one_file(made, large):
    _, _, _, images, pictures = made
    _, large_pictures, read = large
    for name, kinds in (("stack", "stack"), (f"band-{COARSE}", f"band:{COARSE}")):
        image, residual, *edges = (base64.b64decode(text) for text in read(f"images/{name}/0/0-0"))
        assert image == images[f"{kinds}:image"] and residual == images[f"{kinds}:residual"]
        assert [pixels(one).tolist() for one in edges] == ([pixels(images["outlines"]).tolist()] if edges else [])
    assert large_pictures == pictures


def test_what_the_section_of_a_band_shows(made, large):
    _, _, small, _, _ = made
    content, _, read = large
    parts, coarse = read(f"bands/{COARSE}"), small["bands"][3]
    assert parts["circles"] == coarse["circles"] and parts["own"] == coarse["own"] and parts["stars"] == []
    assert parts["offsets"]["x"] == coarse["x"] and parts["offsets"]["number"] == 6
    # the first source has no flux, but an error
    assert parts["errors"]["id"] == [1, 2, 3, 4, 5, 6] and parts["errors"]["sim"] == coarse["columns"]["sim"]
    assert "offsets" not in content["bands"][3]["shift"]


def test_only_the_best_offsets_are_drawn(monkeypatch):
    monkeypatch.setattr(survey, "OFFSETS_SHOWN", 2)
    offsets = {"id": [7, 8, 9, 4], "err_dx": [0.3, 0.1, None, 0.2], "err_dy": [0.0] * 4, "dx": [1.0, 2.0, 3.0, 4.0]}
    found = best_offsets(offsets, np.array([4, 7, 9]), np.array([[40.0, 70.0, 90.0], [41.0, 71.0, 91.0]]))
    # source 8 is gone, source 9 has no error
    assert found == {"id": [4, 7], "err_dx": [0.2, 0.3], "err_dy": [0.0, 0.0], "dx": [4.0, 1.0], "y": [40.0, 70.0],
                     "x": [41.0, 71.0], "number": 4}  # fmt: skip
    assert best_offsets(None, np.array([4]), np.zeros((2, 1))) is None


def test_the_worst_fits_come_first_and_those_with_problems_are_all_there(made, large):
    content, _, _ = large
    assert [fit["id"] for fit in content["worst"]] == [6, 5, 4, 3, 2, 1]
    assert content["worst"][0]["chi2_red"] == 1.5 and content["worst"][0]["n"] is None


def test_a_long_list_of_worst_fits_ends(made, monkeypatch):
    folder, _, _, _, _ = made
    monkeypatch.setattr(survey, "WORST_FITS", 2)
    catalogue = survey.read_catalogue(folder / "results", ["green"])
    sources = survey.source_columns(folder / "results", catalogue, np.ones(6))
    assert [fit["id"] for fit in worst_fits(sources)] == [6, 5]


def test_warnings_beyond_a_number_are_in_a_file(made, tmp_path, monkeypatch):
    folder, field, small, _, _ = made
    monkeypatch.setattr(survey, "WARNINGS", 3)
    content, _ = write_survey(field.spec, folder / "results", PageFolder(tmp_path))
    text = (tmp_path / content["files"]["folder"] / "warnings.js").read_text()
    assert len(content["warnings"]) == 3 and content["files"]["warnings"] == 9
    assert json.loads(text.removeprefix('chunk("warnings",').removesuffix(");\n"))[0]["sentence"] == (
        small["warnings"][3]["sentence"])  # fmt: skip


def test_images_do_not_depend_on_the_strips_in_which_they_are_read(made, large, tmp_path, monkeypatch):
    folder, field, _, _, _ = made
    content, _, _ = large
    monkeypatch.setattr(survey_images, "STRIP_PIXELS", 500)
    again, _ = write_survey(field.spec, folder / "results", PageFolder(tmp_path))
    # the name of the folder is the digest of all files
    assert again["files"]["folder"] == content["files"]["folder"]


def test_strips_cover_a_box_with_even_numbers_of_rows(monkeypatch):
    monkeypatch.setattr(survey_images, "STRIP_PIXELS", 100)
    assert list(strips(Box(3, 2, 20, 18))) == [Box(3, 2, 9, 18), Box(9, 2, 15, 18), Box(15, 2, 20, 18)]
    monkeypatch.setattr(survey_images, "STRIP_PIXELS", 1)
    assert next(strips(Box(0, 0, 5, 900))) == Box(0, 0, 2, 900)


def test_the_parts_of_an_image_are_those_of_the_whole(made):
    folder, field, _, _, _ = made
    results = folder / "results"
    coarse, shifts = band_source(results, COARSE, field.spec["bands"][COARSE]["image"])
    assert shifts is not None and shifts.order == 1
    box = Box(2, 5, 11, 17)
    for source in (coarse, stack_source(results)):
        everything = source.read(Box.of_shape(source.shape))
        for part, image in zip(source.read(box), everything, strict=True):
            np.testing.assert_array_equal(part, image[box.slices])
    stack = stack_source(results)
    whole = stack.edges(Box.of_shape(stack.shape))
    rows = [stack.edges(Box(y, 0, y + 1, stack.shape[1])) for y in range(stack.shape[0])]
    np.testing.assert_array_equal(np.vstack(rows), whole)
    assert whole.any()


def test_the_detail_of_a_model_has_its_adopted_amplitude(made, tmp_path):
    folder, _, _, _, _ = made
    path = folder / "results/bands/green/fluxes.fits"
    fluxes = read_table(path)
    assert "detail_amplitude" not in fluxes.dtype.names
    catalogue = survey.read_catalogue(folder / "results", ["green"])
    image = type("Image", (), {"page": type("Page", (), {"positions": staticmethod(lambda ra, dec: (ra, dec))})})
    assert survey.band_sources(folder / "results", "green", catalogue, image).amplitude.tolist() == [1.0] * 6
    with_details = np.zeros(6, dtype=[*fluxes.dtype.descr, ("detail_amplitude", "f8")])
    for name in fluxes.dtype.names:
        with_details[name] = fluxes[name]
    with_details["detail_amplitude"] = np.arange(6)
    saved = path.read_bytes()
    try:
        write_table(path, with_details, name="FLUXES")
        found = survey.band_sources(folder / "results", "green", catalogue, image)
    finally:
        path.write_bytes(saved)
    assert found.amplitude.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] and TARGET in catalogue["id"]
