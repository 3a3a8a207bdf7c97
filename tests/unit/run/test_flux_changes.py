"""Fluxes before and after a run: what differs, what is new or gone, the largest change first."""

from __future__ import annotations

import numpy as np
from unblend.io.tables import columns
from unblend.run.flux_changes import flux_changes


def table(**flux):
    """Return a catalogue of one band k by ID."""
    ids = [int(name[1:]) for name in flux]
    values = np.array(list(flux.values()), dtype=float)
    return columns(id=np.array(ids), flux_k=values, err_k=np.full(len(ids), 2.0))


def test_nothing_has_changed():
    assert flux_changes(table(_1=5.0, _2=np.nan), table(_1=5.0, _2=np.nan), ["k"]) == []


def test_the_largest_change_comes_first_and_new_sources_before_it():
    found = flux_changes(table(_1=5.0, _2=7.0, _3=9.0, _4=1.0), table(_1=5.5, _2=7.0, _3=3.0, _9=2.0), ["k"])
    assert [(one["id"], one["state"], one["sigmas"]) for one in found] == [
        (4, "gone", None), (9, "new", None), (3, "changed", 3.0), (1, "changed", 0.25)]  # fmt: skip
    assert found[0]["bands"] == {"k": [1.0, 2.0, None, None]} and found[1]["bands"] == {"k": [None, None, 2.0, 2.0]}
    assert found[2]["bands"] == {"k": [9.0, 2.0, 3.0, 2.0]}


def test_fluxes_that_become_known_are_changes_and_a_band_may_be_missing_before():
    found = flux_changes(table(_1=np.nan, _2=1.0), table(_1=5.0, _2=1.0), ["k", "j"])
    assert [one["id"] for one in found] == [1] and found[0]["sigmas"] > 1e6 and list(found[0]["bands"]) == ["k"]
