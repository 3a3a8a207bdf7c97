"""A field that is measured in tiles: the same catalogue, and only the tiles that an edit touches are done again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from harness import CATALOGUE, Field, circle
from smallfield import BLURRED, SHARP

pytestmark = pytest.mark.integration

TILES = {"size": 8.0, "margin": 2.0}
"""The sharp image of 12 by 16 arcsec has two rows and three columns of tiles, the blurred one as many."""


@pytest.fixture(scope="module")
def tiled(warm_field: Field, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The field measured in tiles after it was measured as a whole."""
    import subprocess

    copy = tmp_path_factory.mktemp("tiles") / "field"
    subprocess.run(["cp", "-a", str(warm_field.folder), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / "program")], check=True)
    field = Field(copy, warm_field.program)
    field.edit_config(lambda config: config.update(tiles=TILES))
    done = field.run()
    # nothing but the bands is done again
    assert {work.split()[0] for work in done.work} <= {
        "cutout", "mask", "psf", "background", "templates", "fluxes", "extract", "monte_carlo", "inspect",
        "astrometry", "join", "catalogue", "covariance", "report",
    }  # fmt: skip
    return field


def products(field: Field, name: str) -> np.ndarray:
    return np.asarray(fits.getdata(field / f"results/{name}"))


def test_fluxes_are_those_of_the_whole_field(warm_field: Field, tiled: Field) -> None:
    whole, joined = warm_field.table("catalogue.fits"), tiled.table("catalogue.fits")
    np.testing.assert_array_equal(joined["id"], whole["id"])
    for band in (SHARP, BLURRED):
        difference = (joined[f"flux_{band}"] - whole[f"flux_{band}"]) / whole[f"err_{band}"]
        # tiles of 8 arcsec: the level of the background, from a few thousand pixels, is known less well than usual
        assert np.abs(difference).max() < 0.02
        np.testing.assert_array_equal(joined[f"flag_{band}"], whole[f"flag_{band}"])
        np.testing.assert_allclose(joined[f"err_{band}"], whole[f"err_{band}"], rtol=0.05)


@pytest.mark.parametrize("band", [SHARP, BLURRED])
def test_mosaics_have_no_seams(warm_field: Field, tiled: Field, band: str) -> None:
    for name in ("mask", "background"):
        path = f"bands/{band}/{name}.fits"
        np.testing.assert_array_equal(products(tiled, path), products(warm_field, path))
    noise = np.nanstd(products(warm_field, f"bands/{band}/residual.fits"))
    for name in ("residual", "neighbours-removed"):
        path = f"bands/{band}/{name}.fits"
        # the light of sources beyond the margin of 10 pixels ends there
        np.testing.assert_allclose(products(tiled, path), products(warm_field, path), atol=0.1 * noise)


def test_the_covariance_has_the_errors_of_the_catalogue(tiled: Field) -> None:
    from scipy.sparse import load_npz

    for band in (SHARP, BLURRED):
        folder = tiled / f"results/bands/{band}"
        with np.load(folder / "covariance.npz") as store:
            columns, signs = store["columns"], store["signs"]
        variance = load_npz(folder / "covariance.npz").diagonal() + columns**2 @ signs
        np.testing.assert_allclose(np.sqrt(variance), tiled.table("catalogue.fits")[f"err_{band}"], rtol=1e-6)


def test_a_second_run_does_nothing(tiled: Field) -> None:
    assert tiled.run().work == set()


def test_a_region_touches_one_tile(tiled: Field) -> None:
    # the lower left corner of the blurred image
    (tiled / f"{BLURRED}-bad.reg").write_text("image\n" + circle(4, 4, 2))
    done = tiled.run().work
    one = f"{BLURRED}/tiles/0_0"
    assert {work for work in done if "/tiles/" in work} == {
        f"{stage} {one}" for stage in ("mask", "extract", "monte_carlo", "inspect", "astrometry")
    }
    joined = {f"{stage} {BLURRED}" for stage in ("mask", "join", "astrometry")}
    assert {work for work in done if "/tiles/" not in work} == joined | CATALOGUE
    mask = products(tiled, f"bands/{BLURRED}/mask.fits")
    assert mask[4, 4] and "circle" in (tiled / f"results/bands/{BLURRED}/mask.reg").read_text()


def test_an_image_that_was_cut_costs_the_band(tiled: Field) -> None:
    content = (tiled / f"{BLURRED}.fits").read_bytes()
    (tiled / f"{BLURRED}.fits").write_bytes(content[:20_000])
    messages = tiled.run().messages
    (tiled / f"{BLURRED}.fits").write_bytes(content)
    assert f"no flux    {BLURRED}: {BLURRED}.fits cannot be read" in messages
    assert messages.count("All fluxes of this band are NaN") == 1
    found = tiled.table("catalogue.fits")
    assert np.isnan(found[f"flux_{BLURRED}"]).all() and np.isfinite(found[f"flux_{SHARP}"]).all()


def test_back_to_one_tile(tiled: Field, warm_field: Field) -> None:
    (tiled / f"{BLURRED}-bad.reg").unlink(missing_ok=True)
    tiled.edit_config(lambda config: config.pop("tiles"))
    tiled.run()
    np.testing.assert_array_equal(
        tiled.table("catalogue.fits")[f"flux_{BLURRED}"], warm_field.table("catalogue.fits")[f"flux_{BLURRED}"]
    )
    assert not (tiled / f"results/bands/{SHARP}/tiles.json").exists()
    assert (tiled / f"results/stale/bands/{SHARP}/tiles.json").exists()
    listed = json.loads((tiled / "results/specs/write_catalogue/spec.json").read_text())
    assert "tiles" not in listed
