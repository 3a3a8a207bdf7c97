"""The field whose jobs are planned."""

from __future__ import annotations

import pytest
from planned_jobs import GROUPS, write_fits
from unblend.io.files import write_json


@pytest.fixture
def field(tmp_path, monkeypatch):
    """A folder with inputs, groups.json, and the specs of every job written once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "overrides").mkdir(parents=True)
    (tmp_path / "data" / "custom_models").mkdir()
    for value, name in enumerate(("a", "b", "psf", "k_im", "kpsf", "k_w")):
        write_fits(tmp_path / "data" / f"{name}.fits", value + 1)
    write_json("results/imfit/groups.json", {"psf": "p", "grid": "g", "groups": GROUPS})
    return tmp_path
