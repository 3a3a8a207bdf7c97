from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
from unblend.io.images import read_array, read_labels, write_image
from unblend.io.tables import columns, read_table, write_table

ODD = ["a b (1)", "it's", "ü[1]", "a{b}", "x+1", "~tilde", "half;semi,colon", "mem:", "a#b", "two  spaces "]


@pytest.mark.parametrize("name", ODD)
def test_folders_and_files_with_any_name(tmp_path, name):
    image, table = tmp_path / name / f"{name}.fits", tmp_path / name / f"table {name}.fits"
    write_image(image, np.arange(6.0).reshape(2, 3))
    write_table(table, columns(id=np.array([1, 2])))
    np.testing.assert_array_equal(read_labels(f"{image}[0]"), np.arange(6).reshape(2, 3))
    assert read_table(table)["id"].tolist() == [1, 2]
    assert sorted(p.name for p in (tmp_path / name).iterdir()) == sorted([image.name, table.name])


def test_a_compressed_file_with_an_odd_name(tmp_path):
    write_image(tmp_path / "plain.fits", np.ones((2, 2)))
    packed = tmp_path / "a (1).fits.gz"
    with (tmp_path / "plain.fits").open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    assert read_array(str(packed)).sum() == 4
