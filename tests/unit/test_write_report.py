from __future__ import annotations

import json

import pytest
import write_report
from field_products import write_products
from unblend.field import page_size


@pytest.fixture
def field(tmp_path):
    write_products(tmp_path)
    return tmp_path


def write(folder):
    report = folder / "results/report"
    write_report.main(str(folder / "spec.json"), str(folder / "results"), str(report / "index.html"), str(folder / "p"))
    return report


def test_a_small_field_has_one_file(field):
    report = write(field)
    assert list((report / "index_files").iterdir()) == []
    assert 'id="png:stack:image"' in (report / "index.html").read_text()
    assert sorted(path.name for path in report.glob("*.png")) == ["blue.png", "coarse.png", "green.png", "red.png"]


@pytest.mark.parametrize("limit", [{"PAGE_SOURCES": 5}, {"PAGE_MEGAPIXELS": 0.01}])
def test_a_large_field_has_its_pixels_and_numbers_in_files(field, monkeypatch, limit):
    for name, value in limit.items():
        monkeypatch.setattr(page_size, name, value)
    report = write(field)
    text = (report / "index.html").read_text()
    (folder,) = (report / "index_files").iterdir()
    content = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert content["files"]["folder"] == folder.name and "png:" not in text.split("// base.js")[0]
    assert (folder / "cards/0.js").exists() and (report / "green.png").exists()


def test_files_of_another_page_do_not_stay(field, monkeypatch):
    monkeypatch.setattr(page_size, "PAGE_SOURCES", 5)
    report = write(field)
    (before,) = (report / "index_files").iterdir()
    spec = json.loads((field / "spec.json").read_text())
    (field / "spec.json").write_text(json.dumps({**spec, "order": spec["order"][1:]}))
    (after,) = (write(field) / "index_files").iterdir()
    assert before.name != after.name
    monkeypatch.setattr(page_size, "PAGE_SOURCES", 2000)
    assert list((write(field) / "index_files").iterdir()) == []


def test_a_page_that_cannot_be_written_leaves_the_old_one(field, monkeypatch):
    monkeypatch.setattr(page_size, "PAGE_SOURCES", 5)
    report = write(field)
    before = sorted(str(path) for path in report.rglob("*"))
    (field / "results/bands/red/templates.npz").write_bytes(b"PK")
    with pytest.raises(OSError, match="is not a file of templates"):
        write(field)
    assert sorted(str(path) for path in report.rglob("*")) == before
