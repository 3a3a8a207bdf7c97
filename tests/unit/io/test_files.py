from __future__ import annotations

import hashlib
import json
import os

import pytest
from unblend.io.files import (
    DIGEST_LENGTH,
    atomic_folder,
    digest_of,
    file_digest,
    keep_second_copy,
    read_json,
    write_json,
    write_text,
)


def test_text_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "λ = 1\n")
    assert path.read_text(encoding="utf-8") == "λ = 1\n" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half\ud800")
    assert path.read_text(encoding="utf-8") == "λ = 1\n" and [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_json_has_one_form(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None, "x"]})
    write_json(tmp_path / "b.json", {"a": [1.5, None, "x"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None, "x"], "b": 1}


def test_floats_survive_json(tmp_path):
    values = [0.1, 1e-300, 2 / 3, 1e22]
    write_json(tmp_path / "a.json", values)
    assert read_json(tmp_path / "a.json") == values


def test_something_json_cannot_hold_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_digests():
    assert digest_of("abc") == digest_of(b"abc") == hashlib.sha256(b"abc").hexdigest()[:DIGEST_LENGTH]
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of({"a": 1}) == digest_of(json.dumps({"a": 1}))


def test_file_digest(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    assert file_digest(path) == digest_of(b"x" * 3_000_000)


def test_a_second_copy_survives_the_first_and_follows_it(tmp_path, monkeypatch):
    path, copy = tmp_path / "a.json", tmp_path / ".a.json"
    for link in (os.link, None):
        if link is None:
            monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
        for content in (1, 2):
            write_json(path, content)
            keep_second_copy(path, copy)
            keep_second_copy(path, copy)
            assert read_json(copy) == content
        path.unlink()
        assert read_json(copy) == 2


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "folder"
    (path.parent / ".folder.123/part").mkdir(parents=True)  # left by a process that was killed
    for text in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / text).write_text(text)
        assert [p.name for p in path.iterdir()] == [text] and [p.name for p in path.parent.iterdir()] == ["folder"]
    with pytest.raises(KeyError), atomic_folder(path) as folder:
        (folder / "third").write_text("third")
        raise KeyError
    assert [p.name for p in path.iterdir()] == ["second"] and [p.name for p in path.parent.iterdir()] == ["folder"]
