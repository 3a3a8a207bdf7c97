"""The products of tiles as those of their band: mosaics, rows, regions, templates."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.core.flags import Flag
from unblend.core.tiles import tile_grid
from unblend.core.types import Box, Region, Template
from unblend.field.adopted_templates import TILES, StoredTemplates, adopted_templates
from unblend.field.band_only_sources import join_band_only, read_band_only
from unblend.field.tiled_band import TiledBand, joined_rows
from unblend.io.files import write_json
from unblend.io.images import read_array, read_labels, read_wcs, write_image
from unblend.io.regions import write_regions
from unblend.io.tables import columns, read_table, write_table
from unblend.io.template_store import write_templates

SHAPE = (90, 60)


def plane() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [30.5, 45.5]
    wcs.wcs.cd = 0.06 / 3600.0 * np.array([[-1.0, 0.0], [0.0, 1.0]])
    return wcs


@pytest.fixture
def band(tmp_path):
    """A band of two tiles, the lower and the upper half, with a margin of 10 pixels."""
    tiles = tile_grid(SHAPE, 60.0, 10)
    write_image(tmp_path / "image.fits", np.zeros(SHAPE), wcs=plane())
    places = {t.name: {"core": [*t.core.__dict__.values()], "window": [*t.window.__dict__.values()]} for t in tiles}
    spec = {"band": "h", "image": {"file": str(tmp_path / "image.fits")}, "tiles": places}
    found = TiledBand(spec, tmp_path)
    for tile in found.tiles:
        found.folder_of(tile).mkdir(parents=True)
    return found


def test_a_mosaic_has_every_pixel_from_the_tile_that_owns_it(band, monkeypatch):
    monkeypatch.setattr("unblend.field.tiled_band.ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(1)
    whole = rng.normal(size=SHAPE).astype("f4")
    for tile in band.tiles:
        window = whole[tile.window.slices].copy()
        # what a tile says of its margin does not count
        outside = np.ones(window.shape, dtype=bool)
        outside[tile.core.within(tile.window)] = False
        window[outside] = np.nan
        write_image(band.folder_of(tile) / "residual.fits", window)
        write_image(band.folder_of(tile) / "mask.fits", (window > 0).astype(np.uint8))
    band.write_mosaic("residual.fits", added=[1.0, -2.0], header={"BAND": "h"})
    expected = whole.astype(float)
    expected[:45] += 1.0
    expected[45:] -= 2.0
    np.testing.assert_allclose(read_array(str(band.folder / "residual.fits")), expected, rtol=1e-6)
    band.write_mosaic("mask.fits", of_labels=True)
    np.testing.assert_array_equal(read_labels(str(band.folder / "mask.fits")), whole > 0)
    found = read_wcs(str(band.folder / "residual.fits"))
    np.testing.assert_allclose(found.wcs.crpix, plane().wcs.crpix)


def test_positions_off_the_image_belong_to_the_nearest_tile(band):
    y, x = np.array([-50.0, 44.4, 44.5, 300.0, np.nan]), np.array([10.0, -5.0, 70.0, 10.0, 10.0])
    assert band.owner(y, x).tolist() == [0, 0, 1, 1, -1]


def test_rows_of_the_owners_and_unknown_ones():
    first = columns(id=np.array([1, 2]), flux=np.array([1.0, 2.0]), flag=np.array([0, 4]))
    second = columns(id=np.array([2, 3]), flux=np.array([20.0, 30.0]), flag=np.array([0, 0]))
    rows = joined_rows([first, second], np.array([0, 1, 1, 0, -1]), np.array([1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(rows["id"], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(rows["flux"], [1.0, 20.0, 30.0, np.nan, np.nan])
    assert rows["flag"].tolist() == [0, 0, 0, int(Flag.NO_PIXELS), int(Flag.NO_PIXELS)]


def test_columns_are_joined_by_name():
    first = columns(id=np.array([1]), flux=np.array([1.0]), err=np.array([0.1]))
    second = columns(id=np.array([2]), err=np.array([0.2]), flux=np.array([2.0]))
    rows = joined_rows([first, second], np.array([0, 1]), np.array([1, 2]))
    assert rows["flux"].tolist() == [1.0, 2.0] and rows["err"].tolist() == [0.1, 0.2]


def test_regions_in_pixels_are_moved_and_counted_once(band):
    for tile in band.tiles:
        # pixel (44, 20) of the image lies in the first tile and in the margin of the second
        y = 44.0 - tile.window.y0
        circles = [Region("circle", "image", ((y, 20.0),), outer=((3.0, "pixel"), (3.0, "pixel")))]
        circles.append(Region("circle", "icrs", ((150.0, 2.0),), outer=((1.0, "arcsec"), (1.0, "arcsec"))))
        write_regions(band.folder_of(tile) / "sim.reg", circles)
    found = band.regions("sim.reg")
    assert [region.frame for region in found] == ["image", "icrs"]
    np.testing.assert_allclose(found[0].points, [(44.0, 20.0)], atol=1e-3)


def test_templates_are_those_of_the_owners_in_the_pixels_of_the_band(band):
    for k, tile in enumerate(band.tiles):
        stamps = [Template(i, Box(5, 5, 8, 8), np.full((3, 3), 1.0 + k), 1.0) for i in (1, 2)]
        write_templates(band.folder_of(tile) / "templates.npz", stamps, {1: "", 2: ""})
    windows = {t.name: [*t.window.__dict__.values()] for t in band.tiles}
    write_json(band.folder / TILES, {"0_0": {"window": windows["0_0"], "sources": [2]},
                                     "1_0": {"window": windows["1_0"], "sources": [1]}})  # fmt: skip
    first, second = adopted_templates(band.folder)
    assert (first.id, first.box, first.data[0, 0]) == (1, Box(40, 5, 43, 8), 2.0)
    assert (second.id, second.box, second.data[0, 0]) == (2, Box(5, 5, 8, 8), 1.0)
    with StoredTemplates(band.folder) as stored:
        for template in (first, second):
            found = stored.get(template.id)
            assert found.box == template.box
            np.testing.assert_array_equal(found.data, template.data)
        assert stored.get(3) is None
    with StoredTemplates(band.folder_of(band.tiles[0])) as stored:
        assert stored.get(2).box == Box(5, 5, 8, 8)


def test_own_sources_are_numbered_by_flux(band):
    for tile, flux, y in zip(band.tiles, (3.0, 7.0), (20.0, 70.0), strict=True):
        folder = band.folder_of(tile)
        rows = columns(
            id=np.array([-1, -2]), ra=np.full(2, 150.0), dec=np.full(2, 2.0), x=np.array([21.0, 21.0]),
            # the second one lies in the margin
            y=np.array([y, 50.0 if tile is band.tiles[0] else 40.0]) - tile.window.y0 + 1.0,
            flux=np.array([flux, 9.0]), flux_err=np.ones(2), snr=np.ones(2), nearest_id=np.zeros(2, dtype=int),
            nearest_arcsec=np.zeros(2), flag=np.zeros(2, dtype=int),
        )  # fmt: skip
        write_table(folder / "band_only.fits", rows)
        write_templates(
            folder / "band_only.npz", [Template(i, Box(1, 1, 2, 2), np.ones((1, 1)), 1.0) for i in (-1, -2)],
            {-1: "", -2: ""},
        )  # fmt: skip
        write_image(folder / "psf.fits", np.ones((3, 3)), header={"FWHM": 3.0})
    detected = columns(id=np.array([4]), ra=np.array([150.0]), dec=np.array([2.0]))
    assert join_band_only(band, detected, "h") == 2
    table = read_table(band.folder / "band_only.fits")
    assert table["flux"].tolist() == [7.0, 3.0] and table["id"].tolist() == [-1, -2]
    assert table["y"].tolist() == [71.0, 21.0] and table["nearest_id"].tolist() == [4, 4]
    templates, flux = read_band_only(band.folder)
    assert flux.tolist() == [7.0, 3.0] and templates[0].box == Box(36, 1, 37, 2)
