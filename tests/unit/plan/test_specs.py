from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import UnblendError
from unblend.io.files import read_json
from unblend.plan.specs import SpecStore

SMALL_FITS = fits.PrimaryHDU(np.zeros(720, dtype="f4")).header.tostring().encode() + bytes(2880)


def store_for(folder, purpose="run"):
    return SpecStore(folder / "results/specs", lambda: purpose)


@pytest.fixture
def store(tmp_path):
    return store_for(tmp_path)


def test_a_spec_is_written_when_it_differs(store):
    path = Path(store.path("rule/k", {"a": 1}))
    assert read_json(path) == {"a": 1}
    os.utime(path, (5, 5))
    store.path("rule/k", {"a": 1})
    assert path.stat().st_mtime == 5
    store.path("rule/k", {"a": 2})
    assert path.stat().st_mtime > 5 and read_json(path) == {"a": 2}


def test_every_spec_has_a_folder_of_its_own(store):
    paths = [Path(store.path(name, {})) for name in ("mask_band/k", "mask_band/h", "write_catalogue")]
    assert len({path.parent for path in paths}) == 3


def test_a_broken_spec_is_written_again(store):
    path = Path(store.path("rule", {"a": 1}))
    path.write_text("{half")
    store.path("rule", {"a": 1})
    assert read_json(path) == {"a": 1}


def test_a_plan_writes_nothing_into_the_results(tmp_path):
    plan = store_for(tmp_path, "plan")
    path = Path(plan.path("rule", {"a": 1}))
    assert read_json(path) == {"a": 1} and tmp_path not in path.parents
    assert list(tmp_path.iterdir()) == []
    run = store_for(tmp_path)
    kept = run.path("rule", {"a": 1})
    # what a run would leave alone is shown at its place, what it would write elsewhere
    assert plan.path("rule", {"a": 1}) == kept
    assert plan.path("rule", {"a": 2}) == str(path) and read_json(kept) == {"a": 1}


def test_a_job_keeps_the_settings_of_the_process_that_started_it(tmp_path, store):
    path = Path(store.path("rule", {"a": 1}))
    job = store_for(tmp_path, "job")
    assert job.path("rule", {"a": 2}) == str(path) and read_json(path) == {"a": 1}


def test_a_second_run_in_the_same_folder_is_refused(tmp_path, store):
    path = store.path("rule", {"a": 1})
    second = store_for(tmp_path)
    with pytest.raises(UnblendError, match=r"another run is going on in .*results: wait for its end or stop it"):
        second.path("rule", {"a": 2})
    assert read_json(path) == {"a": 1}
    store.release()
    assert read_json(second.path("rule", {"a": 2})) == {"a": 2}


def test_a_note_is_kept_by_a_run_alone(tmp_path):
    for purpose, kept in (("plan", False), ("run", True)):
        store = store_for(tmp_path, purpose)
        store.note("checked.json", "digest")
        store.path("rule", {})
        assert (tmp_path / "results/specs/checked.json").exists() is kept


def test_lost_files(tmp_path, store):
    made = [tmp_path / "out" / name for name in ("1.fits", "2.fits")]
    made[0].parent.mkdir()
    for path in made:
        path.write_bytes(SMALL_FITS)
    assert store.lost("rule", made) == {}
    made[1].unlink()
    gone = store.lost("rule", made)
    assert gone == {str(made[1]): made[1].parent.stat().st_mtime_ns}
    store.path("rule", {"lost": gone})
    made[1].write_bytes(SMALL_FITS)
    # the mark of the last loss stays, or the return of the file would run the job again
    assert store.lost("rule", made) == gone
    assert store.lost("rule", [tmp_path / "never" / "3.fits"]) == {str(tmp_path / "never" / "3.fits"): 0}


def test_damaged_products(tmp_path, store):
    mask = tmp_path / "mask.fits"
    assert store.damaged("rule", [mask]) == {}  # not made yet
    mask.with_name("mask.fits.damaged").write_text("x")
    found = store.damaged("rule", [mask])
    assert list(found) == [str(mask)]
    store.path("rule", {"damaged": found})
    mask.write_bytes(SMALL_FITS)
    assert store.damaged("rule", [mask]) == found and store.damaged("other", [mask]) == {}
    mask.write_text("")
    os.utime(mask, ns=(7, 7))
    assert store.damaged("rule", [mask]) == {str(mask): 7}


@pytest.mark.parametrize(
    ("purpose", "end"), [("run", "; it is made again.\n"), ("plan", "; a run makes it again.\n"), ("job", "")]
)
def test_a_damaged_product_is_named_once_on_the_terminal(tmp_path, capsys, purpose, end):
    store, cut, gone = store_for(tmp_path, purpose), tmp_path / "1.fits", tmp_path / "2.fits"
    cut.write_bytes(SMALL_FITS[:-1])
    for _ in range(2):
        store.lost("rule", [cut, gone])
        store.damaged("rule", [cut, gone])
    sentence = f"unblend: {cut} is damaged (its size of 5759 bytes is not a multiple of 2880)"
    assert capsys.readouterr().err == (sentence + end if end else "")


@pytest.mark.parametrize("fault", ["a file in the place of the folder", "a folder in the place of the lock"])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, fault):
    if fault.startswith("a file"):
        (tmp_path / "results").write_text("")
    else:
        (tmp_path / "results/specs/lock").mkdir(parents=True)
    with pytest.raises(UnblendError, match=r"results cannot be written \(.*\): a run needs permission to write there"):
        store_for(tmp_path).path("rule", {})
    plan = store_for(tmp_path, "plan")
    assert read_json(plan.path("rule", {"a": 1})) == {"a": 1}
