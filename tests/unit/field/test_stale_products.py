"""What belongs to no source and no band is moved aside, whole, and nothing else."""

from __future__ import annotations

from unblend.field.stale_products import move_stale_bands, move_stale_models, move_stale_tiles


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_models_of_sources_that_are_gone(tmp_path):
    for name in ("7", "18", "10000007", "mine"):
        write(tmp_path / f"imfit/models/{name}.fits", name)
    assert move_stale_models(tmp_path, {7, 10_000_007}) == [tmp_path / "stale/imfit/models/18.fits"]
    assert names(tmp_path) == sorted(
        [*(f"imfit/models/{name}.fits" for name in ("7", "10000007", "mine")), "stale/imfit/models/18.fits"]
    )
    assert move_stale_models(tmp_path, {7, 10_000_007}) == []


def test_fits_of_sources_that_are_gone(tmp_path):
    for name in ("7/fit.json", "18/first.json", "18/indiv/18.fits", "19/notes.txt", "mine/fit.json"):
        write(tmp_path / f"imfit/{name}", name)
    assert move_stale_models(tmp_path, {7}) == [tmp_path / "stale/imfit/18"]
    assert names(tmp_path / "stale") == ["imfit/18/first.json", "imfit/18/indiv/18.fits"]
    assert names(tmp_path / "imfit") == ["19/notes.txt", "7/fit.json", "mine/fit.json"]


def test_bands_that_are_gone_with_their_logs(tmp_path):
    for name in ("bands/ks/fluxes.fits", "bands/h/fluxes.fits", "logs/mask_band/ks.log", "logs/mask_band/h.log",
                 "bands/mine/notes.txt"):  # fmt: skip
        write(tmp_path / name)
    move_stale_bands(tmp_path, ["h"])
    gone = ["stale/bands/ks/fluxes.fits", "stale/logs/mask_band/ks.log"]
    assert names(tmp_path) == sorted(["bands/mine/notes.txt", "bands/h/fluxes.fits", "logs/mask_band/h.log", *gone])


def test_the_newest_of_two_is_kept(tmp_path):
    for text in ("old", "new"):
        write(tmp_path / "bands/ks/fluxes.fits", text)
        write(tmp_path / "imfit/models/3.fits", text)
        move_stale_bands(tmp_path, [])
        move_stale_models(tmp_path, [])
    assert (tmp_path / "stale/bands/ks/fluxes.fits").read_text() == "new"
    assert (tmp_path / "stale/imfit/models/3.fits").read_text() == "new"


def test_a_field_without_products(tmp_path):
    assert move_stale_bands(tmp_path, []) == move_stale_models(tmp_path, []) == []
    assert not (tmp_path / "stale").exists()


def test_tiles_that_a_band_does_not_have_any_more(tmp_path):
    files = ("tiles/0_0/fluxes.fits", "tiles/1_0/fluxes.fits", "tiles/notes.txt", "tiles.json", "templates.npz")
    for name in files:
        write(tmp_path / f"bands/h/{name}")
    move_stale_tiles(tmp_path, "h", ["0_0"])
    assert names(tmp_path / "stale/bands/h") == ["templates.npz", "tiles/1_0/fluxes.fits"]
    # measured as a whole again
    move_stale_tiles(tmp_path, "h", [])
    assert names(tmp_path / "bands/h") == ["tiles/notes.txt"]
