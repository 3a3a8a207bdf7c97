"""The tiles of a band as bands of their own, and what their jobs depend on."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from astropy.io import fits
from planned_jobs import RAW, jobs_of
from unblend.core.types import Box
from unblend.plan.resources import Requests
from unblend.plan.tiles import BandTile

SIDE = 400
"""Pixels of 0.072 arcsec: 28.8 arcsec."""


@pytest.fixture
def large(field):
    """Write images of 400 pixels a side for two bands; return a function that plans the field with edits."""
    header = fits.getheader("data/a.fits")
    for name in ("a", "b"):
        fits.writeto(f"data/{name}.fits", np.zeros((SIDE, SIDE), dtype="f4"), header, overwrite=True)

    def planned(**edits):
        raw = copy.deepcopy(RAW)
        raw["tiles"] = {"size": 15.0, "margin": 2.0}
        raw["bands"]["f160w"] |= edits.pop("f160w", {})
        return jobs_of(raw | edits)

    return planned


def spec(jobs, rule, band):
    with open(jobs.spec(rule, band=band)) as file:
        return json.load(file)


def test_a_large_band_has_tiles_and_a_small_one_has_none(large):
    bands = large().bands
    assert list(bands.of("f160w")) == [f"f160w/tiles/{row}_{column}" for row in (0, 1) for column in (0, 1)]
    assert bands.measured("k") == ["k"] and bands.of("k") == {}
    tile = bands["f160w/tiles/1_0"]
    assert isinstance(tile, BandTile) and tile.whole is bands["f160w"]
    # a margin of 2 arcsec is 28 pixels
    assert tile.tile.core == Box(200, 0, 400, 200) and tile.tile.window == Box(172, 0, 400, 228)
    assert list(bands) == list(RAW["bands"])


@pytest.mark.parametrize("size", [40.0, "auto"])
def test_one_tile_is_the_band_itself(large, size):
    assert large(tiles={"size": size}).bands.measured("f160w") == ["f160w"]


@pytest.mark.parametrize(
    "edit", [{"background": {"order": 2}}, {"image": None, "mosaic": "b.fits", "cutout_size": 25.0}]
)
def test_bands_without_tiles(large, edit):
    assert large(f160w=edit).bands.of("f160w") == {}


def test_a_wide_moving_background_widens_the_margin(large):
    tile = large(f160w={"background": {"box": 3.0}}).bands["f160w/tiles/0_0"].tile
    assert tile.window.y1 - tile.core.y1 == np.ceil(3.0 / 0.072)


def test_the_image_of_a_tile_is_cut_out_of_that_of_its_band(large):
    jobs = large()
    cut = spec(jobs, "cut_mosaic", "f160w/tiles/0_1")
    assert cut["image"]["file"] == "data/b.fits" and cut["window"] == [0, 172, 228, 400]
    templates = spec(jobs, "make_templates", "f160w/tiles/0_1")
    assert templates["image"]["file"] == "results/bands/f160w/tiles/0_1/cutout.fits"
    assert templates["tile"] == {"band": "f160w", "origin": [0, 172], "core": [0, 28, 200, 228]}


def test_the_weight_map_of_a_tile_is_named_after_that_of_its_band(large):
    jobs = large(f160w={"weight": "b.fits"})
    weight = spec(jobs, "mask_band", "f160w/tiles/0_1")["weight"]
    assert weight["file"] == "results/bands/f160w/tiles/0_1/cutout-weight.fits" and weight["whole"] == "data/b.fits"
    assert spec(jobs, "cut_mosaic", "f160w/tiles/0_1")["weight"]["file"] == "data/b.fits"


def test_only_the_tiles_that_a_region_touches_depend_on_it(large):
    def masks():
        jobs = large()
        return {name: spec(jobs, "mask_band", name) for name in jobs.bands.of("f160w")}

    before = masks()
    with open("data/b-bad.reg", "w") as file:
        file.write("image\ncircle(390,390,3)\n")
    after = masks()
    assert [name for name in before if before[name] != after[name]] == ["f160w/tiles/1_1"]


def test_a_tile_reads_the_region_files_of_its_band(large):
    jobs = large()
    tile, whole = (spec(jobs, "mask_band", name) for name in ("f160w/tiles/0_0", "f160w"))
    assert [tile[f"{kind}_regions"]["file"] for kind in ("border", "bad")] == [
        whole[f"{kind}_regions"]["file"] for kind in ("border", "bad")
    ]


def test_a_tile_is_not_searched_for_a_shift_of_its_own(large):
    jobs = large(f160w={"astrometry": {"radius": 1.0}})
    assert spec(jobs, "measure_shift", "f160w")["astrometry"]["radius"] == 1.0
    assert spec(jobs, "measure_shift", "f160w/tiles/0_0")["astrometry"] is None


def test_a_tile_asks_for_the_memory_of_its_pixels(large):
    requests = Requests(large())
    whole, tile = (requests._megapixels(name)["band"] for name in ("f160w", "f160w/tiles/0_0"))
    assert whole == pytest.approx(0.16) and tile == pytest.approx(228**2 * 1e-6)


def test_the_band_lists_its_tiles(large):
    tiles = spec(large(), "join_tiles", "f160w")["tiles"]
    assert tiles["1_1"] == {"core": [200, 200, 400, 400], "window": [172, 172, 400, 400]}


def test_circles_are_placed_in_every_tile_where_the_user_gives_none(large):
    assert spec(large(), "run_monte_carlo", "f160w/tiles/0_0")["sim_regions"] is None
    with open("data/b-sim.reg", "w") as file:
        file.write("image\ncircle(20,20,3)\ncircle(390,390,3)\n")
    found = spec(large(), "run_monte_carlo", "f160w/tiles/0_0")["sim_regions"]
    assert found["file"] == "data/b-sim.reg"
