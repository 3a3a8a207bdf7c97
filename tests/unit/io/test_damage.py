from __future__ import annotations

import numpy as np
import pytest
from unblend.io.damage import damage_of, describe_damage, is_product, is_whole, set_damaged_aside
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
