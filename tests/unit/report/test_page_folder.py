from __future__ import annotations

import json

import pytest
from unblend.report.page_folder import PageFolder


def written(folder, content):
    folder.mkdir()
    files = PageFolder(folder)
    files.write("cards/0", content)
    files.write_images("images/k/0/0-0", [b"\x89PNG"])
    return files.finish()


def test_files_call_a_function_of_the_page_with_their_content(tmp_path):
    name = written(tmp_path / "files", {"a": [1, None]})
    text = (tmp_path / "files" / name / "cards/0.js").read_text()
    assert text == 'chunk("cards/0",{"a":[1,null]});\n'
    image = (tmp_path / "files" / name / "images/k/0/0-0.js").read_text()
    assert json.loads(image.removeprefix("chunk(").removesuffix(");\n").partition(",")[2]) == ["iVBORw=="]
    assert [path.name for path in (tmp_path / "files").iterdir()] == [name]


def test_the_folder_is_named_after_its_content(tmp_path):
    first, again, other = (
        written(tmp_path / name, {"a": value}) for name, value in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again != other


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        written(tmp_path / "files", [float("nan")])
