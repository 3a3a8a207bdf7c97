from __future__ import annotations

import numpy as np
import pytest
from unblend.core.types import Box, Template
from unblend.io.template_store import TemplateFile, read_templates, write_templates

RNG = np.random.default_rng(3)
TEMPLATES = [
    Template(7, Box(2, 3, 6, 10), RNG.uniform(size=(4, 7)), 0.97),
    Template(2, Box(0, 0, 0, 0), np.zeros((0, 0)), 0.0),
    Template(30, Box(0, 0, 1, 1), np.ones((1, 1)), 1.0, 0.2 * np.ones((1, 1)), 0.25),
    Template(31, Box(1, 1, 3, 4), RNG.uniform(size=(2, 3)), 1.0, RNG.uniform(size=(2, 3)), -0.1),
    Template(32, Box(0, 0, 1, 1), np.ones((1, 1)), 1.0, 0.4 * np.ones((1, 1)), 0.4, detail_free=True),
]
KEYS = {7: "a" * 16, 2: "b", 30: "", 31: "d", 32: "e"}


def test_round_trip_keeps_the_order(tmp_path):
    write_templates(tmp_path / "templates.npz", TEMPLATES, KEYS)
    again, keys = read_templates(tmp_path / "templates.npz")
    assert keys == KEYS and [(t.id, t.box, t.coverage) for t in again] == [(t.id, t.box, t.coverage) for t in TEMPLATES]
    for one, other in zip(again, TEMPLATES, strict=True):
        # stored as float32
        np.testing.assert_allclose(one.data, other.data, rtol=1e-7)
        assert one.data.shape == other.box.shape
        assert (one.detail is None) == (other.detail is None) and one.detail_share == other.detail_share
        assert one.detail_free is other.detail_free
        if one.detail is not None:
            np.testing.assert_allclose(one.detail, other.detail, rtol=1e-7)


def test_the_same_templates_give_the_same_bytes(tmp_path):
    write_templates(tmp_path / "a.npz", TEMPLATES, KEYS)
    write_templates(tmp_path / "b.npz", TEMPLATES, KEYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_templates_that_are_read_and_written_again_are_unchanged(tmp_path):
    # unchanged templates are copied from the old file: they must not change by rounding
    write_templates(tmp_path / "a.npz", TEMPLATES, KEYS)
    write_templates(tmp_path / "b.npz", *read_templates(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_no_templates(tmp_path):
    write_templates(tmp_path / "a.npz", [], {})
    assert read_templates(tmp_path / "a.npz") == ([], {})


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(KeyError):
        write_templates(tmp_path / "a.npz", TEMPLATES, {7: "a"})
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_of_templates_is_an_error(tmp_path):
    write_templates(tmp_path / "a.npz", TEMPLATES, KEYS)
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (whole[:200], b"", b"words\n" * 100):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(OSError, match=r"a.npz is not a file of templates"):
            read_templates(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        read_templates(tmp_path / "none.npz")


def test_templates_that_are_read_one_by_one_are_those_that_are_read_together(tmp_path):
    path = tmp_path / "templates.npz"
    write_templates(path, TEMPLATES, KEYS)
    together, _ = read_templates(path)
    with TemplateFile(path) as file:
        for one in reversed(together):
            other = file.get(one.id)
            assert (other.id, other.box, other.coverage) == (one.id, one.box, one.coverage)
            assert (other.detail_share, other.detail_free) == (one.detail_share, one.detail_free)
            np.testing.assert_array_equal(other.data, one.data)
            assert (other.detail is None) == (one.detail is None)
            if one.detail is not None:
                np.testing.assert_array_equal(other.detail, one.detail)
        assert file.get(8) is None


def test_a_file_of_templates_that_was_cut_is_named(tmp_path):
    path = tmp_path / "templates.npz"
    write_templates(path, TEMPLATES, KEYS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"templates\.npz is not a file of templates"):
        TemplateFile(path)
    np.savez_compressed(path, **dict(np.load(write_again(tmp_path))))
    with pytest.raises(OSError, match="is not stored as float32"):
        TemplateFile(path)


def write_again(folder):
    write_templates(folder / "again.npz", TEMPLATES, KEYS)
    return folder / "again.npz"
