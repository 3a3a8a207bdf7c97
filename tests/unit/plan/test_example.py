"""Whether the example field is still to be drawn."""

from __future__ import annotations

import pytest
from unblend.plan.config import load_config
from unblend.plan.example import TRUTH, example_is_missing


@pytest.mark.parametrize(("seed", "drawn", "missing"), [(1, False, True), (1, True, False), (None, False, False)])
def test_the_example_is_drawn_once_and_only_where_asked_for(tmp_path, seed, drawn, missing):
    raw = {
        "data_dir": str(tmp_path), "target": {"ra": 10.0, "dec": 2.0}, "example_seed": seed,
        "detection": {"bands": ["a"]}, "models": {"psf": "a"}, "bands": {"a": {"image": "a.fits", "psf": "p.fits"}},
    }  # fmt: skip
    if drawn:
        (tmp_path / TRUTH).touch()
    assert example_is_missing(load_config(raw)) == missing
