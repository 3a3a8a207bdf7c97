"""The keys of the fits: what each pass of a group depends on. `test_jobs` changes the inputs of whole plans."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from unblend.io.files import write_json
from unblend.plan.config import load_config
from unblend.plan.fit_keys import FitKeys

GROUPS = {
    "1": {"members": [1, 3], "box": [0, 0, 9, 9], "neighbours": [2], "digest": "one"},
    "2": {"members": [2], "box": [0, 9, 9, 18], "neighbours": [1], "digest": "two"},
    "5": {"members": [5], "box": [30, 30, 39, 39], "neighbours": [], "digest": "five"},
}


@pytest.fixture
def keys_of(tmp_path):
    """Return a function that gives both keys of every group, with changes to the settings, groups and user files."""

    def make(groups=GROUPS, files=None, **models):
        write_json(
            tmp_path / "imfit/groups.json",
            {"psf": "p", "grid": "g", "shape": [100, 100], "groups": groups, "smoothing": 0.5},
        )
        raw = {
            "target": {"ra": 10.0, "dec": 2.0}, "detection": {"bands": ["a"]}, "models": {"psf": "a", **models},
            "bands": {"a": {"image": "a.fits", "psf": "p.fits"}},
        }  # fmt: skip
        inputs = SimpleNamespace(
            config=load_config(raw),
            results=tmp_path,
            provenance=SimpleNamespace(code=lambda *names: "code"),
            path=str,
            record=lambda path: {"file": path, "digest": (files or {}).get(path)},
        )
        keys = FitKeys(inputs)
        return {(which, group): keys.of_pass(which, group) for which in ("first", "second") for group in groups}

    return make


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_a_group_depends_on_its_pixels_and_the_second_pass_on_the_neighbours(keys_of):
    moved = {**GROUPS, "1": {**GROUPS["1"], "digest": "other"}}
    assert changed(keys_of(), keys_of(moved)) == {("first", "1"), ("second", "1"), ("second", "2")}


def test_an_override_concerns_its_group_alone(keys_of):
    found = changed(keys_of(), keys_of(files={"overrides/5.dat": "d"}))
    assert found == {("first", "5"), ("second", "5")}


def test_the_time_limit_and_the_rendering_change_no_key(keys_of):
    assert changed(keys_of(), keys_of(timeout=900.0, oversampling=7, detail="none")) == set()


def test_a_gain_changes_all_fits_and_the_refinement_the_second_pass(keys_of):
    before = keys_of()
    assert changed(before, keys_of(gain=2.0)) == set(before)
    assert changed(before, keys_of(refine="none")) == {("second", group) for group in GROUPS}
