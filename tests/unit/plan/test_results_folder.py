from __future__ import annotations

from pathlib import Path

import pytest
from unblend.plan.results_folder import bad_results_folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/overrides").mkdir(parents=True)
    (tmp_path / "data/a.fits").touch()
    return [("bands.a.image", "data/a.fits")]


def said(results: str, inputs: list[tuple[str, str]]) -> list[str]:
    return list(bad_results_folder(Path(results), inputs, [Path("data"), Path("data/overrides"), Path("data/models")]))


@pytest.mark.parametrize("results", ["results", ".", "data/results", "new/deep", "data/models"])
def test_a_folder_of_its_own_is_accepted(data, results):
    assert said(results, data) == []


@pytest.mark.parametrize("results", ["data", "data/.", "data/../data", "data/overrides", "link"])
def test_a_folder_of_inputs_is_refused(data, results):
    Path("link").symlink_to("data")
    (sentence,) = said(results, data)
    assert sentence.startswith(f"results_dir: {Path(results)} is a folder of input files (data")


@pytest.mark.parametrize("results", ["data/a.fits", "data/a.fits/deep/er", "link"])
def test_a_file_is_refused(data, results):
    Path("link").symlink_to("nowhere")
    assert "is no folder; expected one for the products" in said(results, data)[0]


@pytest.mark.parametrize("name", ["bands/k/cutout.fits", "det_cat.fits", "catalogue.fits", "imfit/models/3.fits"])
def test_an_input_in_the_place_of_a_product_is_refused(data, name):
    (sentence,) = said("results", [*data, ("bands.a.weight", f"results/{name}")])
    assert sentence.startswith(f"bands.a.weight: results/{name} lies where this run writes its own products")


def test_an_input_beside_the_products_is_accepted(data):
    assert said("results", [*data, ("bands.a.weight", "results/mine/det_cat.fits")]) == []


def test_the_segments_of_the_run_before_are_accepted(data):
    assert said("results", [*data, ("detection.segmentation", "results/det_auto_seg.fits")]) == []
