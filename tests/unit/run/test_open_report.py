"""`./unblend report`: the page that it opens, and what it says where there is none."""

from __future__ import annotations

import open_report
import pytest
import yaml
from small_config import MINIMAL
from unblend.core.errors import InputError


@pytest.fixture
def opened(monkeypatch):
    addresses: list[str] = []
    monkeypatch.setattr(open_report.webbrowser, "open", addresses.append)
    return addresses


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "field/results/report/index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    (tmp_path / "field/config.yaml").write_text(yaml.safe_dump(MINIMAL))
    return page


def test_the_page_of_a_field(page, opened, capsys):
    open_report.main("field")
    assert capsys.readouterr().out == "field/results/report/index.html\n" and opened == [page.as_uri()]


def test_without_a_browser(page, opened, capsys, monkeypatch):
    monkeypatch.chdir("field")
    open_report.main("--no-browser")
    assert capsys.readouterr().out == "results/report/index.html\n" and opened == []


def test_before_the_first_run(page, opened):
    page.unlink()
    with pytest.raises(InputError, match=r"index.html does not exist; run the workflow first: ./unblend run FIELD\."):
        open_report.main("field")
    assert opened == []
