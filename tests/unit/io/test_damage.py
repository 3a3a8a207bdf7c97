from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.io.damage import cut_of, damage_of, describe_damage, is_product, is_whole, set_damaged_aside
from unblend.io.files import write_json
from unblend.io.images import write_image
from unblend.io.tables import columns, write_table

NAMES = [
    "det_seg.fits",
    "catalogue.fits",
    "imfit/groups.json",
    "imfit/models/18.fits",
    "imfit/7/fit.json",
    "imfit/batches/second-0.json",
    "bands/k/mask.fits",
    "bands/k/templates.npz",
    "bands/k/fluxes.fits",
]


@pytest.fixture
def results(tmp_path):
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            write_json(path, {"groups": {}})
        elif path.suffix == ".npz":
            np.savez(path, data=np.arange(5000.0))
        elif path.stem in ("catalogue", "fluxes"):
            write_table(path, columns(id=np.arange(1000)))
        else:
            write_image(path, np.ones((60, 60)))
    return tmp_path


def test_whole_products(results):
    assert set_damaged_aside(results) == [] and all(is_whole(results / name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [0.0, 0.55])
def test_a_product_that_was_cut(results, name, part):
    path = results / name
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert not is_whole(path)
    (plan,) = describe_damage(results, move=False)
    assert plan.startswith(f"{path} is damaged (") and plan.endswith("; a run moves it away.") and path.exists()
    (sentence,) = set_damaged_aside(results)
    assert sentence.startswith(f"{path} was damaged (")
    assert sentence.endswith(f"; it is now {path.name}.damaged: run again, and it is made anew.")
    assert (
        not path.exists() and path.with_name(path.name + ".damaged").read_bytes() == content[: int(part * len(content))]
    )
    assert set_damaged_aside(results) == []


def test_the_files_of_the_job_are_looked_at_first(results):
    for name in ("bands/k/mask.fits", "det_seg.fits"):
        (results / name).write_bytes(b"")
    (sentence,) = set_damaged_aside(results, ["--mask", str(results / "bands/k/mask.fits"), "--log"])
    assert "mask.fits" in sentence and (results / "det_seg.fits").exists()


def test_only_our_own_files_are_moved(results):
    users = [
        "notes.json",
        "mine.fits",
        "imfit/mine.fits.json",
        "imfit/models/old.fits",
        "bands/k/My-mask.fits",
        "bands/x.fits",
    ]
    for name in users:
        (results / name).write_bytes(b"")
    assert set_damaged_aside(results, [results / name for name in users]) == []
    assert all((results / name).exists() for name in users)
    assert not is_product(results, results.parent / "mask.fits")


def test_other_kinds_of_files_are_not_judged(tmp_path):
    (tmp_path / "x.reg").write_text("image")
    assert damage_of(tmp_path / "x.reg") is None


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("fits")])
def test_a_fits_product_that_was_cut_at_any_block(results, name):
    path = results / name
    content = path.read_bytes()
    for length in range(0, len(content), 2880):
        path.write_bytes(content[:length])
        assert cut_of(path) is not None and damage_of(path) is not None, length
    path.write_bytes(content)
    assert cut_of(path) is None and damage_of(path) is None


def test_a_byte_of_the_header_that_gives_the_length(results):
    path = results / "bands/k/mask.fits"
    content = path.read_bytes()
    for old, new in ((b"SIMPLE", b"SIMPLF"), (b"NAXIS1  =                   60", b"NAXIS1  =                   90"),
                     (b"NAXIS2 ", b"NAXIR2 "), (b"BITPIX", b"BITPIY"), (b"END   ", b"ENE   ")):  # fmt: skip
        assert content.count(old) == 1
        path.write_bytes(content.replace(old, new))
        assert cut_of(path) is not None and damage_of(path) is not None, new


@pytest.mark.parametrize("name", ["a.ecsv", "b.cat", "c.dat", "d.sh", "e.html", "f.png", "g.json", "h.npz"])
def test_other_products_by_their_ends(tmp_path, name):
    ends = {"html": b"</body></html>\n", "png": b"\0\0\0\0IEND\xaeB`\x82", "json": b"{}\n"}
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, data=np.arange(9))
    else:
        path.write_bytes(b"text 1\n" + ends.get(path.suffix[1:], b"text 2\n"))
    content = path.read_bytes()
    assert is_whole(path)
    for length in (0, len(content) - 1, len(content) - 2):
        path.write_bytes(content[:length])
        assert not is_whole(path)


def test_a_region_file_may_lack_its_last_line_break(tmp_path):
    path = tmp_path / "a.reg"
    path.write_text("image\ncircle(1,1,1)")
    assert is_whole(path)
    path.write_text("")
    assert cut_of(path) == "it is empty"


def test_the_heap_of_a_table_and_the_detail_of_a_model(tmp_path):
    rows = [np.arange(n) for n in (1, 700, 2)]
    table = fits.BinTableHDU.from_columns([fits.Column("a", "PJ()", array=np.array(rows, dtype=object))])
    detailed = fits.PrimaryHDU(np.ones((3, 700)), fits.Header({"DETAIL": True}))
    for hdus in ([fits.PrimaryHDU(), table], [detailed, fits.ImageHDU(np.ones((2, 2)), name="DETAIL")]):
        path = tmp_path / "a.fits"
        fits.HDUList(hdus).writeto(path, overwrite=True)
        content = path.read_bytes()
        assert is_whole(path)
        for length in range(0, len(content), 2880):
            path.write_bytes(content[:length])
            assert not is_whole(path), length
