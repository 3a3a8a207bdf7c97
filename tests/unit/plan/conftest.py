"""The field whose jobs are planned."""

from __future__ import annotations

import pytest
from planned_jobs import write_field


@pytest.fixture
def field(tmp_path, monkeypatch):
    """A folder with inputs, groups.json, and the specs of every job written once."""
    monkeypatch.chdir(tmp_path)
    write_field(tmp_path)
    return tmp_path
