from __future__ import annotations

import hashlib
import io
import json

import pytest
from unblend.io.files import (
    DIGEST_LENGTH,
    digest_of,
    digested_once,
    file_digest,
    read_json,
    write_json,
    write_text,
)


def test_text_is_written_complete_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "λ = 1\n")
    assert path.read_text(encoding="utf-8") == "λ = 1\n" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half\ud800")
    assert path.read_text(encoding="utf-8") == "λ = 1\n" and [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_the_same_content_gives_the_same_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None, "x"]})
    write_json(tmp_path / "b.json", {"a": [1.5, None, "x"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None, "x"], "b": 1}


def test_floats_survive_json(tmp_path):
    values = [0.1, 1e-300, 2 / 3, 1e22]
    write_json(tmp_path / "a.json", values)
    assert read_json(tmp_path / "a.json") == values


def test_content_that_json_cannot_store_leaves_no_file(tmp_path):
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


def test_a_file_is_digested_once_until_it_changes(tmp_path):
    asked = []

    def counted(stream, digest, **options):
        asked.append(stream)
        return hashlib.file_digest(stream, digest, **options)

    digested, path = digested_once(counted), tmp_path / "a"

    def digest():
        with path.open("rb") as stream:
            return digested(stream, hashlib.sha256).hexdigest()

    path.write_text("one")
    assert digest() == digest() == hashlib.sha256(b"one").hexdigest() and len(asked) == 1
    write_text(path, "two")
    assert digest() == hashlib.sha256(b"two").hexdigest() and len(asked) == 2
    # a stream that is not a file is digested every time
    assert digested(io.BytesIO(b"x"), "sha256").hexdigest() == hashlib.sha256(b"x").hexdigest()
